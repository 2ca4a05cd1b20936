//! Whose an encoder is, what it predicts, and its file.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_encoder::{Config, Directions, Encoder, Error, space_hash, write};
use domex_latent::sample::draw_latents;
use domex_random::Streams;
use domex_stylegan2::{Generator, GeneratorConfig, Model};

fn model(seed: u64) -> Model {
    let mut config = GeneratorConfig::with_defaults(8, 12, 16, 64, 8).unwrap();
    config.mapping.num_layers = 2;
    Model::random(&config, seed, &Device::Cpu).unwrap()
}

fn latents(generator: &Generator) -> Tensor {
    draw_latents(generator, 256, &mut Streams::new(1).stream("w")).unwrap()
}

fn zeros(config: &Config) -> Encoder {
    Encoder::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), config).unwrap()
}

fn number(tensor: &Tensor) -> f32 {
    tensor.to_scalar().unwrap()
}

#[test]
fn the_space_is_that_of_the_mapping_network_alone() {
    let model = model(1);
    let generator = model.generator();
    let hash = space_hash(generator).unwrap();
    let mut tensors = generator.tensors();
    let changed = |name: &str, tensors: &mut BTreeMap<String, Tensor>| {
        let tensor = tensors.get_mut(name).unwrap();
        *tensor = (&*tensor + 0.5).unwrap();
    };
    for name in ["synthesis.b4.const", "mapping.w_avg"] {
        changed(name, &mut tensors);
    }
    let of = |tensors: &BTreeMap<String, Tensor>| {
        space_hash(&Generator::from_tensors(tensors, generator.config()).unwrap()).unwrap()
    };
    assert_eq!(of(&tensors), hash, "an expansion keeps the space");
    changed("mapping.fc0.weight", &mut tensors);
    assert_ne!(of(&tensors), hash);
}

#[test]
fn a_copy_in_half_precision_has_the_same_space() {
    let model = model(2);
    let generator = model.generator();
    let halved = generator.tensors().into_iter().map(|(name, tensor)| {
        let half = tensor.to_dtype(DType::F16).unwrap();
        (name, half.to_dtype(DType::F32).unwrap())
    });
    let half = Generator::from_tensors(&halved.collect(), generator.config()).unwrap();
    assert_eq!(space_hash(&half).unwrap(), space_hash(generator).unwrap());
}

#[test]
fn an_encoder_of_another_generator_is_refused_with_what_makes_one() {
    let (one, other) = (model(1), model(2));
    let encoder = zeros(&Config::new(one.generator(), 3).unwrap());
    encoder.check(one.generator()).unwrap();
    let error = encoder.check(other.generator()).unwrap_err();
    assert!(matches!(error, Error::Config { .. }));
    assert!(error.to_string().contains("domex train-encoder"), "{error}");
}

#[test]
fn coordinates_have_unit_variance_and_lead_back_to_the_latents() {
    let model = model(3);
    let w = latents(model.generator());
    let directions = Directions::of(model.generator(), None, &w).unwrap();
    let c = directions.coordinates(&w).unwrap();
    let count = directions.count().unwrap();
    assert!((1..=12).contains(&count));
    let variances = c.sqr().unwrap().mean(0).unwrap().to_vec1::<f32>().unwrap();
    assert!(
        variances.iter().all(|v| (v - 1.0).abs() < 0.02),
        "{variances:?}"
    );
    let back = c.matmul(&directions.directions).unwrap();
    let back = back.broadcast_add(&directions.mean).unwrap();
    // What is left lies beside the directions: it has no coordinates.
    let left = directions.coordinates(
        &(&w - &back)
            .unwrap()
            .broadcast_add(&directions.mean)
            .unwrap(),
    );
    assert!(number(&left.unwrap().abs().unwrap().max_all().unwrap()) < 1e-3);
}

#[test]
fn larger_pictures_are_shrunk_and_others_refused() {
    let config = Config {
        size: 16,
        widths: [4, 4, 4, 4],
        coordinates: 2,
        latent_dim: 5,
        space: String::new(),
    };
    let encoder = zeros(&config);
    let pictures =
        |h: usize, w: usize| Tensor::zeros((2, 3, h, w), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(encoder.encode(&pictures(16, 16)).unwrap().dims(), [2, 5]);
    assert_eq!(encoder.encode(&pictures(48, 48)).unwrap().dims(), [2, 5]);
    let error = encoder.encode(&pictures(16, 32)).unwrap_err().to_string();
    assert!(error.contains("[n, 3, h, h]"), "{error}");
}

#[test]
fn a_file_of_another_kind_and_sizes_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.safetensors");
    let config = Config {
        size: 24,
        widths: [4, 4, 4, 4],
        coordinates: 2,
        latent_dim: 5,
        space: String::new(),
    };
    write(&path, &config, &BTreeMap::new(), &serde_json::Value::Null).unwrap();
    let error = Encoder::load(&path, &Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("multiple of 16"), "{error}");
    model(1)
        .save(folder.path().join("g"), domex_stylegan2::Overwrite::Refuse)
        .unwrap();
    let error = Encoder::load(folder.path().join("g"), &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("stylegan2") && error.contains("encoder"),
        "{error}"
    );
}
