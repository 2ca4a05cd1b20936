//! A hypernetwork learns to edit along the directions of a few texts, and resumes exactly.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::Device;
use domex_hyperdomain::{Config, ModulationKind, file, modulation};
use domex_nada::Guide;
use domex_pretrain::hyperdomain::{Augmentation, HyperdomainConfig, HyperdomainJob};
use domex_stylegan2::Model;
use domex_test_support::{networks, runs::assert_resume_is_exact};
use domex_train::{RunConfig, run};

const TEXTS: [&str; 5] = ["sketch", "zombie", "statue", "robot", "oil"];

fn config(generator: &domex_stylegan2::Generator, augmentation: Augmentation) -> HyperdomainConfig {
    let layers = modulation::convolutions(generator);
    let network = Config::new(ModulationKind::CinMult, 8, &layers);
    let mut config = HyperdomainConfig::new(network, 1200);
    config.augmentation = augmentation;
    config.learning.batch = 8;
    config.augment.noise = 0.0;
    config.texts = TEXTS.map(str::to_owned).to_vec();
    config.unseen = vec!["elf".to_owned()];
    config
}

fn job(folder: &Path, augmentation: Augmentation) -> HyperdomainJob {
    let paths = ["generator", "one", "two"].map(|name| folder.join(format!("{name}.safetensors")));
    if !paths[0].exists() {
        networks::generator(&paths[0], 3, false);
        networks::clip(&paths[1], 1);
        networks::clip(&paths[2], 2);
    }
    let generator = Model::load(&paths[0], &Device::Cpu).unwrap().g_ema;
    let guides = paths[1..]
        .iter()
        .map(|path| Guide::load(path, 1.0, &Device::Cpu).unwrap());
    let config = config(&generator, augmentation);
    let hashes = ["generator".to_owned(), "clip".to_owned()];
    HyperdomainJob::new(config, generator, guides.collect(), hashes, &Device::Cpu).unwrap()
}

fn settings(out: &Path, images: u64) -> RunConfig {
    RunConfig {
        images,
        tick_images: images,
        signals: false,
        ..RunConfig::new(out)
    }
}

#[test]
fn edits_turn_to_the_directions_of_their_texts() {
    let folder = tempfile::tempdir().unwrap();
    let learnt = |images: u64| {
        let out = folder.path().join(format!("run{images}"));
        let mut job = job(folder.path(), Augmentation::None);
        let config = RunConfig {
            tick_images: 400,
            ..settings(&out, images)
        };
        let outcome = run(&mut job, &config).unwrap();
        let (_, purpose) = file::read(&outcome.model, &Device::Cpu).unwrap();
        assert_eq!(purpose.texts, TEXTS);
        let values = outcome.last.unwrap().values;
        assert!(values["direction/unseen"].abs() <= 1.0);
        values["direction"]
    };
    let (before, after) = (learnt(16), learnt(1200));
    assert!(after < 0.8 * before, "{before} {after}");
}

#[test]
fn a_resumed_run_comes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    for augmentation in [Augmentation::None, Augmentation::ResampleAndConvex] {
        assert_resume_is_exact(|| job(folder.path(), augmentation), settings, 32);
    }
}

#[test]
fn one_text_is_what_an_expansion_learns() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(folder.path(), Augmentation::None);
    drop(job);
    let generator = Model::load(folder.path().join("generator.safetensors"), &Device::Cpu)
        .unwrap()
        .g_ema;
    let mut config = config(&generator, Augmentation::None);
    config.texts.truncate(1);
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("domex expand"), "{error}");
}
