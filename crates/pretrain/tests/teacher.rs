//! A teacher learns a small world, resumes exactly, and comes back from its file.
#![allow(clippy::unwrap_used)]

mod small_world;

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use domex_clip::Bundle;
use domex_pretrain::scenes::Scenes;
use domex_pretrain::teacher::{TeacherConfig, TeacherJob, Texts};
use domex_teacher::{Config, Teacher};
use domex_test_support::networks;
use domex_train::{Resume, RunConfig, run};
use small_world::SmallWorld;

fn texts(folder: &Path, names: &[&str]) -> Result<Texts, String> {
    let file = folder.join("clip.safetensors");
    if !file.exists() {
        networks::clip(&file, 1);
    }
    let clip = Bundle::load(&file, DType::F32, &Device::Cpu).unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    Texts::new(&SmallWorld::new(), &names, &clip).map_err(|error| error.to_string())
}

fn job(folder: &Path, images: u64) -> TeacherJob {
    let names = ["day", "dusk"];
    let texts = texts(folder, &names).unwrap();
    let names = names.map(str::to_owned).to_vec();
    let mut config = TeacherConfig::new(names, texts.dim(), images);
    config.network = Config::new(16, texts.dim(), &[8, 16]);
    config.learning.batch = 8;
    config.learning.lr = 4e-3;
    config.learning.ema_kimg = Some(0.05);
    config.measured = 64;
    TeacherJob::new(config, Arc::new(SmallWorld::new()), texts, &Device::Cpu).unwrap()
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
fn it_learns_and_its_file_draws() {
    let folder = tempfile::tempdir().unwrap();
    let loss = |images| {
        let out = folder.path().join(format!("{images}"));
        let outcome = run(&mut job(folder.path(), images), &settings(&out, images)).unwrap();
        (outcome.last.unwrap().values["loss/fresh"], outcome.model)
    };
    let ((before, _), (after, model)) = (loss(8), loss(800));
    assert!(after < 0.8 * before, "{before} to {after}");
    let teacher = Teacher::load(model, &Device::Cpu).unwrap();
    assert_eq!(teacher.config().size(), 16);
    teacher
        .check_text(texts(folder.path(), &["day"]).unwrap().probe())
        .unwrap();
}

#[test]
fn a_stopped_run_comes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let whole = run(&mut job(folder.path(), 80), &settings(&whole, 80)).unwrap();
    run(&mut job(folder.path(), 80), &settings(&parts, 40)).unwrap();
    let resumed = RunConfig {
        resume: Resume::From(parts.clone()),
        ..settings(&parts, 80)
    };
    let parts = run(&mut job(folder.path(), 80), &resumed).unwrap();
    assert_eq!(
        std::fs::read(whole.model).unwrap(),
        std::fs::read(parts.model).unwrap()
    );
}

#[test]
fn domains_are_those_that_were_named() {
    let folder = tempfile::tempdir().unwrap();
    let found = texts(folder.path(), &["dusk", "day"]).unwrap();
    assert_eq!(
        (found.domain(0), found.domain(1), found.domains()),
        (2, 0, 2)
    );
    let error = texts(folder.path(), &["dusk", "noon"]).err().unwrap();
    assert!(error.contains("noon") && error.contains("night"), "{error}");
    assert_eq!(SmallWorld::new().domains(), 3);
}
