//! The run at a tiny size: every snapshot leads to the same weights, and what was learnt earlier keeps its place.

#![allow(clippy::unwrap_used)]

mod still;
mod vectors;

use domex_test_support::networks as tiny;

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Container;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::{Config, Dimensions, Expand, Networks, Parts, Placement, TaskSpec, Trainee};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::probe::{ProbeConfig, probe};
use domex_latent::{Generator as _, PixelRms};
use domex_nada::Guide;
use domex_random::Streams;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_train::{Clock, Job, Resume, RunConfig, State};
use serde_json::json;

/// Steps of a run.
const STEPS: u64 = 6;

fn config() -> Config {
    let mut config = Config {
        batch: 2,
        ..Config::default()
    };
    // All phases within a few steps.
    for (key, steps) in [("r1_interval", 2), ("path_length_interval", 3)] {
        config.source.insert(key.to_owned(), json!(steps));
    }
    config.complete(&SETTINGS).unwrap();
    config
}

fn tasks(names: &[&str]) -> Vec<TaskSpec> {
    names
        .iter()
        .map(|name| TaskSpec::texts("photo", *name))
        .collect()
}

/// A run on the networks in `world`, on its shipped generator or on another model.
fn job(
    world: &Path,
    model: Option<&Model>,
    config: Config,
    tasks: &[TaskSpec],
) -> domex_expand::Result<Expand> {
    let shipped = Model::load(world.join("generator.safetensors"), &Device::Cpu).unwrap();
    let guide = |name: &str| Guide::load(&world.join(name), 1.0, &Device::Cpu).unwrap();
    let portraits = Portraits::new(1, Domain::Photo, tiny::SIDE as u32).unwrap();
    let distance = Perceptual::load(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap();
    let model = model.unwrap_or(&shipped);
    let trainee = StyleGan2::new(model, &config, Some(Box::new(portraits)), 7)?;
    Expand::new(
        config,
        Parts {
            trainee: Box::new(trainee),
            tasks,
            networks: Networks {
                clip: vec![guide("clip-one.safetensors"), guide("clip-two.safetensors")],
                texture: None,
                teacher: None,
                distance: Some(Arc::new(distance)),
            },
            sets: domex_expand::Sets::new(),
            cache: Some(world),
            seed: 7,
        },
    )
}

fn clock(step: u64) -> Clock {
    Clock {
        step,
        images: 2 * step,
        ..Clock::default()
    }
}

fn steps(job: &mut Expand, from: u64, to: u64) {
    for step in from..to {
        let losses = job.step(&clock(step)).unwrap();
        assert!(losses.not_finite.is_empty(), "{losses:?}");
    }
}

fn save(job: &Expand, path: &Path) {
    let mut state = State::new();
    job.save(&mut state).unwrap();
    state.write(path).unwrap();
}

/// Every bit of a snapshot.
fn bits(path: &Path) -> (Vec<(String, Vec<u8>)>, String) {
    let file = Container::open(path).unwrap();
    let tensors = file.tensors().iter();
    let tensors = tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect();
    (tensors, file.config().to_string())
}

#[test]
fn a_regularizer_of_weight_0_is_left_out() {
    let world = tempfile::tempdir().unwrap();
    tiny::world(world.path());
    let regularizers = |config: Config| {
        let mut job = job(world.path(), None, config, &tasks(&["zombie"])).unwrap();
        let losses = job.step(&clock(0)).unwrap().values.into_iter();
        let names = losses.map(|(name, _)| name);
        let found = names.filter(|name| name == "loss/r1" || name == "loss/path_length");
        found.collect::<Vec<_>>()
    };
    assert_eq!(regularizers(config()), ["loss/path_length", "loss/r1"]);
    let mut without = config();
    without.source["path_length"]["weight"] = json!(0.0);
    assert_eq!(regularizers(without.clone()), ["loss/r1"]);
    without.source.insert("gamma".to_owned(), json!(0.0));
    assert!(regularizers(without).is_empty());
}

#[test]
fn fifty_resumes_reach_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let tasks = tasks(&["sketch", "zombie", "robot"]);
    let at = |step: u64| world.join(format!("{step}.safetensors"));
    let mut whole = job(world, None, config(), &tasks).unwrap();
    assert!(whole.trainee().trains_source());
    for step in 0..STEPS {
        save(&whole, &at(step));
        steps(&mut whole, step, step + 1);
    }
    save(&whole, &at(STEPS));
    let end = bits(&at(STEPS));
    assert!(
        end.0 != bits(&at(STEPS - 1)).0,
        "the last step did something"
    );

    let mut stream = Streams::new(3).stream("kills");
    let again = world.join("again.safetensors");
    // The same object, with all that a run leaves in it, and now and then a new one.
    let mut other = job(world, None, config(), &tasks).unwrap();
    for round in 0..50 {
        if round % 10 == 9 {
            other = job(world, None, config(), &tasks).unwrap();
        }
        let step = stream.index(STEPS as usize).unwrap() as u64;
        other.restore(&State::read(&at(step)).unwrap()).unwrap();
        // Late kills are as likely as early ones, and cost less to check.
        steps(&mut other, step, STEPS);
        save(&other, &again);
        assert!(bits(&again) == end, "round {round}, from step {step}");
    }
}

