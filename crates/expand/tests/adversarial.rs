//! Domains from sets of pictures, by a discriminator, on the toy network.

#![allow(clippy::unwrap_used)]

mod toy;

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Container;
use domex_data::source::PictureSource;
use domex_expand::methods::adversarial::{AdversarialConfig, folder};
use domex_expand::{Config, Expand, ObjectiveConfig, Sets, TaskSpec, Weights};
use domex_latent::toy::DIM;
use domex_replay::AlignmentConfig;
use domex_train::{Clock, Job, Losses, State};
use image::{Rgb, RgbImage};
use toy::{ToyTrainee, job_with};

/// Pictures of nearly one colour.
struct Colour {
    count: u64,
    side: u32,
    colour: [u8; 3],
}

impl PictureSource for Colour {
    fn len(&self) -> u64 {
        self.count
    }

    fn resolution(&self) -> u32 {
        self.side
    }

    fn get(&self, index: u64) -> domex_data::Result<(RgbImage, Vec<f32>)> {
        let shade = (index % 8) as u8;
        let colour = self.colour.map(|value| value.saturating_add(shade));
        let picture = RgbImage::from_pixel(self.side, self.side, Rgb(colour));
        Ok((picture, Vec::new()))
    }

    fn describe(&self) -> String {
        "a colour".to_owned()
    }
}

fn set(count: u64, side: u32, colour: [u8; 3]) -> Arc<dyn PictureSource> {
    Arc::new(Colour {
        count,
        side,
        colour,
    })
}

const RED: [u8; 3] = [200, 30, 30];
const BLUE: [u8; 3] = [30, 30, 200];

fn config() -> Config {
    // A root mean square has no gradient between equal pictures, which the base and its source are at first.
    let alignment = AlignmentConfig {
        l2: 10.0,
        lpips: 0.0,
    };
    Config {
        objective: ObjectiveConfig {
            alignment,
            ..ObjectiveConfig::default()
        },
        batch: 4,
        lr: 0.02,
        adversarial: AdversarialConfig {
            lr: 0.01,
            r1_interval: 2,
            // Something is augmented within a few steps.
            ada_kimg: 0.05,
            channel_base: 64,
            channel_max: 8,
            ..AdversarialConfig::default()
        },
        ..Config::default()
    }
}

fn two() -> (Vec<TaskSpec>, Sets) {
    let (red, blue) = (Path::new("/red"), Path::new("/blue"));
    let tasks = vec![folder("red", red), folder("blue", blue)];
    let sets = [
        (red.to_owned(), set(40, 8, RED)),
        (blue.to_owned(), set(50, 8, BLUE)),
    ];
    (tasks, sets.into())
}

fn new() -> Expand {
    run_of(config())
}

fn run_of(config: Config) -> Expand {
    let (tasks, sets) = two();
    job_with(ToyTrainee::new(), config, &tasks, sets).unwrap()
}

fn steps(job: &mut Expand, from: u64, to: u64) {
    for step in from..to {
        let clock = Clock {
            step,
            images: 4 * step,
            ..Clock::default()
        };
        let losses = job.step(&clock).unwrap();
        assert!(losses.not_finite.is_empty(), "{losses:?}");
    }
}

fn saved(job: &Expand) -> State {
    let mut state = State::new();
    job.save(&mut state).unwrap();
    state
}

/// All of a snapshot, to the bit.
fn bits(state: &State, path: &Path) -> (Vec<(String, Vec<u8>)>, String) {
    state.write(path).unwrap();
    let file = Container::open(path).unwrap();
    let tensors = file.tensors().iter();
    let tensors = tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect();
    (tensors, file.config().to_string())
}

/// Red minus blue of the pictures of some latents, moved into the domain of this number.
fn red(job: &Expand, domain: usize) -> f32 {
    let layout = job.layout();
    let place = &layout.domains()[domain];
    let mut latents = vec![0f32; 4 * DIM];
    for (at, row) in latents.chunks_mut(DIM).enumerate() {
        row[0] = at as f32 - 1.5;
        row[place.dimension] = place.distance as f32;
    }
    let latents = Tensor::from_vec(latents, (4, DIM), &Device::Cpu).unwrap();
    let pictures = job.trainee().generator(Weights::Live);
    let pictures = pictures.synthesize(&latents).unwrap();
    let channel = |at| {
        let mean = pictures.narrow(1, at, 1).unwrap().mean_all().unwrap();
        mean.to_dtype(DType::F32)
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    channel(0) - channel(2)
}

#[test]
fn each_domain_takes_the_colour_of_its_pictures() {
    let mut config = config();
    // Changed hues would hide what is looked at.
    config.adversarial.ada_target = 1.0;
    let mut job = run_of(config);
    let before = [red(&job, 0), red(&job, 1)];
    steps(&mut job, 0, 120);
    let after = [red(&job, 0), red(&job, 1)];
    assert!(after[0] > before[0] + 0.3, "{before:?} {after:?}");
    assert!(after[1] < before[1] - 0.3, "{before:?} {after:?}");
}

#[test]
fn a_resumed_run_reaches_the_same_bits() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("state");
    let mut whole = new();
    steps(&mut whole, 0, 10);
    let mut first = new();
    steps(&mut first, 0, 5);
    let middle = saved(&first);
    let mut second = new();
    second.restore(&middle).unwrap();
    steps(&mut second, 5, 10);
    let end = bits(&saved(&whole), &path);
    assert!(end != bits(&middle, &path), "the last steps did something");
    assert!(end == bits(&saved(&second), &path));
}

