//! What the tests of a run's choices share: a tiny world, its jobs, and what a step changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use domex_checkpoint::container::Container;
use domex_expand::{AdaptiveLayers, Config, Expand, Networks, Parts, TaskSpec};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_test_support::networks as tiny;
use domex_train::{Clock, Job, Losses, State};
use serde_json::json;

/// Without the adversarial phases, which are not the subject here.
pub fn config() -> Config {
    let mut config = Config {
        batch: 2,
        ..Config::default()
    };
    config.source.insert("src".to_owned(), json!(0.0));
    config.complete(&SETTINGS).unwrap();
    config
}

/// A folder with tiny networks, and the generator among them.
pub struct World {
    root: tempfile::TempDir,
    pub model: Model,
}

impl World {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        tiny::world(root.path());
        let model = root.path().join("generator.safetensors");
        let model = Model::load(model, &Device::Cpu).unwrap();
        Self { root, model }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn job(
        &self,
        config: Config,
        tasks: &[TaskSpec],
        guides: &[&str],
        texture: Option<&str>,
    ) -> domex_expand::Result<Expand> {
        let guide = |name: &str| Guide::load(&self.file(name), 1.0, &Device::Cpu).unwrap();
        let distance = Perceptual::load(&self.file("perceptual.safetensors"), &Device::Cpu);
        let parts = Parts {
            trainee: Box::new(StyleGan2::new(&self.model, &config, None, 7)?),
            tasks,
            networks: Networks {
                clip: guides.iter().map(|name| guide(name)).collect(),
                texture: texture.map(guide),
                distance: Some(Arc::new(distance.unwrap())),
                teacher: None,
            },
            sets: domex_expand::Sets::new(),
            cache: None,
            seed: 7,
        };
        Expand::new(config, parts)
    }
}

pub const ONE: &str = "clip-one.safetensors";
pub const TWO: &str = "clip-two.safetensors";

pub fn zombie() -> TaskSpec {
    TaskSpec::texts("photo", "zombie")
}

pub fn step(job: &mut dyn Job, at: u64) -> Losses {
    let clock = Clock {
        step: at,
        images: 2 * at,
        ..Clock::default()
    };
    job.step(&clock).unwrap()
}

pub fn value(losses: &Losses, name: &str) -> f64 {
    let found = losses.values.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {losses:?}")).1
}

/// The bytes of all tensors of a job's snapshot.
pub fn tensors(job: &dyn Job, path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut state = State::new();
    job.save(&mut state).unwrap();
    state.write(path).unwrap();
    let file = Container::open(path).unwrap();
    let tensors = file.tensors().iter();
    tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect()
}

#[track_caller]
pub fn refused<T>(result: domex_expand::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("taken") };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
}

/// How many of the generator's tensors a step of these settings changes.
pub fn moved(world: &World, config: Config, clock: &Clock) -> usize {
    let mut job = world.job(config, &[zombie()], &[ONE], None).unwrap();
    let before = tensors(&job, &world.file("before"));
    job.step(clock).unwrap();
    let after = tensors(&job, &world.file("after"));
    let weights = before.keys().filter(|name| name.starts_with("generator."));
    weights.filter(|name| before[*name] != after[*name]).count()
}

/// So many layers are trained in each step.
pub fn adaptive(layers: usize) -> Config {
    Config {
        adaptive_layers: Some(AdaptiveLayers {
            layers,
            batch: 3,
            ..AdaptiveLayers::default()
        }),
        ..config()
    }
}