#[test]
fn the_weight_of_the_source_switches_its_loss_and_scales_it_on_request() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let after = |src: f64, scale: bool| {
        let mut config = config();
        config.source.insert("src".to_owned(), json!(src));
        config.source.insert("scale_src".to_owned(), json!(scale));
        let mut job = job(world, None, config, &tasks(&["sketch"])).unwrap();
        steps(&mut job, 0, 2);
        let path = world.join("after.safetensors");
        save(&job, &path);
        bits(&path).0
    };
    let published = after(1.0, false);
    assert!(after(0.5, false) == published);
    assert!(after(1.0, true) == published);
    assert!(after(0.5, true) != published);
    assert!(after(0.0, false) != published);
}

#[test]
fn runs_with_and_without_their_source_domain_learn_at_one_rate() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = root.path().join("generator.safetensors");
    let model = Model::load(model, &Device::Cpu).unwrap();
    let portraits = || Portraits::new(1, Domain::Photo, tiny::SIDE as u32).unwrap();
    let rate = |pictures: bool| {
        let pictures = pictures.then(|| Box::new(portraits()) as _);
        let trainee = StyleGan2::new(&model, &config(), pictures, 7).unwrap();
        trainee.optimizer(config().adam()).unwrap()
    };
    assert_eq!(rate(true), rate(false));
    // Path length at every third step.
    assert!((rate(false).lr - 0.001 * 3.0 / 4.0).abs() < 1e-12);
    assert!((rate(false).beta2 - 0.99_f64.powf(0.75)).abs() < 1e-12);
}

/// What resuming a run with another job says.
fn resumed_with(world: &Path, config: Config, tasks: &[TaskSpec]) -> String {
    let folder = world.join("run");
    let run = |resume, images| RunConfig {
        images,
        resume,
        signals: false,
        ..RunConfig::new(&folder)
    };
    let names = ["sketch", "zombie", "robot"];
    let started = &mut job(world, None, self::config(), &self::tasks(&names)).unwrap();
    domex_train::run(started, &run(Resume::No, 2)).unwrap();
    let other = &mut job(world, None, config, tasks).unwrap();
    let error = domex_train::run(other, &run(Resume::From(folder.clone()), 4)).unwrap_err();
    error.to_string()
}

#[test]
fn a_run_is_not_resumed_with_other_tasks() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let error = resumed_with(root.path(), config(), &tasks(&["sketch", "zombie"]));
    assert!(
        error.contains("setting tasks") || error.contains("setting layout"),
        "{error}"
    );
}

#[test]
fn a_run_is_not_resumed_with_other_settings() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let other = Config {
        lr: 0.5,
        ..config()
    };
    let error = resumed_with(root.path(), other, &tasks(&["sketch", "zombie", "robot"]));
    assert!(
        error.contains("setting config.lr: found 0.5, expected 0.001"),
        "{error}"
    );
}

/// A model with the domains sketch and zombie.
fn expanded(world: &Path) -> Model {
    let mut first = job(world, None, config(), &tasks(&["sketch", "zombie"])).unwrap();
    steps(&mut first, 0, 1);
    let path = world.join("expanded.safetensors");
    first.export(&clock(1), &path).unwrap();
    Model::load(&path, &Device::Cpu).unwrap()
}

#[test]
fn a_model_that_is_expanded_again_keeps_its_domains() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = expanded(root.path());
    let second = job(root.path(), Some(&model), config(), &tasks(&["robot"])).unwrap();
    let (old, new) = (
        model.expansion().unwrap().layout.domains(),
        second.layout().domains(),
    );
    assert_eq!(new[..2], *old);
    assert_eq!(
        (new[2].name.as_str(), new[2].dimension),
        ("robot", tiny::DIM - 3)
    );
}

#[test]
fn a_model_that_is_expanded_again_keeps_its_basis() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = expanded(root.path());
    let second = job(root.path(), Some(&model), config(), &tasks(&["robot"])).unwrap();
    let again = root.path().join("again.safetensors");
    second.export(&clock(0), &again).unwrap();
    let again = Model::load(&again, &Device::Cpu).unwrap();
    let values = |model: &Model| {
        let basis = model.expansion().unwrap().basis.vectors();
        let basis = basis.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        basis.to_vec1::<f64>().unwrap()
    };
    assert_eq!(values(&again), values(&model));
}

/// What is said to these tasks for a model with the domains sketch and zombie.
#[track_caller]
fn refused_again(tasks: &[TaskSpec], word: &str) {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = expanded(root.path());
    let refused = job(root.path(), Some(&model), config(), tasks).err();
    let error = refused.unwrap().to_string();
    assert!(error.contains(word), "{error}");
}

