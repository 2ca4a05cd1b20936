//! The layout of the original TensorFlow StyleGAN2 (NVlabs/stylegan2), whose pickles hold the
//! networks `(G, D, Gs)`.
//!
//! Kernels are `[kh, kw, in, out]` and matrices `[in, out]` there; the kernels of upsampling
//! convolutions are turned by half a turn; the style bias starts at 0 instead of 1. Source of these
//! facts: `legacy.py` of stylegan2-ada-pytorch, `training/networks_stylegan2.py` of stylegan2. All
//! networks are taken to resample with `[1, 3, 3, 1]`, as every published one does.

mod kwargs;

pub use kwargs::{discriminator_kwargs, generator_kwargs};

use super::Weights;
use super::table::{
    Change, Direction, PLANE, Row, SAME, UNBATCH3, add_discriminator_filters,
    add_generator_filters, binomial, convert, resolutions,
};
use crate::{Error, Result};

/// A generator under the names of stylegan2-ada-pytorch, from its variables and those of its
/// components.
///
/// # Errors
/// [`Error::Names`] for missing or unknown variables.
pub fn generator_to_nvlabs(variables: &Weights) -> Result<Weights> {
    refuse_others(variables)?;
    let top = top_resolution(variables, "synthesis/");
    let variables = renamed(variables, "synthesis/", "ToRGB", top);
    let rows = generator_rows(top, &variables);
    let mut out = convert("generator", variables, &rows, Direction::ToOurs, |name| {
        name == "lod" || name == "synthesis/lod"
    })?;
    add_generator_filters(&mut out, &binomial()?);
    Ok(out)
}

/// A discriminator under the names of stylegan2-ada-pytorch.
///
/// # Errors
/// [`Error::Names`] for missing or unknown variables.
pub fn discriminator_to_nvlabs(variables: &Weights) -> Result<Weights> {
    let top = top_resolution(variables, "");
    let variables = renamed(variables, "", "FromRGB", top);
    let rows = discriminator_rows(top, &variables);
    let ignored = |name: &str| name == "lod";
    let mut out = convert(
        "discriminator",
        variables,
        &rows,
        Direction::ToOurs,
        ignored,
    )?;
    add_discriminator_filters(&mut out, &binomial()?);
    Ok(out)
}

/// Says of networks of the same programs that are not StyleGAN2 as it is read here which they are.
fn refuse_others(variables: &Weights) -> Result<()> {
    let has = |part: &str| variables.keys().any(|name| name.contains(part));
    let problem = if has("/StyleMod/") {
        "this is a StyleGAN of 2018 (StyleGAN1; also config a of StyleGAN2), whose layers are normalised; only StyleGAN2 is read"
    } else if has("LabelConcat/") {
        "this is a class-conditional network of the first StyleGAN2 program, which joins label and latent before it \
         normalises them; of class-conditional networks, those of stylegan2-ada are read"
    } else {
        return Ok(());
    };
    Err(Error::NotAModel {
        problem: problem.to_owned(),
    })
}

/// The variables; those that older code names by level of detail (0 = full size) get the name by
/// resolution. Networks that grew during training (configs b to d) keep the layers of smaller pictures, which a grown one
/// no longer uses: they are left out.
fn renamed(variables: &Weights, prefix: &str, layer: &str, top: usize) -> Weights {
    let variables = variables.iter().filter_map(|(name, tensor)| {
        let bare = name.strip_prefix(prefix).unwrap_or(name);
        let level = bare
            .strip_prefix(layer)
            .and_then(|rest| rest.strip_prefix("_lod"));
        let level = level.and_then(|rest| rest.split_once('/'));
        let name = match level.and_then(|(lod, rest)| Some((lod.parse::<u32>().ok()?, rest))) {
            Some((0, rest)) => format!("{prefix}{top}x{top}/{layer}/{rest}"),
            Some(_) => return None,
            None => name.clone(),
        };
        Some((name, tensor.clone()))
    });
    variables.collect()
}

fn top_resolution(variables: &Weights, prefix: &str) -> usize {
    let has = |res: &usize| {
        let block = format!("{prefix}{res}x{res}/");
        variables
            .range(block.clone()..)
            .next()
            .is_some_and(|(name, _)| name.starts_with(&block))
    };
    resolutions(1 << 16).take_while(has).last().unwrap_or(4)
}

