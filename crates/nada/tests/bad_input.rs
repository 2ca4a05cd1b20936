//! What is refused, and how it is said.

#![allow(clippy::unwrap_used)]

mod common;

use candle_core::{DType, Device, Tensor};
use common::{guide, pictures};
use domex_data::picture;
use domex_nada::{Augment, Config, Nada, Patches, Prepared, Task, Weights};
use domex_random::Streams;
use image::{Rgb, RgbImage};

#[track_caller]
fn refused<T>(result: domex_nada::Result<T>, words: &[&str]) {
    let Err(error) = result else { panic!("taken") };
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
}

#[test]
fn settings() {
    let with = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        Nada::new(vec![guide(1)], config)
    };
    refused(with(|c| c.weights.global = -1.0), &["weights.global", "-1"]);
    refused(
        with(|c| c.weights.patch = f64::NAN),
        &["weights.patch", "NaN"],
    );
    refused(with(|c| c.weights.direction = 0.0), &["at least one term"]);
    refused(with(|c| c.weights.texture = 1.0), &["weights.texture"]);
    refused(
        with(|c| {
            c.patches = Patches {
                count: 0,
                size: 0.5,
            }
        }),
        &["patches.count"],
    );
    refused(with(|c| c.patches.size = 1.5), &["patches.size", "1.5"]);
    refused(with(|c| c.augment.crop = 0.0), &["augment.crop"]);
    refused(with(|c| c.augment.noise = f64::NAN), &["augment.noise"]);
    refused(with(|c| c.augment.views = 0), &["augment.views"]);
    refused(Nada::new(Vec::new(), Config::default()), &["CLIP networks"]);
    let mut light = guide(1);
    light.weight = 0.0;
    refused(
        Nada::new(vec![light], Config::default()),
        &["tiny 1", "above 0"],
    );
    let unknown = serde_json::from_str::<Config>(r#"{"weights": {"directon": 1}}"#);
    assert!(unknown.unwrap_err().to_string().contains("directon"));
}

#[test]
fn tasks() {
    let nada = Nada::new(vec![guide(1)], Config::default()).unwrap();
    let prepare = |task: Task| nada.prepare(&[Task::texts("photo", "sketch"), task], None);
    refused(
        prepare(Task::texts("photo", "photo")),
        &["\"photo\"", "tiny 1", "other words"],
    );
    refused(prepare(Task::texts("photo", " ")), &["words that describe"]);
    let long = "x".repeat(100);
    refused(prepare(Task::texts("photo", long)), &["tokens", "77"]);
    // Of the network's size: nothing is resized.
    let same = vec![RgbImage::from_fn(16, 16, |x, y| Rgb([x as u8, y as u8, 7]))];
    let made = picture::from_rgb(&same, DType::F32, &Device::Cpu).unwrap();
    refused(
        prepare(Task::pictures("snow", made, same)),
        &["snow", "the same"],
    );
    refused(
        prepare(Task::pictures("snow", pictures(2, 1), Vec::new())),
        &["pictures"],
    );
    refused(nada.prepare(&[], None), &["number of tasks"]);
    let weights = Weights {
        texture: 1.0,
        ..Weights::default()
    };
    let config = Config {
        weights,
        ..Config::default()
    };
    let nada = Nada::with_texture(vec![guide(1)], guide(2), config).unwrap();
    refused(
        nada.prepare(&[Task::texts("photo", "sketch")], None),
        &["texture"],
    );
}

#[test]
fn batches() {
    let nada = Nada::new(vec![guide(1)], Config::default()).unwrap();
    let prepared = nada
        .prepare(&[Task::texts("photo", "sketch")], None)
        .unwrap();
    let loss = |prepared: &Prepared, base: &Tensor, edited: &Tensor, tasks: &[usize]| {
        let mut stream = Streams::new(0).stream("nada");
        nada.loss(prepared, base, edited, tasks, &mut stream)
    };
    let two = pictures(2, 1);
    refused(
        loss(&prepared, &two, &two, &[0]),
        &["pictures", "[1, 3, h, w]"],
    );
    refused(loss(&prepared, &two, &two, &[0, 1]), &["task number is 1"]);
    refused(
        loss(&prepared, &pictures(1, 1), &two, &[0, 0]),
        &["base pictures"],
    );
    let other = Nada::new(vec![guide(1), guide(2)], Config::default()).unwrap();
    let other = other
        .prepare(&[Task::texts("photo", "sketch")], None)
        .unwrap();
    refused(loss(&other, &two, &two, &[0, 0]), &["networks", "2"]);
    let view = Augment::default().draw(&mut Streams::new(0).stream("a"), [1, 0, 4]);
    refused(view, &["pictures of a view"]);
}