#[test]
fn a_domain_that_is_there_is_not_added_again() {
    refused_again(&tasks(&["sketch"]), "exists already");
}

#[test]
fn a_direction_that_a_domain_has_is_not_given_again() {
    let mut taken = TaskSpec::texts("photo", "robot");
    taken.dimension = Some(tiny::DIM - 1);
    refused_again(&[taken], "sketch");
}

#[test]
fn more_domains_than_directions_are_refused() {
    let names: Vec<String> = (0..tiny::DIM).map(|i| format!("domain {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    refused_again(&tasks(&names), "number of domains");
}

/// The directions that three domains get; the second asks for the last one.
fn chosen(world: &Path, dimensions: Dimensions) -> Vec<usize> {
    let config = Config {
        dimensions,
        ..config()
    };
    let mut tasks = tasks(&["a", "b", "c"]);
    tasks[1].dimension = Some(tiny::DIM - 1);
    let job = job(world, None, config, &tasks).unwrap();
    job.layout().repurposed()
}

#[test]
fn domains_get_the_last_directions_of_the_basis() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let found = chosen(root.path(), Dimensions::Dormant);
    assert_eq!(found, [tiny::DIM - 2, tiny::DIM - 1, tiny::DIM - 3]);
}

#[test]
fn domains_get_the_directions_that_change_pictures_least() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let model = Model::load(world.join("generator.safetensors"), &Device::Cpu).unwrap();
    let matrices = model.g_ema.acting_matrices().unwrap();
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices).unwrap();
    let settings = ProbeConfig {
        samples: 4,
        ..ProbeConfig::default()
    };
    let mut stream = Streams::new(7).stream("probe");
    let report = probe(
        &model.g_ema,
        &basis,
        &PixelRms,
        &settings,
        &mut stream,
        &mut |_| (),
    );
    let ranked = report.unwrap();
    let ranked = ranked.ranked().into_iter().map(|effect| effect.index);
    let free: Vec<usize> = ranked.filter(|&index| index != tiny::DIM - 1).collect();
    assert_eq!(
        chosen(world, Dimensions::Probed),
        [free[0], tiny::DIM - 1, free[1]]
    );
}

/// One domain that gets the whole generator, after some steps, as a model's file.
fn adapted(world: &Path, kill_at: Option<u64>) -> Model {
    let new = || {
        let config = Config {
            placement: Placement::Whole,
            ..config()
        };
        job(world, None, config, &tasks(&["zombie"])).unwrap()
    };
    let mut run = new();
    for step in 0..4 {
        if kill_at == Some(step) {
            let mut state = State::new();
            run.save(&mut state).unwrap();
            run = new();
            run.restore(&state).unwrap();
        }
        steps(&mut run, step, step + 1);
    }
    let path = world.join("adapted.safetensors");
    run.export(&clock(4), &path).unwrap();
    Model::load(&path, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn an_adaptation_moves_the_whole_generator_and_has_no_domains() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let source = Model::load(root.path().join("generator.safetensors"), &Device::Cpu).unwrap();
    let model = adapted(root.path(), None);
    assert!(model.expansion().is_none());
    let now = model.g_ema.tensors();
    let before = source.g_ema.tensors();
    let moved = before
        .iter()
        .filter(|(name, x)| values(x) != values(&now[*name]));
    assert!(moved.count() > 10);
}

#[test]
fn an_adaptation_of_a_model_with_domains_is_refused_as_it_would_lose_them() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let run = job(world, None, config(), &tasks(&["sketch"])).unwrap();
    let path = world.join("expanded.safetensors");
    run.export(&clock(0), &path).unwrap();
    let expanded = Model::load(&path, &Device::Cpu).unwrap();
    let whole = Config {
        placement: Placement::Whole,
        ..config()
    };
    let refused = job(world, Some(&expanded), whole, &tasks(&["zombie"]));
    let error = refused.err().unwrap().to_string();
    assert!(
        error.contains("placement") && error.contains("lost"),
        "{error}"
    );
}

#[test]
fn a_place_for_a_domain_that_has_the_whole_generator_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let refused = |task: &TaskSpec, distance: Option<f64>, words: &str| {
        let whole = Config {
            placement: Placement::Whole,
            distance,
            ..config()
        };
        let refused = job(world, None, whole, std::slice::from_ref(task));
        let error = refused.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    let zombie = || tasks(&["zombie"]).remove(0);
    refused(&zombie(), Some(12.0), "distance: 12");
    let mut placed = zombie();
    placed.distance = Some(3.0);
    refused(&placed, None, "distance of the task: 3");
    placed.dimension = Some(5);
    refused(&placed, None, "dimension of the task: 5");
}

#[test]
fn a_resumed_adaptation_reaches_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let whole = adapted(root.path(), None).g_ema.tensors();
    let parts = adapted(root.path(), Some(2)).g_ema.tensors();
    for (name, tensor) in &whole {
        assert_eq!(values(tensor), values(&parts[name]), "{name}");
    }
}
