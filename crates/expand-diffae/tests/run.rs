//! An expansion of a tiny autoencoder: what is trained, what is aligned, what resumes, what is refused.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_diffae::{Config as Networks, Model};
use domex_expand::{
    Config, Dimensions, Expand, Noise, ParametrisationKind, Parts, Placement, TaskSpec, Trainee,
    Weights,
};
use domex_expand_diffae::{DiffAe, SETTINGS};
use domex_nada::Guide;
use domex_random::Streams;
use domex_replay::Perceptual;
use domex_test_support::networks as tiny;
use domex_train::{Clock, Job, State};
use serde_json::json;

/// Settings with these of the kind's own.
fn config(own: &[(&str, f64)]) -> Config {
    let mut config = Config {
        batch: 2,
        // Probing every direction would take most of a test's time.
        dimensions: Dimensions::Dormant,
        ..Config::default()
    };
    for (key, value) in own {
        let value = match value.fract() == 0.0 && *key != "src" {
            true => json!(*value as u64),
            false => json!(value),
        };
        config.source.insert((*key).to_owned(), value);
    }
    config.complete(&SETTINGS).unwrap();
    config
}

/// Three steps, of which two carry a gradient, and no training on the source.
fn plain() -> Config {
    config(&[("steps", 3.0), ("gradient_steps", 2.0), ("src", 0.0)])
}

fn model() -> Model {
    Model::random(&Networks::tiny(), 0, &Device::Cpu).unwrap()
}

fn photos() -> Box<Portraits> {
    Box::new(Portraits::new(1, Domain::Photo, 16).unwrap())
}

fn trainee(model: &Model, config: &Config) -> DiffAe {
    DiffAe::new(model, config, Some(photos()), 7).unwrap()
}

fn job(
    world: &Path,
    model: &Model,
    config: Config,
    names: &[&str],
) -> domex_expand::Result<Expand> {
    let guide = Guide::load(&world.join("clip-one.safetensors"), 1.0, &Device::Cpu).unwrap();
    let distance = Perceptual::load(&world.join("perceptual.safetensors"), &Device::Cpu).unwrap();
    let tasks: Vec<TaskSpec> = names
        .iter()
        .map(|name| TaskSpec::texts("photo", *name))
        .collect();
    let parts = Parts {
        trainee: Box::new(DiffAe::new(model, &config, Some(photos()), 7)?),
        tasks: &tasks,
        networks: domex_expand::Networks {
            clip: vec![guide],
            texture: None,
            teacher: None,
            distance: Some(Arc::new(distance)),
        },
        sets: domex_expand::Sets::new(),
        cache: None,
        seed: 7,
    };
    Expand::new(config, parts)
}

fn clock(step: u64) -> Clock {
    Clock {
        step,
        images: 2 * step,
        ..Clock::default()
    }
}

