//! What a run's settings and tasks may choose, at a tiny size: networks for a task, layers, textures, pictures.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use domex_checkpoint::container::Container;
use domex_data::picture;
use domex_expand::{
    AdaptiveLayers, Config, Expand, Networks, Parts, Placement, TaskSpec, kept_source,
    methods::nada,
};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::{GeneratorConfig, Model};
use domex_test_support::networks as tiny;
use domex_train::{Clock, Job, Losses, RunConfig, State};
use serde_json::json;

/// Without the adversarial phases, which are not the subject here.
fn config() -> Config {
    let mut config = Config {
        batch: 2,
        ..Config::default()
    };
    config.source.insert("src".to_owned(), json!(0.0));
    config.complete(&SETTINGS).unwrap();
    config
}

struct World {
    root: tempfile::TempDir,
    model: Model,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        tiny::world(root.path());
        let model = root.path().join("generator.safetensors");
        let model = Model::load(model, &Device::Cpu).unwrap();
        Self { root, model }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn job(
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
            },
            cache: None,
            seed: 7,
        };
        Expand::new(config, parts)
    }
}

const ONE: &str = "clip-one.safetensors";
const TWO: &str = "clip-two.safetensors";

fn zombie() -> TaskSpec {
    TaskSpec::texts("photo", "zombie")
}

fn step(job: &mut dyn Job, at: u64) -> Losses {
    let clock = Clock {
        step: at,
        images: 2 * at,
        ..Clock::default()
    };
    job.step(&clock).unwrap()
}

fn value(losses: &Losses, name: &str) -> f64 {
    let found = losses.values.iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no {name} in {losses:?}")).1
}

/// The bytes of all tensors of a job's snapshot.
fn tensors(job: &dyn Job, path: &Path) -> BTreeMap<String, Vec<u8>> {
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
fn refused<T>(result: domex_expand::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("taken") };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
}

#[test]
fn a_task_is_looked_at_by_the_networks_that_it_names() {
    let world = World::new();
    let first = |tasks: &[TaskSpec], guides: &[&str]| {
        let mut job = world.job(config(), tasks, guides, None).unwrap();
        value(&step(&mut job, 0), "loss/expand")
    };
    let with = |names: &[&str]| zombie().with("clip", json!(names));
    let both = first(&[zombie()], &[ONE, TWO]);
    // By its name, or by the file that it is named after.
    for name in ["clip-two", "models/clip-two.safetensors"] {
        let alone = first(&[with(&[name])], &[ONE, TWO]);
        assert_eq!(alone, first(&[zombie()], &[TWO]), "{name}");
        assert!(alone != both);
    }
    assert_eq!(first(&[with(&["clip-two", "clip-one"])], &[ONE, TWO]), both);
    let job = |task: TaskSpec, guides: &[&str]| world.job(config(), &[task], guides, None);
    refused(
        job(with(&["clip-tow"]), &[ONE, TWO]),
        &[
            "zombie",
            "clip-tow",
            "clip-one, clip-two",
            "did you mean \"clip-two\"?",
        ],
    );
    refused(
        job(with(&["clip-one"]), &[ONE, ONE]),
        &["clip-one", "several"],
    );
}

fn adaptive(layers: usize) -> Config {
    Config {
        adaptive_layers: Some(AdaptiveLayers {
            layers,
            batch: 3,
            ..AdaptiveLayers::default()
        }),
        ..config()
    }
}

