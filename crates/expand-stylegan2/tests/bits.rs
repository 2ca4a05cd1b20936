//! The bits of a tiny expansion with all phases: a change that is not meant to change arithmetic must leave them.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use domex_checkpoint::container::Container;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::{Config, Expand, Networks, Parts, TaskSpec};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_kernels::simd::Isa;
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_test_support::networks;
use domex_train::{Clock, Job};
use serde_json::json;

/// SHA-256 of names and bytes of the model's tensors, for each instruction set that it was made on. A processor with another
/// one rounds otherwise and has no row.
const KNOWN: [(Isa, &str); 1] = [(
    Isa::Avx512,
    "923e1846220edb2b372372a8cca0582faa90ddf3346fc2a3fb0937c84e96939d",
)];

fn trained(world: &Path) -> std::path::PathBuf {
    networks::world(world);
    let mut config = Config {
        batch: 2,
        ..Config::default()
    };
    for (key, steps) in [("r1_interval", 2), ("path_length_interval", 2)] {
        config.source.insert(key.to_owned(), json!(steps));
    }
    config.complete(&SETTINGS).unwrap();
    let model = Model::load(world.join("generator.safetensors"), &Device::Cpu).unwrap();
    let portraits = Portraits::new(1, Domain::Photo, networks::SIDE as u32).unwrap();
    let trainee = StyleGan2::new(&model, &config, Some(Box::new(portraits)), 7).unwrap();
    let clip = Guide::load(&world.join("clip-one.safetensors"), 1.0, &Device::Cpu).unwrap();
    let distance = Perceptual::load(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap();
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &[
            TaskSpec::texts("photo", "zombie"),
            TaskSpec::texts("photo", "sketch"),
        ],
        networks: Networks {
            clip: vec![clip],
            texture: None,
            teacher: None,
            distance: Some(Arc::new(distance)),
        },
        sets: domex_expand::Sets::new(),
        cache: None,
        seed: 7,
    };
    let mut run = Expand::new(config, parts).unwrap();
    let at = |step| Clock {
        step,
        images: 2 * step,
        ..Clock::default()
    };
    for step in 0..3 {
        let losses = run.step(&at(step)).unwrap();
        assert!(losses.not_finite.is_empty(), "{losses:?}");
    }
    let path = world.join("model.safetensors");
    run.export(&at(3), &path).unwrap();
    path
}

/// SHA-256 of a run in a folder of its own.
fn hash() -> String {
    let root = tempfile::tempdir().unwrap();
    let model = Container::open(trained(root.path())).unwrap();
    let mut bytes = Vec::new();
    for (name, tensor) in model.tensors() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(tensor.bytes());
    }
    let file = root.path().join("tensors");
    std::fs::write(&file, bytes).unwrap();
    domex_checkpoint::sha256_file(&file).unwrap()
}

#[test]
fn a_tiny_run_with_all_phases_has_the_known_bits() {
    let known = KNOWN.iter().find(|(isa, _)| *isa == Isa::best());
    // Where none are known, at least those of a second run.
    let expected = known.map_or_else(hash, |(_, bits)| (*bits).to_owned());
    assert_eq!(hash(), expected, "on {:?}", Isa::best());
}
