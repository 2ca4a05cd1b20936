//! An expansion of a tiny StyleGAN3: what is trained, what stays, what resumes, what is refused.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::{Config, Expand, ParametrisationKind, Parts, Placement, TaskSpec};
use domex_expand_stylegan3::{SETTINGS, StyleGan3};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::{Discriminator, DiscriminatorConfig, config::channels, init};
use domex_stylegan3::{GeneratorConfig, Model};
use domex_test_support::networks as tiny;
use domex_train::{Clock, Job, State};
use serde_json::json;

const SIDE: usize = 16;

fn config() -> Config {
    let mut config = Config {
        batch: 2,
        ..Config::default()
    };
    config.source.insert("r1_interval".to_owned(), json!(2));
    config.complete(&SETTINGS).unwrap();
    config
}

/// A generator of 16² and, where there is to be one, its discriminator.
fn model(with_discriminator: bool) -> Model {
    let config = GeneratorConfig::from_kwargs(&json!({
        "z_dim": 8, "w_dim": 12, "img_resolution": SIDE, "num_layers": 3, "channel_base": 24, "channel_max": 4,
        "num_critical": 1, "margin_size": 4,
    }));
    let mut model = Model::random(&config.unwrap(), 3, &Device::Cpu).unwrap();
    if with_discriminator {
        let config = DiscriminatorConfig::new(SIDE, 3, channels(SIDE, 128, 8).unwrap());
        let tensors = init::discriminator(&config, 4, DType::F32, &Device::Cpu).unwrap();
        model.discriminator = Some(Discriminator::from_tensors(&tensors, &config).unwrap());
    }
    model
}

fn photos(side: usize) -> Box<Portraits> {
    Box::new(Portraits::new(1, Domain::Photo, side as u32).unwrap())
}

fn job(model: &Model, config: Config, names: &[&str]) -> domex_expand::Result<Expand> {
    let world = tempfile::tempdir().unwrap();
    let (clip, perceptual) = (world.path().join("clip"), world.path().join("perceptual"));
    tiny::clip(&clip, 1);
    tiny::perceptual(&perceptual);
    let distance = Perceptual::load(&perceptual, &Device::Cpu).unwrap();
    let tasks = names.iter().map(|name| TaskSpec::texts("photo", *name));
    let parts = Parts {
        trainee: Box::new(StyleGan3::new(model, &config, Some(photos(SIDE)), 7)?),
        tasks: &tasks.collect::<Vec<_>>(),
        networks: domex_expand::Networks {
            clip: vec![Guide::load(&clip, 1.0, &Device::Cpu).unwrap()],
            distance: Some(Arc::new(distance)),
            ..domex_expand::Networks::default()
        },
        sets: domex_expand::Sets::new(),
        cache: None,
        seed: 7,
    };
    Expand::new(config, parts)
}

fn steps(job: &mut Expand, which: std::ops::Range<u64>) -> Vec<String> {
    let mut names = Vec::new();
    for step in which {
        let at = Clock {
            step,
            images: 2 * step,
            ..Clock::default()
        };
        let losses = job.step(&at).unwrap();
        assert!(losses.not_finite.is_empty(), "{losses:?}");
        names.extend(losses.values.into_iter().map(|(name, _)| name));
    }
    names
}

fn export(job: &Expand, path: &Path) -> Model {
    job.export(&Clock::default(), path).unwrap();
    Model::load(path, &Device::Cpu).unwrap()
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let difference = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
    difference.max(0).unwrap().to_scalar().unwrap()
}

/// The tensors of the generator that a run moved.
fn moved(before: &Model, after: &Model) -> Vec<String> {
    let (before, after) = (before.g_ema.tensors(), after.g_ema.tensors());
    assert!(before.keys().eq(after.keys()));
    let differs =
        |(name, tensor): (String, Tensor)| (apart(&tensor, &after[&name]) > 0.0).then_some(name);
    before.into_iter().filter_map(differs).collect()
}

#[test]
fn a_step_moves_the_synthesis_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("model.safetensors");
    let model = model(true);
    let mut run = job(&model, config(), &["zombie", "sketch"]).unwrap();
    assert!(run.trainee().trains_source());
    let losses = steps(&mut run, 0..1);
    for name in [
        "loss/expand",
        "loss/l2",
        "loss/G",
        "loss/D_fake",
        "loss/D_real",
        "loss/r1",
    ] {
        assert!(
            losses.iter().any(|known| known == name),
            "{name}: {losses:?}"
        );
    }
    let expanded = export(&run, &path);
    let names = moved(&model, &expanded);
    for part in [
        "input.weight",
        "input.affine.weight",
        "L0_24_4.weight",
        "L0_24_4.affine.bias",
        "L3_16_3.weight",
    ] {
        assert!(
            names.contains(&format!("synthesis.{part}")),
            "{part}: {names:?}"
        );
    }
    let stays = [
        "mapping.",
        "_filter",
        "magnitude_ema",
        "freqs",
        "phases",
        "transform",
    ];
    let still = |name: &String| !stays.iter().any(|part| name.contains(part));
    assert!(names.iter().all(still), "{names:?}");

    let expansion = expanded.expansion().unwrap();
    let domains = expansion.layout.domains();
    assert_eq!(domains[1].name, "sketch");
    let spread = model.generator().spread().unwrap();
    assert!((domains[0].distance - spread).abs() < 1e-6 * spread);
    let discriminator = expanded.discriminator.as_ref().unwrap().tensors();
    let begun = model.discriminator.as_ref().unwrap().tensors();
    assert!(
        apart(
            &begun["b16.conv1.weight"],
            &discriminator["b16.conv1.weight"]
        ) > 0.0
    );
    // What only makes pictures leaves it in the file.
    let pictures = Model::load_generator(&path, &Device::Cpu).unwrap();
    assert!(pictures.discriminator.is_none() && pictures.expansion().is_some());

    // Expanded again, it keeps what it has.
    let second = job(&expanded, config(), &["robot"]).unwrap();
    assert_eq!(second.layout().domains()[..2], *domains);
    assert_eq!(second.layout().domains()[2].name, "robot");
}

