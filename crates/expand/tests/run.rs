//! The run at a tiny size: every snapshot leads to the same weights, and what was learnt earlier keeps its place.

#![allow(clippy::unwrap_used)]

#[path = "../../../tests/tiny/mod.rs"]
mod tiny;

use std::path::Path;

use candle_core::Device;
use domex_checkpoint::container::Container;
use domex_data::portraits::Domain;
use domex_data::source::{PictureSource, Portraits};
use domex_expand::{Adapt, Config, Dimensions, Expand, Parts, TaskSpec, files};
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::probe::{ProbeConfig, probe};
use domex_latent::{Generator as _, PixelRms};
use domex_random::Streams;
use domex_stylegan2::{Model, Overwrite};
use domex_train::{Clock, Job, State};

/// Steps of a run.
const STEPS: u64 = 6;

fn config() -> Config {
    Config {
        batch: 2,
        // All phases within a few steps.
        r1_interval: 2,
        path_length_interval: 3,
        ..Config::default()
    }
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
    let guide = |name: &str| files::guide(&world.join(name), 1.0, &Device::Cpu).unwrap();
    let portraits = Portraits::new(1, Domain::Photo, tiny::SIDE as u32).unwrap();
    Expand::new(
        config,
        Parts {
            model: model.unwrap_or(&shipped),
            tasks,
            guides: vec![guide("clip-one.safetensors"), guide("clip-two.safetensors")],
            texture: None,
            distance: Some(
                files::perceptual(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap(),
            ),
            pictures: Some(Box::new(portraits) as Box<dyn PictureSource>),
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
fn fifty_resumes_reach_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let tasks = tasks(&["sketch", "zombie", "robot"]);
    let at = |step: u64| world.join(format!("{step}.safetensors"));
    let mut whole = job(world, None, config(), &tasks).unwrap();
    assert!(whole.is_adversarial());
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

    // A snapshot of other tasks or settings is refused.
    let state = State::read(&at(2)).unwrap();
    let mut wrong = job(world, None, config(), &tasks[..2]).unwrap();
    let error = wrong.restore(&state).unwrap_err().to_string();
    assert!(
        error.contains("tasks") && error.contains("sketch, zombie"),
        "{error}"
    );
    let mut wrong = job(
        world,
        None,
        Config {
            lr: 0.5,
            ..config()
        },
        &tasks,
    )
    .unwrap();
    assert!(
        wrong
            .restore(&state)
            .unwrap_err()
            .to_string()
            .contains("settings")
    );
}

#[test]
fn a_model_that_is_expanded_again_keeps_what_it_has() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let mut first = job(world, None, config(), &tasks(&["sketch", "zombie"])).unwrap();
    steps(&mut first, 0, 1);
    let path = world.join("expanded.safetensors");
    first
        .model(&clock(1))
        .unwrap()
        .save(&path, Overwrite::Refuse)
        .unwrap();
    let model = Model::load(&path, &Device::Cpu).unwrap();

    let second = job(world, Some(&model), config(), &tasks(&["robot"])).unwrap();
    let (old, new) = (first.layout().domains(), second.layout().domains());
    assert_eq!(new[..2], *old);
    assert_eq!(
        (new[2].name.as_str(), new[2].dimension),
        ("robot", tiny::DIM - 3)
    );
    // Neither the basis nor the mean is computed anew.
    let again = second.model(&clock(0)).unwrap();
    let values = |model: &Model| {
        let expansion = model.expansion().unwrap();
        let basis = expansion.basis.vectors().flatten_all().unwrap();
        basis
            .to_dtype(candle_core::DType::F64)
            .unwrap()
            .to_vec1::<f64>()
            .unwrap()
    };
    assert_eq!(values(&again), values(&model));

    let refused = |tasks: &[TaskSpec], word: &str| {
        let error = job(world, Some(&model), config(), tasks)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(word), "{error}");
    };
    refused(&tasks(&["sketch"]), "exists already");
    refused(
        &[TaskSpec {
            dimension: Some(tiny::DIM - 1),
            ..TaskSpec::texts("photo", "robot")
        }],
        "sketch",
    );
    let names: Vec<String> = (0..tiny::DIM).map(|i| format!("domain {i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    refused(&tasks(&names), "number of domains");
}

#[test]
fn dimensions_are_the_most_dormant_or_those_that_show_least() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let dims = |dimensions| {
        let config = Config {
            dimensions,
            ..config()
        };
        let mut tasks = tasks(&["a", "b", "c"]);
        tasks[1].dimension = Some(tiny::DIM - 1);
        let job = job(world, None, config, &tasks).unwrap();
        job.layout().repurposed()
    };
    assert_eq!(
        dims(Dimensions::Dormant),
        [tiny::DIM - 2, tiny::DIM - 1, tiny::DIM - 3]
    );
    // By what the pictures show.
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
    assert_eq!(dims(Dimensions::Probed), [free[0], tiny::DIM - 1, free[1]]);
}

#[test]
fn an_adaptation_moves_the_whole_generator_and_goes_on_exactly() {
    let root = tempfile::tempdir().unwrap();
    let world = root.path();
    tiny::world(world);
    let model = Model::load(world.join("generator.safetensors"), &Device::Cpu).unwrap();
    let job = || {
        let guide = files::guide(&world.join("clip-one.safetensors"), 1.0, &Device::Cpu).unwrap();
        let task = TaskSpec::texts("photo", "zombie");
        Adapt::new(config(), &model, &task, vec![guide], None, 7).unwrap()
    };
    let step = |job: &mut Adapt, at: u64| {
        let losses = job.step(&clock(at)).unwrap();
        assert!(losses.not_finite.is_empty(), "{losses:?}");
    };
    let (mut whole, mut parts) = (job(), job());
    for at in 0..4 {
        step(&mut whole, at);
    }
    step(&mut parts, 0);
    step(&mut parts, 1);
    let mut state = State::new();
    parts.save(&mut state).unwrap();
    let mut parts = job();
    parts.restore(&state).unwrap();
    step(&mut parts, 2);
    step(&mut parts, 3);

    let (whole, parts) = (whole.model().g_ema.tensors(), parts.model().g_ema.tensors());
    let values = |x: &candle_core::Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut moved = 0;
    for (name, before) in model.g_ema.tensors() {
        assert_eq!(values(&whole[&name]), values(&parts[&name]), "{name}");
        moved += usize::from(values(&whole[&name]) != values(&before));
    }
    assert!(moved > 10, "{moved} tensors moved");
}