fn generator_rows(top: usize, variables: &Weights) -> Vec<Row> {
    let mut rows = vec![
        Row::new("dlatent_avg", "mapping.w_avg", SAME),
        Row::new("synthesis/4x4/Const/const", "synthesis.b4.const", UNBATCH3),
    ];
    rows.extend(dense(variables, "mapping/Dense", "mapping.fc"));
    rows.extend(embedding(variables, "mapping/LabelEmbed"));
    let mut noise = 0;
    for res in resolutions(top) {
        let (tf, ours) = (
            format!("synthesis/{res}x{res}"),
            format!("synthesis.b{res}"),
        );
        let layers: &[_] = match res {
            4 => &[("Conv", "conv1", Change::Kernel)],
            _ => &[
                ("Conv0_up", "conv0", Change::TurnedKernel),
                ("Conv1", "conv1", Change::Kernel),
            ],
        };
        for &(a, b, kernel) in layers {
            let (a, b) = (format!("{tf}/{a}"), format!("{ours}.{b}"));
            let constant = format!("synthesis/noise{noise}");
            noise += 1;
            if variables.contains_key(&constant) {
                rows.push(Row::new(constant, format!("{b}.noise_const"), PLANE));
                rows.push(Row::new(
                    format!("{a}/noise_strength"),
                    format!("{b}.noise_strength"),
                    SAME,
                ));
            }
            rows.extend(modulated(&a, &b, kernel));
        }
        let skip = format!("{tf}/Skip/weight");
        if variables.contains_key(&skip) {
            rows.push(Row::new(
                skip,
                format!("{ours}.skip.weight"),
                Change::TurnedKernel,
            ));
        }
        if res == top || variables.contains_key(&format!("{tf}/ToRGB/weight")) {
            rows.extend(modulated(
                &format!("{tf}/ToRGB"),
                &format!("{ours}.torgb"),
                Change::Kernel,
            ));
        }
    }
    rows
}

fn modulated(tf: &str, ours: &str, kernel: Change) -> [Row; 4] {
    let row =
        |a: &str, b: &str, change| Row::new(format!("{tf}/{a}"), format!("{ours}.{b}"), change);
    [
        row("weight", "weight", kernel),
        row("bias", "bias", SAME),
        row("mod_weight", "affine.weight", Change::Transpose),
        row("mod_bias", "affine.bias", Change::PlusOne),
    ]
}

/// Numbered fully connected layers, as many as there are.
fn dense(variables: &Weights, tf: &str, ours: &str) -> Vec<Row> {
    let count = (0..)
        .take_while(|i| variables.contains_key(&format!("{tf}{i}/weight")))
        .count();
    (0..count)
        .flat_map(|i| linear(&format!("{tf}{i}"), &format!("{ours}{i}")))
        .collect()
}

fn linear(tf: &str, ours: &str) -> [Row; 2] {
    [
        Row::new(
            format!("{tf}/weight"),
            format!("{ours}.weight"),
            Change::Transpose,
        ),
        Row::new(format!("{tf}/bias"), format!("{ours}.bias"), SAME),
    ]
}

fn embedding(variables: &Weights, tf: &str) -> Vec<Row> {
    let there = variables.contains_key(&format!("{tf}/weight"));
    if there {
        linear(tf, "mapping.embed").into()
    } else {
        Vec::new()
    }
}

