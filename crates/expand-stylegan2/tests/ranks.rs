//! Ranks that share the steps of an expansion come to the bits of one process. Here they are threads.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::methods::adversarial::folder;
use domex_expand::{Config, Expand, Networks, Parts, Sets, TaskSpec};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_test_support::networks as tiny;
use domex_test_support::ranks::{Stepped, stepped, together};
use domex_train::{Job as _, State, Team};
use serde_json::json;

const BATCH: usize = 6;

/// Passes of two samples, with all that a step can have.
fn config() -> Config {
    let mut config = Config {
        batch: BATCH,
        micro_batch: Some(2),
        reserve: 2,
        ..Config::default()
    };
    config.objective.diversity = 0.1;
    for (key, steps) in [("r1_interval", 2), ("path_length_interval", 2)] {
        config.source.insert(key.to_owned(), json!(steps));
    }
    config.source.insert("realism".to_owned(), json!(0.5));
    config.complete(&SETTINGS).unwrap();
    config
}

/// A domain by CLIP and one by a discriminator of its own.
fn job(world: &Path, config: Config, team: Team) -> domex_expand::Result<Expand> {
    let model = Model::load(world.join("generator.safetensors"), &Device::Cpu).unwrap();
    let of = |domain| Portraits::new(1, domain, tiny::SIDE as u32).unwrap();
    let trainee = StyleGan2::new(&model, &config, Some(Box::new(of(Domain::Photo))), 7)?;
    let clip = Guide::load(&world.join("clip-one.safetensors"), 1.0, &Device::Cpu).unwrap();
    let distance = Perceptual::load(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap();
    let sketches = Path::new("/sketches");
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &[
            TaskSpec::texts("photo", "zombie"),
            folder("sketch", sketches),
        ],
        networks: Networks {
            clip: vec![clip],
            distance: Some(Arc::new(distance)),
            ..Networks::default()
        },
        sets: Sets::from([(sketches.to_owned(), Arc::new(of(Domain::Sketch)) as _)]),
        cache: None,
        seed: 7,
    };
    Expand::new(config, parts)?.shared(team)
}

/// What three steps of a job come to.
fn learnt(world: &Path, team: Team) -> Stepped {
    stepped(job(world, config(), team).unwrap(), 3)
}

#[test]
fn two_ranks_have_the_weights_streams_and_losses_of_one_process_to_the_bit() {
    let world = tempfile::tempdir().unwrap();
    tiny::world(world.path());
    let alone = learnt(world.path(), Team::default());
    let told = |name: &str| alone.2.values.iter().any(|(known, _)| known == name);
    for name in ["loss/G", "loss/path_length", "loss/r1", "loss/realism"] {
        assert!(told(name), "{name} is not in {:?}", alone.2);
    }
    let ranks = together(2, |team| learnt(world.path(), team));
    for (sums, document, losses) in ranks {
        let differing: Vec<_> = sums.iter().zip(&alone.0).filter(|(a, b)| a != b).collect();
        assert!(differing.is_empty(), "{differing:?}");
        assert_eq!(document, alone.1);
        assert_eq!(losses, alone.2);
    }
}

#[test]
fn every_rank_factorises_the_same_basis() {
    let world = tempfile::tempdir().unwrap();
    tiny::world(world.path());
    let bases = together(2, |team| {
        let mut state = State::new();
        let job = job(world.path(), config(), team).unwrap();
        job.computed(&mut state).unwrap();
        let mut sums = state.checksums();
        sums.find(|(name, _)| *name == "basis").unwrap().1
    });
    assert_eq!(bases[0], bases[1]);
}

#[test]
fn fewer_passes_than_ranks_are_refused() {
    let world = tempfile::tempdir().unwrap();
    tiny::world(world.path());
    let errors = together(2, |team| {
        let whole = Config {
            micro_batch: None,
            batch: 4,
            ..config()
        };
        let built = job(world.path(), whole, team);
        built.err().unwrap().to_string()
    });
    for error in errors {
        let expected = "passes of a step: 1 (batch 4), expected 2 or more, one for each rank";
        assert!(error.contains(expected), "{error}");
    }
}
