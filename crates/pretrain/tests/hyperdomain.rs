//! A hypernetwork learns to edit along the directions of a few texts, and resumes exactly.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use domex_hyperdomain::{Config, ModulationKind, file, modulation};
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_pretrain::hyperdomain::{
    Augmentation, HyperdomainConfig, HyperdomainJob, Networks, TextPictures,
};
use domex_pretrain::portraits::DomainTexts;
use domex_stylegan2::Model;
use domex_test_support::{networks, runs::assert_resume_is_exact};
use domex_train::{RunConfig, run};

const TEXTS: [&str; 5] = ["sketch", "zombie", "statue", "robot", "oil painting"];
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
    job_on(folder, augmentation, false)
}

/// A job on small networks; renderings of the texts may be known.
fn job_on(folder: &Path, augmentation: Augmentation, is_rendered: bool) -> HyperdomainJob {
    let names = ["generator", "one", "two", "perceptual"];
    let [model, one, two, perceptual] = names.map(|n| folder.join(format!("{n}.safetensors")));
    if !model.exists() {
        networks::generator(&model, 3, false);
        networks::clip(&one, 1);
        networks::clip(&two, 2);
        networks::perceptual(&perceptual);
    }
    let generator = Model::load(&model, &Device::Cpu).unwrap().g_ema;
    let guide = |path: &PathBuf| Guide::load(path, 1.0, &Device::Cpu).unwrap();
    let mut config = config(&generator, augmentation);
    let (side, z_dim) = (
        generator.config().synthesis.img_resolution as u32,
        generator.config().z_dim(),
    );
    let pictures = is_rendered.then(|| {
        (config.weights.squares, config.weights.perceptual) = (2.0, 1.0);
        config.weights.reconstruction = 0.5;
        let known = DomainTexts::new(side, z_dim, &config.texts).unwrap();
        Box::new(known) as Box<dyn TextPictures>
    });
    let networks = Networks {
        guides: [one, two].iter().map(guide).collect(),
        perceptual: Some(Lpips::load(&perceptual, DType::F32, &Device::Cpu).unwrap()),
        pictures,
    };
    let hashes = ["generator".to_owned(), "clip".to_owned()];
    HyperdomainJob::new(config, generator, networks, hashes, &Device::Cpu).unwrap()
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
fn edited_pictures_come_nearer_to_what_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let learnt = |images: u64| {
        let out = folder.path().join(format!("run{images}"));
        let mut job = job_on(folder.path(), Augmentation::ResampleAndConvex, true);
        let config = RunConfig {
            tick_images: 400,
            ..settings(&out, images)
        };
        let values = run(&mut job, &config).unwrap().last.unwrap().values;
        assert!(values["reconstruction"] > 0.0 && values["perceptual"] > 0.0);
        values["squares"]
    };
    let (before, after) = (learnt(16), learnt(1200));
    assert!(after < 0.8 * before, "{before} {after}");
}

#[test]
fn a_run_with_pictures_resumes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mixed = Augmentation::ResampleAndConvex;
    let job = || job_on(folder.path(), mixed, true);
    assert_resume_is_exact(job, settings, 32);
}

#[test]
fn a_text_that_names_no_learnt_domain_has_no_pictures() {
    for text in ["photo", "elf", "hedgehog"] {
        let error = DomainTexts::new(16, 32, &[text.to_owned()]).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
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