#[test]
fn a_step_trains_the_layers_that_matter_to_its_tasks() {
    let world = World::new();
    let tasks = [zombie(), TaskSpec::texts("photo", "robot")];
    let new = || world.job(adaptive(1), &tasks, &[ONE, TWO], None).unwrap();
    let at = world.file("snapshot.safetensors");
    let mut whole = new();
    let before = tensors(&whole, &at);
    let losses = step(&mut whole, 0);
    let rows = losses.values.iter().filter_map(|(name, value)| {
        let row = name.strip_prefix("layers/")?.parse::<usize>().unwrap();
        Some((row, *value))
    });
    let rows: Vec<(usize, f64)> = rows.collect();
    assert!(rows.iter().map(|(row, _)| *row).eq(0..6), "{rows:?}");
    let chosen = rows.iter().filter(|(_, value)| *value == 1.0);
    let chosen: Vec<usize> = chosen.map(|(row, _)| *row).collect();
    let own: &[&str] = [
        &["b4.const", "b4.conv1."][..],
        &["b4.torgb.", "b8.conv0."],
        &["b8.conv1."],
        &["b8.torgb.", "b16.conv0."],
        &["b16.conv1."],
        &["b16.torgb."],
    ][chosen[0]];
    assert_eq!(chosen.len(), 1);
    let after = tensors(&whole, &at);
    let moved = after
        .iter()
        .filter(|(name, bytes)| before[*name] != **bytes);
    let moved: Vec<&str> = moved
        .filter_map(|(name, _)| name.strip_prefix("generator.synthesis."))
        .collect();
    assert!(!moved.is_empty());
    let ours = |name: &&str| own.iter().any(|layer| name.starts_with(layer));
    assert!(moved.iter().all(ours), "{moved:?} of {own:?}");

    // Resumed, it chooses as it would have.
    let mut parts = new();
    for at in 0..2 {
        step(&mut parts, at);
    }
    let mut state = State::new();
    parts.save(&mut state).unwrap();
    let mut parts = new();
    parts.restore(&state).unwrap();
    step(&mut whole, 1);
    for at in 2..4 {
        assert_eq!(step(&mut whole, at), step(&mut parts, at));
    }
    let again = world.file("again.safetensors");
    assert!(tensors(&whole, &at) == tensors(&parts, &again));

    // Numbers out of range are refused.
    let job = |config| world.job(config, &tasks, &[ONE], None);
    refused(job(adaptive(7)), &["adaptive_layers.layers", "7", "1 to 6"]);
    refused(job(adaptive(0)), &["adaptive_layers.layers", "1 or more"]);
    let mut still = adaptive(1);
    still.adaptive_layers.as_mut().unwrap().learning_rate = 0.0;
    refused(job(still), &["adaptive_layers.learning_rate", "above 0"]);
}

/// One domain that gets the whole generator.
fn whole(config: Config) -> Config {
    Config {
        placement: Placement::Whole,
        ..config
    }
}

#[test]
fn an_adaptation_chooses_its_layers_too() {
    let world = World::new();
    let moved = |config: Config| {
        let mut job = world.job(whole(config), &[zombie()], &[ONE], None).unwrap();
        let before = tensors(&job, &world.file("before"));
        step(&mut job, 0);
        let after = tensors(&job, &world.file("after"));
        let weights = before.keys().filter(|name| name.starts_with("generator."));
        let changed = weights.filter(|name| before[*name] != after[*name]);
        changed.count()
    };
    let (some, all) = (moved(adaptive(1)), moved(config()));
    assert!(0 < some && some < all / 2, "{some} of {all}");
}

/// A picture in a file.
fn png(path: &Path, side: u32, shade: u8) -> PathBuf {
    let picture = image::RgbImage::from_fn(side, side, |x, _| {
        image::Rgb([shade, (x % 251) as u8, 255 - shade])
    });
    picture::write_png(path, &picture).unwrap();
    path.to_owned()
}

#[test]
fn a_domain_in_pictures_and_one_with_a_texture() {
    let world = World::new();
    let (a, b) = (
        png(&world.file("a.png"), 20, 10),
        png(&world.file("b.png"), 33, 200),
    );
    let style = nada::pictures("style", &[a.clone(), b.clone()]);
    assert_eq!(style.name(), "style");
    let mut job = world.job(config(), &[style], &[ONE], None).unwrap();
    let losses = step(&mut job, 0);
    assert!(value(&losses, "domain/style").is_finite() && losses.not_finite.is_empty());
    let record = &job.layout().domains()[0].task;
    assert_eq!(record["pictures"][1], "b.png");
    let bad = world.file("bad.png");
    std::fs::write(&bad, "no picture").unwrap();
    let with = |path: &Path| nada::pictures("style", &[a.clone(), path.to_owned()]);
    let job = |task: TaskSpec| world.job(config(), &[task], &[ONE], None);
    refused(job(with(&bad)), &["bad.png"]);
    refused(job(with(&world.file("none.png"))), &["none.png"]);

    // The texture term adds to the loss of the task that has a texture.
    let mut textured = config();
    textured.nada.weights.texture = 0.5;
    let stone = zombie().with("texture", json!([a, b]));
    let first = |config: &Config, task: &TaskSpec| {
        let tasks = [task.clone()];
        let mut job = world
            .job(config.clone(), &tasks, &[ONE], Some(TWO))
            .unwrap();
        value(&step(&mut job, 0), "loss/expand")
    };
    assert!(first(&textured, &stone) > first(&config(), &stone));
    refused(
        world.job(textured.clone(), &[stone], &[ONE], None),
        &["weights.texture", "0.5"],
    );
    refused(
        world.job(textured, &[zombie()], &[ONE], Some(TWO)),
        &["weights.texture", "a task with pictures"],
    );
}

