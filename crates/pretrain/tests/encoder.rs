//! An encoder learns a small generator's latents, resumes exactly, and comes back from its file.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device};
use domex_encoder::Encoder;
use domex_lpips::Lpips;
use domex_pretrain::encoder::{EncoderConfig, EncoderJob};
use domex_stylegan2::Model;
use domex_test_support::{networks, runs::assert_resume_is_exact};
use domex_train::{RunConfig, run};

/// A generator of 16 × 16 and a perceptual network.
struct World {
    _folder: tempfile::TempDir,
    model: Model,
    perceptual: Lpips,
}

fn world(seed: u64) -> World {
    let folder = tempfile::tempdir().unwrap();
    let (generator, perceptual) = (folder.path().join("g"), folder.path().join("p"));
    networks::generator(&generator, seed, false);
    networks::perceptual(&perceptual);
    World {
        model: Model::load(&generator, &Device::Cpu).unwrap(),
        perceptual: Lpips::load(&perceptual, DType::F32, &Device::Cpu).unwrap(),
        _folder: folder,
    }
}

fn config(world: &World, images: u64) -> EncoderConfig {
    let mut config = EncoderConfig::new(&world.model, images).unwrap();
    config.network.widths = [8, 16, 16, 16];
    config.learning.batch = 16;
    config.learning.lr = 4e-3;
    config.learning.ema_kimg = Some(0.05);
    config.measured = 32;
    config
}

fn job(world: &World, images: u64) -> EncoderJob {
    let config = config(world, images);
    EncoderJob::new(config, &world.model, world.perceptual.clone(), &Device::Cpu).unwrap()
}

fn settings(out: &std::path::Path, images: u64) -> RunConfig {
    RunConfig {
        images,
        tick_images: images,
        signals: false,
        ..RunConfig::new(out)
    }
}

#[test]
fn it_finds_latents_that_it_has_not_seen_and_its_file_finds_the_same() {
    let world = world(3);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let mut job = job(&world, 3200);
    let outcome = run(&mut job, &settings(&out, 3200)).unwrap();
    let values = outcome.last.unwrap().values;
    // The mean latent alone has an error of 1.
    assert!(values["error of coordinates"] < 0.6, "{values:?}");
    let drawn = std::fs::read_dir(&out).unwrap().flatten();
    let drawn = drawn.filter(|entry| entry.file_name().to_string_lossy().starts_with("found"));
    assert_eq!(drawn.count(), 1);

    let encoder = Encoder::load(outcome.model, &Device::Cpu).unwrap();
    encoder.check(world.model.generator()).unwrap();
    let pictures = candle_core::Tensor::zeros((1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
    let own = job.encoder().unwrap().encode(&pictures).unwrap();
    let apart = (encoder.encode(&pictures).unwrap() - &own)
        .unwrap()
        .abs()
        .unwrap();
    let apart = apart.max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(apart < 2e-2, "half precision: {apart}");
}

#[test]
fn a_resumed_run_writes_the_same_bits() {
    let world = world(3);
    assert_resume_is_exact(|| job(&world, 64), settings, 64);
}

#[test]
fn settings_of_another_generator_are_refused() {
    let (one, other) = (world(3), world(4));
    let made = EncoderJob::new(
        config(&one, 64),
        &other.model,
        other.perceptual.clone(),
        &Device::Cpu,
    );
    let error = made.err().unwrap().to_string();
    assert!(error.contains("another generator"), "{error}");
}
