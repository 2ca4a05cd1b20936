//! The course of a run: its end, numbers that are not finite, its source, earlier domains.

use std::path::Path;

use candle_core::Device;
use domex_expand::{Config, Expand, TaskSpec, kept_source};
use domex_stylegan2::Model;
use domex_train::{Clock, Outcome, Resume, RunConfig};
use serde_json::json;

use crate::world::{ONE, World, config, moved, step, zombie};

#[test]
fn at_the_end_of_a_run_nothing_moves_any_more() {
    let world = World::new();
    let moved = |cooldown: f64, images: u64| {
        let config = Config {
            cooldown,
            ..config()
        };
        let clock = Clock {
            images,
            length: 100,
            ..Clock::default()
        };
        moved(&world, config, &clock)
    };
    assert!(moved(0.0, 100) > 0);
    assert!(moved(0.5, 0) > 0);
    assert_eq!(moved(0.5, 100), 0);
}

/// Weights that explode make losses that are no numbers.
fn wild(world: &World) -> Expand {
    let config = Config {
        lr: 1e30,
        ..config()
    };
    world.job(config, &[zombie()], &[ONE], None).unwrap()
}

#[test]
fn what_is_not_finite_is_told_of_and_does_not_enter_the_means() {
    let world = World::new();
    let mut job = wild(&world);
    step(&mut job, 0);
    let losses = step(&mut job, 1);
    assert!(!losses.not_finite.is_empty());
    let finite = |(_, value): &(String, f64)| value.is_finite();
    assert!(losses.values.iter().all(finite), "{losses:?}");
}

#[test]
fn a_run_with_numbers_that_are_not_finite_goes_on_from_its_snapshot() {
    let world = World::new();
    let folder = world.file("run");
    let at = |steps: u64, from: Resume| RunConfig {
        images: 2 * steps,
        tick_images: 100,
        resume: from,
        signals: false,
        ..RunConfig::new(&folder)
    };
    // The run ends between two ticks.
    domex_train::run(&mut wild(&world), &at(3, Resume::No)).unwrap();
    let resume = Resume::From(folder.clone());
    let outcome = domex_train::run(&mut wild(&world), &at(4, resume)).unwrap();
    assert_eq!(outcome.clock.step, 4);
}

/// A run of two steps.
fn run(job: &mut Expand, folder: &Path) -> Outcome {
    let config = RunConfig {
        images: 4,
        tick_images: 4,
        signals: false,
        ..RunConfig::new(folder)
    };
    domex_train::run(job, &config).unwrap()
}

#[test]
fn a_run_keeps_its_source() {
    let world = World::new();
    let (source, folder) = (world.file("generator.safetensors"), world.file("one"));
    let job = world.job(config(), &[zombie()], &[ONE], None).unwrap();
    run(&mut job.keep_source(&source), &folder);
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert!(bytes(&kept_source(&folder, &source)) == bytes(&source));
}

#[test]
fn a_run_validates_the_domains_that_the_model_had() {
    let mut world = World::new();
    let measured = |outcome: &Outcome, name: &str| {
        let last = outcome.last.as_ref().unwrap();
        last.values.get(name).copied()
    };
    let mut job = world.job(config(), &[zombie()], &[ONE], None).unwrap();
    let first = run(&mut job, &world.file("one"));
    assert_eq!(measured(&first, "validation/earlier"), None);

    world.model = Model::load(&first.model, &Device::Cpu).unwrap();
    let robot = [TaskSpec::texts("photo", "robot")];
    let mut job = world.job(config(), &robot, &[ONE], None).unwrap();
    let second = run(&mut job, &world.file("two"));
    let earlier = measured(&second, "validation/earlier").unwrap();
    assert!(earlier > 0.0, "{earlier}");
    let value = |name: &str| measured(&second, &format!("validation/{name}")).unwrap();
    let parts = value("expand") + 10.0 * (value("l2") + value("lpips")) + earlier;
    assert!((value("loss") / parts - 1.0).abs() < 1e-5, "{parts}");
}

#[test]
fn the_score_of_a_run_counts_all_that_a_step_weighs() {
    let world = World::new();
    let mut config = Config {
        reserve: 2,
        ..config()
    };
    config.source.insert("realism".to_owned(), json!(0.5));
    // Fourteen samples, eight and six at once, which are no groups of four.
    let tasks = ["a", "b", "c", "d", "e", "f", "g"].map(|name| TaskSpec::texts("photo", name));
    let mut job = world.job(config, &tasks, &[ONE], None).unwrap();
    let outcome = run(&mut job, &world.file("run"));
    let values = outcome.last.unwrap().values;
    let value = |name: &str| values[&format!("validation/{name}")];
    assert!(value("reserve") > 0.0 && value("realism") > 0.0);
    let parts = value("expand") + 10.0 * (value("l2") + value("lpips")) + value("reserve");
    let parts = parts + 0.5 * value("realism");
    assert!((value("loss") / parts - 1.0).abs() < 1e-5, "{parts}");
    assert_eq!(outcome.best.unwrap().1.score, value("loss"));
}

#[test]
fn a_model_keeps_its_discriminator_where_none_is_trained() {
    let world = World::new();
    let mut job = world.job(config(), &[zombie()], &[ONE], None).unwrap();
    let outcome = run(&mut job, &world.file("run"));
    let kept = Model::load(&outcome.model, &Device::Cpu).unwrap();
    let tensors = |model: &Model| {
        let tensors = model.discriminator.as_ref().unwrap().tensors();
        let values = tensors.into_iter().map(|(name, tensor)| {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (name, values)
        });
        values.collect::<Vec<_>>()
    };
    assert!(tensors(&kept) == tensors(&world.model));
}
