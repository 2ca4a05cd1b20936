//! Domains given by pictures, textures, and how pictures reach a CLIP model.

use std::path::{Path, PathBuf};

use candle_core::Device;
use domex_data::picture;
use domex_expand::methods::nada;
use domex_expand::{Config, TaskSpec};
use domex_stylegan2::{GeneratorConfig, Model};
use domex_test_support::networks as tiny;
use serde_json::json;

use crate::world::{ONE, TWO, World, config, refused, step, value, zombie};

/// A picture in a file.
fn png(path: &Path, side: u32, shade: u8) -> PathBuf {
    let picture = image::RgbImage::from_fn(side, side, |x, _| {
        image::Rgb([shade, (x % 251) as u8, 255 - shade])
    });
    picture::write_png(path, &picture).unwrap();
    path.to_owned()
}

fn two_pictures(world: &World) -> [PathBuf; 2] {
    [
        png(&world.file("a.png"), 20, 10),
        png(&world.file("b.png"), 33, 200),
    ]
}

#[test]
fn a_domain_may_be_given_by_pictures_and_its_record_names_them() {
    let world = World::new();
    let style = nada::pictures("style", &two_pictures(&world));
    let mut job = world.job(config(), &[style], &[ONE], None).unwrap();
    let losses = step(&mut job, 0);
    assert!(value(&losses, "domain/style").is_finite() && losses.not_finite.is_empty());
    assert_eq!(job.layout().domains()[0].task["pictures"][1], "b.png");
}

#[test]
fn a_picture_that_cannot_be_read_is_named() {
    let world = World::new();
    let [a, _] = two_pictures(&world);
    let bad = world.file("bad.png");
    std::fs::write(&bad, "no picture").unwrap();
    for (path, name) in [(bad, "bad.png"), (world.file("none.png"), "none.png")] {
        let task = nada::pictures("style", &[a.clone(), path]);
        refused(world.job(config(), &[task], &[ONE], None), &[name]);
    }
}

/// With a weight for textures, and a task that has one.
fn textured(world: &World) -> (Config, TaskSpec) {
    let mut config = config();
    config.nada.weights.texture = 0.5;
    (config, zombie().with("texture", json!(two_pictures(world))))
}

#[test]
fn a_texture_adds_to_the_loss_of_its_task() {
    let world = World::new();
    let (weighted, stone) = textured(&world);
    let first = |config: Config| {
        let tasks = [stone.clone()];
        let mut job = world.job(config, &tasks, &[ONE], Some(TWO)).unwrap();
        value(&step(&mut job, 0), "loss/expand")
    };
    assert!(first(weighted) > first(config()));
}

#[test]
fn a_weight_for_textures_needs_a_network_and_a_task_for_it() {
    let world = World::new();
    let (weighted, stone) = textured(&world);
    refused(
        world.job(weighted.clone(), &[stone], &[ONE], None),
        &["weights.texture", "0.5"],
    );
    refused(
        world.job(weighted, &[zombie()], &[ONE], Some(TWO)),
        &["weights.texture", "a task with pictures"],
    );
}

/// A generator of pictures of this size.
fn generator(side: usize, channels: usize) -> Model {
    let mut config = GeneratorConfig::with_defaults(8, tiny::DIM, side, 128, 8).unwrap();
    config.mapping.num_layers = 2;
    config.synthesis.img_channels = channels;
    Model::random(&config, 3, &Device::Cpu).unwrap()
}

#[test]
fn large_pictures_are_made_smaller_with_or_without_antialiasing() {
    let mut world = World::new();
    world.model = generator(2 * tiny::SIDE, 3);
    let first = |antialias: bool| {
        let config = Config {
            antialias,
            ..config()
        };
        let mut job = world.job(config, &[zombie()], &[ONE], None).unwrap();
        value(&step(&mut job, 0), "loss/expand")
    };
    assert!(first(true) != first(false));
}

#[test]
fn grey_pictures_are_refused() {
    let mut world = World::new();
    world.model = generator(tiny::SIDE, 1);
    refused(
        world.job(config(), &[zombie()], &[ONE], None),
        &["colour channels", "1", "RGB"],
    );
}