fn discriminator_rows(top: usize, variables: &Weights) -> Vec<Row> {
    let mut rows = Vec::new();
    for res in resolutions(top) {
        let (tf, ours) = (format!("{res}x{res}"), format!("b{res}"));
        let has = |layer: &str| variables.contains_key(&format!("{tf}/{layer}/weight"));
        let mut convolution = |a: &str, b: &str, bias: bool| {
            let row = |part: &str, change| {
                Row::new(
                    format!("{tf}/{a}/{part}"),
                    format!("{ours}.{b}.{part}"),
                    change,
                )
            };
            rows.push(row("weight", Change::Kernel));
            if bias {
                rows.push(row("bias", SAME));
            }
        };
        if res == top || has("FromRGB") {
            convolution("FromRGB", "fromrgb", true);
        }
        if res > 4 {
            convolution("Conv0", "conv0", true);
            convolution("Conv1_down", "conv1", true);
        } else {
            convolution("Conv", "conv", true);
        }
        if has("Skip") {
            convolution("Skip", "skip", false);
        }
    }
    rows.extend(linear("4x4/Dense0", "b4.fc"));
    rows.extend(linear("Output", "b4.out"));
    rows.extend(embedding(variables, "LabelEmbed"));
    rows.extend(dense(variables, "Mapping", "mapping.fc"));
    rows
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use domex_checkpoint::TensorData;
    use domex_checkpoint::foreign::{self, TensorFlowNetwork, state_dict, tensorflow_networks};

    use super::super::{self as layout, Layout};
    use super::*;
    use crate::{DiscriminatorConfig, GeneratorConfig};

    fn sample(name: &str) -> foreign::Foreign {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/data");
        foreign::read(folder.join(name)).unwrap()
    }

    fn networks() -> Vec<TensorFlowNetwork> {
        tensorflow_networks(&sample("tensorflow_tiny.pkl").value).unwrap()
    }

    /// The expected tensors were computed by the sample's own script.
    #[test]
    fn pickled_networks() {
        let expected = state_dict(&sample("tensorflow_tiny.safetensors").value).unwrap();
        for (network, prefix) in
            networks()
                .iter()
                .zip(["generator.", "discriminator.", "generator_ema."])
        {
            let (ours, found) = match network.name.as_str() {
                "D" => layout::discriminator(&network.variables).unwrap().unwrap(),
                _ => layout::generator(&network.variables, None)
                    .unwrap()
                    .unwrap(),
            };
            assert_eq!(found, Layout::TensorFlow);
            let under = |(name, tensor): (&String, &TensorData)| {
                Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
            };
            let expected: Weights = expected.iter().filter_map(under).collect();
            assert!(!expected.is_empty());
            assert_eq!(
                ours.keys().collect::<Vec<_>>(),
                expected.keys().collect::<Vec<_>>()
            );
            for (name, tensor) in &expected {
                assert_eq!(&ours[name], tensor, "{prefix}{name}");
            }
        }
    }

    #[test]
    fn arguments_describe_the_shapes() {
        let networks = networks();
        let generator = GeneratorConfig::from_kwargs(&generator_kwargs(&networks[0])).unwrap();
        assert_eq!((generator.mapping.z_dim, generator.mapping.w_dim), (6, 5));
        assert_eq!(generator.mapping.num_layers, 2);
        assert_eq!(generator.synthesis.channels, [(4, 4), (8, 3)].into());
        let kwargs = discriminator_kwargs(&networks[1]);
        assert_eq!(
            DiscriminatorConfig::from_kwargs(&kwargs)
                .unwrap()
                .mbstd_group_size,
            Some(4)
        );
    }

    #[test]
    fn names_by_level_of_detail() {
        let mut network = networks().remove(1);
        for part in ["weight", "bias"] {
            let tensor = network
                .variables
                .remove(&format!("8x8/FromRGB/{part}"))
                .unwrap();
            network
                .variables
                .insert(format!("FromRGB_lod0/{part}"), tensor);
        }
        let converted = discriminator_to_nvlabs(&network.variables).unwrap();
        assert!(converted.contains_key("b8.fromrgb.weight"));
        assert_eq!(discriminator_kwargs(&network)["architecture"], "orig");
    }

    #[test]
    fn layers_of_smaller_pictures_are_left_out() {
        let mut network = networks().remove(1);
        for part in ["weight", "bias"] {
            let tensor = network
                .variables
                .remove(&format!("8x8/FromRGB/{part}"))
                .unwrap();
            for lod in 0..2 {
                let name = format!("FromRGB_lod{lod}/{part}");
                network.variables.insert(name, tensor.clone());
            }
        }
        let converted = discriminator_to_nvlabs(&network.variables).unwrap();
        let layers: Vec<_> = converted
            .keys()
            .filter(|name| name.ends_with("fromrgb.weight"))
            .collect();
        assert_eq!(layers, ["b8.fromrgb.weight"]);
    }

    #[test]
    fn other_networks_of_the_same_programs_are_said_in_words() {
        let extra = TensorData::from_f32(vec![1], &[0.0]).unwrap();
        for (name, words) in [
            ("synthesis/4x4/Const/StyleMod/weight", "StyleGAN1"),
            ("mapping/LabelConcat/weight", "class-conditional"),
        ] {
            let mut variables = networks().remove(0).variables;
            variables.insert(name.to_owned(), extra.clone());
            let error = generator_to_nvlabs(&variables).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn missing_and_unknown_variables_are_named() {
        let mut network = networks().remove(0);
        network
            .variables
            .remove("synthesis/8x8/Conv1/mod_bias")
            .unwrap();
        let extra = TensorData::from_f32(vec![1], &[0.0]).unwrap();
        network
            .variables
            .insert("synthesis/extra".to_owned(), extra);
        let error = generator_to_nvlabs(&network.variables)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mod_bias") && error.contains("synthesis/extra"),
            "{error}"
        );
    }
}
