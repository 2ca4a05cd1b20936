//! A judge learns a small world, resumes exactly, and comes back from its file.
#![allow(clippy::unwrap_used)]

mod small_world;

use std::sync::Arc;

use candle_core::Device;
use domex_judge::Judge;
use domex_pretrain::judge::{JudgeConfig, JudgeJob};
use domex_pretrain::scenes::Scenes;
use domex_train::{Resume, RunConfig, run};
use small_world::SmallWorld;

fn job(images: u64) -> JudgeJob {
    with_nones(images, 0.0)
}

fn with_nones(images: u64, nones: f64) -> JudgeJob {
    let world = SmallWorld::new();
    let mut config = JudgeConfig::new(&world, images);
    config.network.size = 16;
    config.network.widths = vec![8, 8, 16, 16];
    config.feed.size = 16;
    config.learning.batch = 16;
    config.learning.lr = 4e-3;
    config.learning.ema_kimg = Some(0.05);
    config.nones = nones;
    JudgeJob::new(config, Arc::new(world), &Device::Cpu).unwrap()
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
fn it_learns_and_its_file_judges_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = job(3200);
    let outcome = run(&mut job, &settings(&folder.path().join("run"), 3200)).unwrap();
    let values = outcome.last.unwrap().values;
    assert!(
        values["right/domain"] > 0.95 && values["right/place"] > 0.9,
        "{values:?}"
    );

    let judge = Judge::load(outcome.model, &Device::Cpu).unwrap();
    let factors = &judge.config().factors;
    assert_eq!(factors[1..], SmallWorld::new().factors()[1..]);
    assert_eq!(judge.none(), Some(3));
    let picture = SmallWorld::new().scene(1, 1, 16).picture;
    let picture =
        domex_data::picture::from_rgb(&[picture], candle_core::DType::F32, &Device::Cpu).unwrap();
    let read = judge.forward(&picture).unwrap()[0]
        .to_vec2::<f32>()
        .unwrap();
    let own = job.judge().unwrap().forward(&picture).unwrap()[0]
        .to_vec2::<f32>()
        .unwrap();
    for (read, own) in read[0].iter().zip(&own[0]) {
        assert!(
            (read - own).abs() < 2e-2 * own.abs().max(1.0),
            "half precision: {read} and {own}"
        );
    }
}

#[test]
fn it_learns_to_say_that_a_picture_is_of_no_domain() {
    let folder = tempfile::tempdir().unwrap();
    let said = |nones: f64, name: &str| {
        let mut job = with_nones(1600, nones);
        let outcome = run(&mut job, &settings(&folder.path().join(name), 1600)).unwrap();
        outcome.last.unwrap().values["none/noise"]
    };
    assert!(said(0.0, "without") < 0.1);
    assert!(said(0.5, "with") > 0.8);
}

#[test]
fn a_stopped_run_comes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let whole = run(&mut job(320), &settings(&whole, 320)).unwrap();
    run(&mut job(320), &settings(&parts, 160)).unwrap();
    let resumed = RunConfig {
        resume: Resume::From(parts.clone()),
        ..settings(&parts, 320)
    };
    let parts = run(&mut job(320), &resumed).unwrap();
    assert_eq!(
        std::fs::read(whole.model).unwrap(),
        std::fs::read(parts.model).unwrap()
    );
}