#[test]
fn pictures_are_made_smaller_with_or_without_antialiasing() {
    let mut world = World::new();
    let size = |side: usize, colours: usize| {
        let mut config = GeneratorConfig::with_defaults(8, tiny::DIM, side, 128, 8).unwrap();
        config.mapping.num_layers = 2;
        config.synthesis.img_channels = colours;
        Model::random(&config, 3, &Device::Cpu).unwrap()
    };
    world.model = size(2 * tiny::SIDE, 3);
    let first = |antialias: bool| {
        let config = Config {
            antialias,
            ..config()
        };
        let mut job = world.job(config, &[zombie()], &[ONE], None).unwrap();
        value(&step(&mut job, 0), "loss/expand")
    };
    assert!(first(true) != first(false));
    world.model = size(tiny::SIDE, 1);
    refused(
        world.job(config(), &[zombie()], &[ONE], None),
        &["colour channels", "1", "RGB"],
    );
}

/// At the end of a run nothing moves any more.
#[test]
fn a_run_cools_down() {
    let world = World::new();
    let moved = |cooldown: f64, images: u64| {
        let config = Config {
            cooldown,
            ..config()
        };
        let mut job = world.job(config, &[zombie()], &[ONE], None).unwrap();
        let before = tensors(&job, &world.file("before"));
        let clock = Clock {
            images,
            length: 100,
            ..Clock::default()
        };
        job.step(&clock).unwrap();
        let after = tensors(&job, &world.file("after"));
        let weights = before.keys().filter(|name| name.starts_with("generator."));
        let changed = weights.filter(|name| before[*name] != after[*name]);
        changed.count()
    };
    assert!(moved(0.0, 100) > 0);
    assert!(moved(0.5, 0) > 0);
    assert_eq!(moved(0.5, 100), 0);
}

/// Weights that explode make losses that are no numbers: these are told of, and a snapshot goes on from there.
#[test]
fn what_is_not_finite_does_not_enter_the_means() {
    let world = World::new();
    let wild = || {
        let config = Config {
            lr: 1e30,
            ..config()
        };
        world.job(config, &[zombie()], &[ONE], None).unwrap()
    };
    let mut job = wild();
    step(&mut job, 0);
    let losses = step(&mut job, 1);
    assert!(!losses.not_finite.is_empty());
    let finite = |(_, value): &(String, f64)| value.is_finite();
    assert!(losses.values.iter().all(finite), "{losses:?}");

    // The same in a run that ends between two ticks.
    let folder = world.file("run");
    let at = |steps: u64, from: domex_train::Resume| RunConfig {
        images: 2 * steps,
        tick_images: 100,
        resume: from,
        signals: false,
        ..RunConfig::new(&folder)
    };
    domex_train::run(&mut wild(), &at(3, domex_train::Resume::No)).unwrap();
    let resume = domex_train::Resume::From(folder.clone());
    let outcome = domex_train::run(&mut wild(), &at(4, resume)).unwrap();
    assert_eq!(outcome.clock.step, 4);
}

#[test]
fn a_run_keeps_its_source_and_validates_the_domains_that_it_had() {
    let mut world = World::new();
    let run = |job: &mut Expand, folder: &Path| {
        let config = RunConfig {
            images: 4,
            tick_images: 4,
            signals: false,
            ..RunConfig::new(folder)
        };
        domex_train::run(job, &config).unwrap()
    };
    let source = world.file("generator.safetensors");
    let one = world.file("one");
    let job = world.job(config(), &[zombie()], &[ONE], None).unwrap();
    let first = run(&mut job.keep_source(&source), &one);
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert!(bytes(&kept_source(&one, &source)) == bytes(&source));
    let measured = |outcome: &domex_train::Outcome, name: &str| {
        let last = outcome.last.as_ref().unwrap();
        last.values.get(name).copied()
    };
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