#[test]
fn a_stopped_run_comes_to_the_same_weights() {
    let root = tempfile::tempdir().unwrap();
    let model = model(true);
    let bytes = |run: &Expand, name: &str| {
        export(run, &root.path().join(name));
        std::fs::read(root.path().join(name)).unwrap()
    };
    let mut whole = job(&model, config(), &["zombie"]).unwrap();
    steps(&mut whole, 0..1);
    let mut state = State::new();
    whole.save(&mut state).unwrap();
    steps(&mut whole, 1..2);
    let mut other = job(&model, config(), &["zombie"]).unwrap();
    other.restore(&state).unwrap();
    assert!(bytes(&other, "half") != bytes(&whole, "whole"));
    steps(&mut other, 1..2);
    assert!(bytes(&other, "resumed") == bytes(&whole, "whole"));
}

/// But for rounding in R1, whose loss is itself a gradient; so it is left out here.
#[test]
fn activations_that_are_computed_again_leave_the_bits_as_they_are() {
    let root = tempfile::tempdir().unwrap();
    let model = model(true);
    let trained = |change: &dyn Fn(&mut Config)| {
        let mut config = config();
        config.source.insert("gamma".to_owned(), json!(0.0));
        change(&mut config);
        let mut run = job(&model, config, &["zombie"]).unwrap();
        steps(&mut run, 0..2);
        export(&run, &root.path().join("model.safetensors"))
    };
    let kept = trained(&|config| config.micro_batch = Some(1));
    let recomputed = trained(&|config| config.low_memory = true);
    assert!(!moved(&model, &kept).is_empty());
    assert_eq!(moved(&kept, &recomputed), [""; 0]);
}

#[test]
fn without_a_discriminator_replay_alone_holds_the_base() {
    let mut run = job(&model(false), config(), &["zombie"]).unwrap();
    assert!(!run.trainee().trains_source());
    let losses = steps(&mut run, 0..1);
    assert!(losses.iter().any(|name| name == "loss/l2"));
    assert!(
        !losses.iter().any(|name| name.starts_with("loss/D")),
        "{losses:?}"
    );
}

#[test]
fn a_discriminator_that_is_not_trained_stays_in_the_file() {
    let root = tempfile::tempdir().unwrap();
    let model = model(true);
    let mut config = config();
    config.source.insert("src".to_owned(), json!(0.0));
    let run = job(&model, config, &["zombie"]).unwrap();
    assert!(!run.trainee().trains_source());
    let kept = export(&run, &root.path().join("model.safetensors"));
    let [kept, begun] = [kept, model].map(|model| model.discriminator.unwrap().tensors());
    assert!(kept.keys().eq(begun.keys()));
    for (name, tensor) in &begun {
        assert_eq!(apart(tensor, &kept[name]), 0.0, "{name}");
    }
}

#[test]
fn an_adaptation_gets_the_whole_latent_space() {
    let root = tempfile::tempdir().unwrap();
    let config = Config {
        placement: Placement::Whole,
        ..config()
    };
    let mut run = job(&model(false), config, &["zombie"]).unwrap();
    steps(&mut run, 0..1);
    let adapted = export(&run, &root.path().join("model.safetensors"));
    assert!(adapted.expansion().is_none());
}

#[test]
fn what_cannot_be_done_is_refused_before_the_first_step() {
    let refused = |result: domex_expand::Result<()>, words: &[&str]| {
        let error = result.expect_err("taken").to_string();
        for word in words {
            assert!(error.contains(word), "{error:?} lacks {word:?}");
        }
    };
    let gated = Config {
        parametrisation: ParametrisationKind::Gated,
        ..config()
    };
    let result = job(&model(true), gated, &["zombie"]);
    refused(
        result.map(drop),
        &["gated", "kind stylegan3 can be trained by"],
    );
    let large = StyleGan3::new(&model(true), &config(), Some(photos(32)), 7);
    refused(large.map(drop), &["32 × 32", "16 × 16"]);
    let mut critical = config();
    critical.source.insert("realism".to_owned(), json!(1.0));
    let result = StyleGan3::new(&model(false), &critical, None, 7);
    refused(result.map(drop), &["realism", "no discriminator"]);
}