fn step(job: &mut Expand, at: u64) -> domex_train::Losses {
    let losses = job.step(&clock(at)).unwrap();
    assert!(losses.not_finite.is_empty(), "{losses:?}");
    losses
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    difference.max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn the_pictures_of_a_sample_begin_at_the_same_noise() {
    let model = model();
    let mut trainee = trainee(&model, &plain());
    trainee.train_weights().unwrap();
    let streams = Streams::new(1);
    let z = trainee
        .draw_latents(2, None, &mut streams.stream("z"))
        .unwrap();
    let moved = (&z + 0.5).unwrap();
    let (mut live, mut other) = (streams.stream("live"), streams.stream("other"));
    let noise = Noise::Fresh {
        live: &mut live,
        source: &mut other,
    };
    let (own, source) = trainee
        .pictures(Weights::Live, &[&z, &moved], &[&z], noise)
        .unwrap();
    // Nothing was trained: live and source pictures agree where codes and noise do.
    assert!(apart(&own[0], &source[0]) < 1e-4);
    assert!(apart(&own[0], &own[1]) > 1e-3);
    let samples = [
        own[0].narrow(0, 0, 1).unwrap(),
        own[0].narrow(0, 1, 1).unwrap(),
    ];
    assert!(apart(&samples[0], &samples[1]) > 1e-3);
    let mut again = streams.stream("live");
    let noise = Noise::Fresh {
        live: &mut again,
        source: &mut other,
    };
    let (repeated, _) = trainee
        .pictures(Weights::Frozen, &[&z], &[], noise)
        .unwrap();
    assert!(apart(&own[0], &repeated[0]) < 1e-4);
}

#[test]
fn a_gradient_through_the_whole_chain_is_the_slope_of_the_picture() {
    let model = model();
    let config = config(&[("steps", 3.0), ("gradient_steps", 3.0), ("src", 0.0)]);
    let mut trainee = trainee(&model, &config);
    let parameters = trainee.train_weights().unwrap();
    let z = Tensor::zeros((1, 32), DType::F32, &Device::Cpu).unwrap();
    let mean = |trainee: &DiffAe| {
        let (own, _) = trainee
            .pictures(Weights::Live, &[&z], &[], Noise::Fixed)
            .unwrap();
        own[0].mean_all().unwrap()
    };
    let gradients = mean(&trainee).backward().unwrap();
    let (name, var) = parameters
        .iter()
        .find(|(name, _)| *name == "out.2.bias")
        .unwrap();
    assert_eq!(name, "out.2.bias");
    let slope = gradients.get(var).unwrap().sum_all().unwrap();
    let slope = slope.to_scalar::<f32>().unwrap();
    let start = var.as_tensor().copy().unwrap();
    let at = |shift: f64| {
        var.set(&(&start + shift).unwrap()).unwrap();
        mean(&trainee).to_scalar::<f32>().unwrap()
    };
    let expected = (at(1e-2) - at(-1e-2)) / 2e-2;
    assert!(
        (slope - expected).abs() < 0.05 * expected.abs() && expected.abs() > 1e-3,
        "{slope} {expected}"
    );
}

#[test]
fn fewer_steps_with_a_gradient_make_the_same_picture_and_another_gradient() {
    let model = model();
    let z = Tensor::zeros((1, 32), DType::F32, &Device::Cpu).unwrap();
    let made = [1.0, 2.0, 3.0].map(|steps| {
        let config = config(&[("steps", 3.0), ("gradient_steps", steps), ("src", 0.0)]);
        let mut trainee = trainee(&model, &config);
        let parameters = trainee.train_weights().unwrap();
        let (own, _) = trainee
            .pictures(Weights::Live, &[&z], &[], Noise::Fixed)
            .unwrap();
        let gradients = own[0].sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut bias = parameters.iter().filter(|(name, _)| *name == "out.2.bias");
        let gradient = gradients.get(bias.next().unwrap().1).unwrap().clone();
        (own[0].detach(), gradient)
    });
    assert!(apart(&made[0].0, &made[2].0) < 1e-5);
    assert!(apart(&made[1].0, &made[2].0) < 1e-5);
    assert!(apart(&made[0].1, &made[1].1) > 1e-6);
    assert!(apart(&made[1].1, &made[2].1) > 1e-6);
}

#[test]
fn the_layers_that_a_code_meets_first_can_be_trained_alone() {
    let mut config = plain();
    config
        .source
        .insert("trains".to_owned(), json!("conditions"));
    let trained = trainee(&model(), &config).train_weights().unwrap();
    let names: Vec<&str> = trained.iter().map(|(name, _)| name).collect();
    let conditions = |name: &&str| name.contains(".cond_emb_layers.");
    assert!(
        !names.is_empty() && names.iter().all(conditions),
        "{names:?}"
    );
    let all = trainee(&model(), &plain()).train_weights().unwrap();
    assert_eq!(
        all.iter().filter(|(name, _)| conditions(name)).count(),
        names.len()
    );
}

#[test]
fn a_step_moves_the_decoder_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = model();
    let own = [("steps", 2.0), ("gradient_steps", 1.0)];
    let mut run = job(root.path(), &model, config(&own), &["zombie", "sketch"]).unwrap();
    assert!(run.trainee().trains_source());
    let losses = step(&mut run, 0);
    for name in ["loss/expand", "loss/lpips", "loss/noise"] {
        assert!(
            losses.values.iter().any(|(known, _)| known == name),
            "{name}"
        );
    }
    let path = root.path().join("model.safetensors");
    run.export(&clock(1), &path).unwrap();
    let expanded = Model::load(&path, &Device::Cpu).unwrap();
    let expansion = expanded.expansion.as_ref().unwrap();
    let names: Vec<_> = expansion
        .layout
        .domains()
        .iter()
        .map(|d| d.name.as_str())
        .collect();
    assert_eq!(names, ["zombie", "sketch"]);
    let moved = |prefix: &str| {
        let all = model.tensors().iter();
        let own = all.filter(|(name, _)| name.starts_with(prefix));
        let own = own.map(|(name, tensor)| apart(tensor, &expanded.tensors()[name]));
        own.fold(0.0, f32::max)
    };
    assert!(moved("input_blocks.") > 0.0 && moved("output_blocks.") > 0.0);
    assert_eq!((moved("encoder."), moved("latent_net.")), (0.0, 0.0));

    // Expanded again, it keeps what it has.
    let second = job(root.path(), &expanded, plain(), &["robot"]).unwrap();
    assert_eq!(second.layout().domains()[..2], *expansion.layout.domains());
    assert_eq!(second.layout().domains()[2].name, "robot");
}

