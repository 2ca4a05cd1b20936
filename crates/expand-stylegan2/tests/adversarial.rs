//! Domains from sets of pictures: their discriminator begins from the source's.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::methods::adversarial::folder;
use domex_expand::{Config, Expand, Networks, Parts, Sets};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_latent::PixelRms;
use domex_stylegan2::Model;
use domex_test_support::networks as tiny;
use domex_train::{Job, State};

fn state(model: &Model) -> State {
    let mut config = Config {
        batch: 2,
        ..Config::default()
    };
    config.adversarial.freeze_d = 2;
    config.complete(&SETTINGS).unwrap();
    let trainee = StyleGan2::new(model, &config, None, 7).unwrap();
    let sketches = Portraits::new(1, Domain::Sketch, tiny::SIDE as u32).unwrap();
    let path = Path::new("/sketches");
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &[folder("sketch", path)],
        networks: Networks {
            distance: Some(Arc::new(PixelRms)),
            ..Networks::default()
        },
        sets: Sets::from([(path.to_owned(), Arc::new(sketches) as _)]),
        cache: None,
        seed: 7,
    };
    let mut state = State::new();
    let job = Expand::new(config, parts).unwrap();
    job.save(&mut state).unwrap();
    state
}

fn model(with_discriminator: bool) -> Model {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("generator.safetensors");
    tiny::generator(&path, 3, with_discriminator);
    Model::load(&path, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

const WEIGHT: &str = "b16.conv1.weight";

#[test]
fn the_discriminator_begins_from_the_sources() {
    let model = model(true);
    let state = state(&model);
    let name = format!("adversarial.discriminator.{WEIGHT}");
    let begun = state.tensor(&name, &Device::Cpu).unwrap();
    let known = model.discriminator.unwrap().tensors();
    assert_eq!(begun.dims(), known[WEIGHT].dims());
    assert_eq!(values(&begun), values(&known[WEIGHT]));
}

#[test]
fn its_first_layers_are_not_trained() {
    let state = state(&model(true));
    let has = |name: &str| state.has_tensor(&format!("adversarial.discriminator.{name}"));
    assert!(!has("b16.conv0.weight") && has("b8.conv0.weight"));
}

#[test]
fn without_one_it_begins_at_random_and_all_layers_are_trained() {
    let state = state(&model(false));
    assert!(state.has_tensor("adversarial.discriminator.b16.fromrgb.weight"));
}