#[test]
fn augmentation_is_steered_for_each_domain() {
    let mut config = config();
    // Any discriminator is surer than that, so augmentation grows.
    config.adversarial.ada_target = -1.0;
    let mut job = run_of(config);
    steps(&mut job, 0, 40);
    let state = saved(&job);
    let ada = &state.document()["adversarial"]["ada"];
    let p = |domain: usize| ada[domain]["p"].as_f64().unwrap();
    assert!(p(0) > 0.0 && p(1) > 0.0, "{ada}");
    let counted = &state.document()["adversarial"]["steps"];
    let counted = counted.as_array().unwrap().iter();
    assert_eq!(
        counted.filter_map(serde_json::Value::as_u64).sum::<u64>(),
        40
    );
}

#[test]
fn a_model_is_not_the_best_by_a_discriminator_that_learns() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let config = domex_train::RunConfig {
        images: 16,
        tick_images: 8,
        signals: false,
        ..domex_train::RunConfig::new(&folder)
    };
    let outcome = domex_train::run(&mut new(), &config).unwrap();
    assert!(outcome.best.is_none());
}

/// The losses of a first step in passes of so many samples, without correspondence and augmentation: those of the edited
/// pictures, and what the discriminator's of the same pictures should be by them.
fn first_step(micro_batch: Option<usize>) -> (Losses, f64) {
    let mut config = Config {
        micro_batch,
        ..config()
    };
    config.adversarial.correspondence = 0.0;
    let losses = run_of(config).step(&Clock::default()).unwrap();
    let told = losses.values.iter();
    let each = told.filter(|(name, _)| name.starts_with("domain/"));
    // softplus(−D) of each, and so D.
    let logits: Vec<f64> = each.map(|(_, value)| -value.exp_m1().ln()).collect();
    assert_eq!(logits.len(), 4);
    let fake = logits.iter().map(|logit| logit.exp().ln_1p()).sum::<f64>() / 4.0;
    (losses, fake)
}

#[test]
fn the_discriminator_learns_on_passes_by_which_the_generator_is_told() {
    let fakes = [None, Some(2), Some(1)].map(|micro_batch| {
        let (losses, expected) = first_step(micro_batch);
        let mut told = losses.values.iter();
        let fake = told.find(|(name, _)| name == "adversarial/fake").unwrap().1;
        assert!((fake - expected).abs() < 1e-5, "{fake} and {expected}");
        fake
    });
    // Statistics of a minibatch are those of a pass.
    assert!((fakes[0] - fakes[2]).abs() > 1e-4, "{fakes:?}");
}

#[test]
fn correspondence_that_was_asked_for_needs_three_pictures_in_a_pass() {
    let with = |correspondence: f64, micro_batch: usize| {
        let mut config = Config {
            micro_batch: Some(micro_batch),
            ..config()
        };
        config.adversarial.correspondence = correspondence;
        let (tasks, sets) = two();
        let job = job_with(ToyTrainee::new(), config, &tasks, sets);
        job.err().map(|error| error.to_string())
    };
    let error = with(5.0, 2).unwrap();
    for words in ["adversarial.correspondence: 5", "passes of 3", "has 2"] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(with(5.0, 4), None);
    // The default one, which nobody asked for.
    assert_eq!(with(20.0, 1), None);
}

/// What is said of a run of one set.
fn refused(config: Config, set: Arc<dyn PictureSource>) -> String {
    let tasks = [folder("red", Path::new("/red"))];
    let sets = Sets::from([("/red".into(), set)]);
    let job = job_with(ToyTrainee::new(), config, &tasks, sets);
    job.err().unwrap().to_string()
}

#[test]
fn a_few_pictures_are_refused_with_what_learns_them() {
    let error = refused(config(), set(2, 8, RED));
    for words in ["/red", "2 pictures", "expected 40", "\"nada\"", "mystyle"] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn pictures_of_another_size_are_refused() {
    let error = refused(config(), set(40, 16, RED));
    assert!(
        error.contains("16 × 16") && error.contains("8 × 8"),
        "{error}"
    );
}

#[test]
fn settings_out_of_range_are_named() {
    type Change = fn(&mut AdversarialConfig);
    let cases: [(&str, Change); 6] = [
        ("adversarial.lr", |c| c.lr = 0.0),
        ("adversarial.gamma", |c| c.gamma = -1.0),
        ("adversarial.r1_interval", |c| c.r1_interval = 0),
        ("adversarial.ada_target", |c| c.ada_target = 2.0),
        ("adversarial.correspondence", |c| {
            c.correspondence = f64::NAN;
        }),
        ("adversarial.augment", |c| c.augment.hue = 11.0),
    ];
    for (name, change) in cases {
        let mut config = config();
        change(&mut config.adversarial);
        let error = refused(config, set(40, 8, RED));
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn a_list_of_pictures_is_refused_with_the_method_that_takes_one() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tasks.toml");
    let task = "[[tasks]]\nmethod = \"adversarial\"\npictures = [\"a.png\"]\n";
    std::fs::write(&path, task).unwrap();
    let recipe = domex_expand::Recipe::plain(domex_expand::SourceSettings::NONE).unwrap();
    let error = domex_expand::TaskFile::read(&path, &recipe).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("a list") && error.contains("nada"),
        "{error}"
    );
}
