//! A perceptual network learns to order the triplets of a small world, and comes back from its file.
#![allow(clippy::unwrap_used)]

mod small_world;

use std::sync::Arc;

use candle_core::{DType, Device};
use domex_lpips::Lpips;
use domex_pretrain::perceptual::{PerceptualConfig, PerceptualJob};
use domex_pretrain::scenes::Scenes;
use domex_test_support::runs::assert_resume_is_exact;
use domex_train::{RunConfig, run};
use small_world::SmallWorld;

fn job(images: u64) -> PerceptualJob {
    let mut config = PerceptualConfig::new(images);
    config.feed.size = 16;
    config.learning.batch = 8;
    config.learning.ema_kimg = Some(0.02);
    config.triplets = 8;
    config.measured = 64;
    PerceptualJob::new(config, Arc::new(SmallWorld::new()), &Device::Cpu).unwrap()
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
fn it_learns_an_order_and_a_unit() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&mut job(640), &settings(&folder.path().join("run"), 640)).unwrap();
    let values = outcome.last.unwrap().values;
    assert!(values["right/order"] > 0.85, "{values:?}");

    let lpips = Lpips::load(outcome.model, DType::F32, &Device::Cpu).unwrap();
    let world = SmallWorld::new();
    let pictures = |domain: usize| {
        let pictures = [world.scene(domain, 2, 16).picture];
        domex_data::picture::from_rgb(&pictures, DType::F32, &Device::Cpu).unwrap()
    };
    let distance = |a: usize, b: usize| {
        lpips
            .distance(&pictures(a), &pictures(b))
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()[0]
    };
    assert_eq!(distance(1, 1), 0.0);
    let apart = distance(0, 1);
    assert!((0.2..2.0).contains(&apart), "{apart}");
}

#[test]
fn a_resumed_run_comes_to_the_same_weights() {
    assert_resume_is_exact(|| job(64), settings, 64);
}
