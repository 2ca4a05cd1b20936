//! The weights of the portrait world as part of the program: 73 MB that the system reads when they are asked for.

/// The shipped file of this name, with its content.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits/", $name)),
        )),*]
    };
}

/// Names and contents, the CLIP models in the order of their names.
pub const FILES: &[(&str, &[u8])] = shipped![
    "clip-fine.safetensors",
    "clip-plain.safetensors",
    "clip-robust.safetensors",
    "degan.safetensors",
    "diffae.safetensors",
    "encoder.safetensors",
    "expand-diffae.toml",
    "expand.toml",
    "generator.safetensors",
    "hyperdomain.safetensors",
    "judge.safetensors",
    "perceptual.safetensors",
    "teacher.safetensors",
];