#[test]
fn a_stopped_run_comes_to_the_same_weights() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let model = model();
    let own = [("steps", 2.0), ("gradient_steps", 2.0)];
    let new = || job(root.path(), &model, config(&own), &["zombie"]).unwrap();
    let export = |run: &Expand, name: &str| {
        let path = root.path().join(name);
        run.export(&clock(2), &path).unwrap();
        std::fs::read(path).unwrap()
    };
    let mut whole = new();
    step(&mut whole, 0);
    let mut state = State::new();
    whole.save(&mut state).unwrap();
    step(&mut whole, 1);
    let mut other = new();
    other.restore(&state).unwrap();
    assert!(export(&other, "half") != export(&whole, "whole"));
    step(&mut other, 1);
    assert!(export(&other, "resumed") == export(&whole, "whole"));
}

#[test]
fn domains_lie_as_far_from_the_base_as_codes_from_their_mean() {
    let model = model();
    // Deviations of 1 in 32 numbers.
    let expected = 32f64.sqrt();
    let found = trainee(&model, &plain()).distance().unwrap();
    assert!((found - expected).abs() < 1e-6);
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let said = Config {
        distance: Some(3.0),
        ..plain()
    };
    let placed = |config| {
        job(root.path(), &model, config, &["zombie"])
            .unwrap()
            .layout()
            .domains()[0]
            .distance
    };
    assert!((placed(plain()) - expected).abs() < 1e-6);
    assert_eq!(placed(said), 3.0);
}

#[test]
fn without_a_latent_prior_latents_are_codes_of_pictures() {
    let networks = Networks {
        latent: None,
        ..Networks::tiny()
    };
    let mut model = Model::random(&networks, 0, &Device::Cpu).unwrap();
    model.set_statistics(None).unwrap();
    let config = config(&[("steps", 2.0), ("gradient_steps", 1.0), ("codes", 6.0)]);
    let mut trainee = trainee(&model, &config);
    let (pictures, _) = domex_data::source::batch(&*photos(), &[0, 1, 2, 3, 4, 5]).unwrap();
    let pictures = domex_data::picture::from_rgb(&pictures, DType::F32, &Device::Cpu).unwrap();
    let codes = model.encode(&pictures).unwrap();
    let drawn = trainee
        .draw_latents(20, None, &mut Streams::new(1).stream("latents"))
        .unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for i in 0..20 {
        let one = drawn.narrow(0, i, 1).unwrap();
        let found = (0..6).find(|&j| apart(&one, &codes.narrow(0, j, 1).unwrap()) < 1e-5);
        seen.insert(found.unwrap());
    }
    assert!(seen.len() > 3, "{seen:?}");
    let mean = codes.mean(0).unwrap();
    assert!(apart(&trainee.mean().unwrap(), &mean) < 1e-5);
    assert!(apart(&trainee.generator(Weights::Source).mean().unwrap(), &mean) < 1e-5);

    // The model that comes of it knows their statistics.
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let run = job(root.path(), &model, config, &["zombie"]).unwrap();
    let path = root.path().join("model.safetensors");
    run.export(&clock(0), &path).unwrap();
    let expanded = Model::load(&path, &Device::Cpu).unwrap();
    assert!(
        apart(
            &expanded.statistics.unwrap().mean.squeeze(0).unwrap(),
            &mean
        ) < 1e-5
    );
}

#[test]
fn an_adaptation_gets_the_whole_latent_space() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let config = Config {
        placement: Placement::Whole,
        ..plain()
    };
    let mut run = job(root.path(), &model(), config, &["zombie"]).unwrap();
    step(&mut run, 0);
    let path = root.path().join("model.safetensors");
    run.export(&clock(1), &path).unwrap();
    assert!(
        Model::load(&path, &Device::Cpu)
            .unwrap()
            .expansion
            .is_none()
    );
}

#[test]
fn what_cannot_be_done_is_refused_before_the_first_step() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let refused = |model: &Model, config: Config, words: &[&str]| {
        let Err(error) = job(root.path(), model, config, &["zombie"]) else {
            panic!("taken")
        };
        let error = error.to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    };
    let offsets = Config {
        parametrisation: ParametrisationKind::Stylespace,
        ..plain()
    };
    refused(
        &model(),
        offsets,
        &["stylespace", "kind diffae can be trained by"],
    );
    let own = |steps| config(&[("steps", steps), ("gradient_steps", 1.0)]);
    refused(&model(), own(1001.0), &["1001", "1000 steps of training"]);
    refused(&model(), own(600.0), &["600", "500 or 1000"]);

    let networks = Networks {
        latent: None,
        ..Networks::tiny()
    };
    let bare = Model::random(&networks, 0, &Device::Cpu).unwrap();
    let Err(error) = DiffAe::new(&bare, &plain(), None, 7) else {
        panic!("taken")
    };
    assert!(error.to_string().contains("latent prior"), "{error}");
    let large = Box::new(Portraits::new(1, Domain::Photo, 32).unwrap());
    let Err(error) = DiffAe::new(&model(), &plain(), Some(large), 7) else {
        panic!("taken")
    };
    assert!(error.to_string().contains("16 × 16"), "{error}");
}
