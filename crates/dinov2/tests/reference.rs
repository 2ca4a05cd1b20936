//! Features against those of the published program in float64, and files that are refused.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_dinov2::{Config, Dinov2, Tensors, layout, positions};

/// See `data/make_sample.py`.
fn sample() -> Tensors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    tensors.into_iter().collect()
}

/// Its weights, under the names of transformers.
fn weights() -> Tensors {
    let named = sample()
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("param.")?.to_owned(), tensor)));
    named.collect()
}

const CONFIG: Config = Config {
    width: 16,
    layers: 2,
    heads: 2,
    mlp_width: 32,
    grid: 5,
};

/// The largest difference, over the largest entry.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let most = |x: &Tensor| -> f64 {
        let x = x.to_dtype(DType::F64).unwrap().abs().unwrap();
        x.max_all().unwrap().to_scalar().unwrap()
    };
    let a = a.to_dtype(DType::F64).unwrap();
    most(&(&a - b).unwrap()) / most(b)
}

#[test]
fn features_are_those_of_the_published_program() {
    let (sample, tensors) = (sample(), layout::renamed(&weights()).unwrap());
    for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
        let network = Dinov2::new(&tensors, &CONFIG, dtype, &Device::Cpu).unwrap();
        for name in ["square", "oblong"] {
            let pictures = sample[&format!("in.{name}")].to_dtype(dtype).unwrap();
            let found = network.features(&pictures).unwrap();
            let off = difference(&found, &sample[&format!("out.{name}")]);
            assert!(off < tolerance, "{name} as {dtype:?}: {off}");
        }
    }
}

#[test]
fn positions_of_the_published_grid_are_interpolated_alike() {
    let sample = sample();
    let stored = sample["in.grid"].unsqueeze(2).unwrap();
    let found = positions::at(&stored, 16, 16).unwrap().squeeze(2).unwrap();
    let off = difference(&found, &sample["out.grid"]);
    assert!(off < 1e-13, "{off}");
    let same = positions::at(&stored, 37, 37).unwrap();
    assert_eq!(difference(&same, &stored), 0.0);
}

#[test]
fn a_batch_equals_its_pictures_one_by_one() {
    let tensors = layout::renamed(&weights()).unwrap();
    let network = Dinov2::new(&tensors, &CONFIG, DType::F32, &Device::Cpu).unwrap();
    let pictures = &sample()["in.oblong"];
    let both = network.features(pictures).unwrap();
    let second = network
        .features(&pictures.narrow(0, 1, 1).unwrap())
        .unwrap();
    let second = second.to_dtype(DType::F64).unwrap();
    assert!(difference(&both.narrow(0, 1, 1).unwrap(), &second) < 1e-6);
}

#[test]
fn pictures_of_other_shapes_are_refused() {
    let tensors = layout::renamed(&weights()).unwrap();
    let network = Dinov2::new(&tensors, &CONFIG, DType::F32, &Device::Cpu).unwrap();
    for shape in [
        (1, 3, 28, 30),
        (1, 1, 28, 28),
        (1, 3, 0, 14),
        (0, 3, 14, 14),
    ] {
        let pictures = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let error = network.features(&pictures).unwrap_err().to_string();
        assert!(error.contains("multiples of 14"), "{error}");
    }
}

#[test]
fn a_file_gives_the_network_and_a_damaged_one_is_named() {
    let config = Config {
        width: 64,
        heads: 1,
        grid: 2,
        ..CONFIG
    };
    // Under the names of transformers, by way of those of the sample.
    let names = weights()
        .into_keys()
        .filter(|name| !name.contains("mask_token"));
    let sizes = |dims: &[usize]| -> Vec<usize> {
        let wider = |dim: &usize| match *dim {
            16 => 64,
            26 => 5,
            other => other,
        };
        dims.iter().map(wider).collect()
    };
    let of = weights();
    let tensors: Tensors = names
        .map(|name| {
            let shape = sizes(of[&name].dims());
            let count = shape.iter().product::<usize>();
            let wave = |i: usize| 0.1 * (i as f32 * 2.4 + name.len() as f32).sin();
            let values: Vec<f32> = (0..count).map(wave).collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dino.safetensors");
    let write = |tensors: &Tensors| {
        let map: std::collections::HashMap<_, _> = tensors.clone().into_iter().collect();
        candle_core::safetensors::save(&map, &path).unwrap();
    };
    write(&tensors);
    let network = Dinov2::load(&path, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(*network.config(), config);
    let pictures = &sample()["in.oblong"];
    assert_eq!(network.features(pictures).unwrap().dims(), [2, 64]);

    let name = "encoder.layer.1.layer_scale2.lambda1";
    let mut other = tensors.clone();
    other.remove(name);
    write(&other);
    let refused = |words: &[&str]| {
        let error = Dinov2::load(&path, DType::F32, &Device::Cpu).unwrap_err();
        let error = error.to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    };
    refused(&["dino.safetensors", name, "missing"]);
    other.insert(
        name.into(),
        Tensor::zeros(7, DType::F32, &Device::Cpu).unwrap(),
    );
    write(&other);
    refused(&["dino.safetensors", "scale2", "[7]", "[64]"]);
}
