//! Distances of pairs among pictures are those of the pairs, and so are their gradients.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use domex_latent::{ImageDistance, PixelRms};
use domex_lpips::{Backbone, Config, Lpips};
use domex_ops::testing::randn;
use domex_replay::{Perceptual, Recomputed};

/// Each picture but the last is in more than one.
const PAIRS: [(usize, usize); 4] = [(0, 1), (0, 2), (2, 1), (3, 0)];

fn perceptual() -> Perceptual {
    let config = Config::new(Backbone::Small);
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Lpips::new(&vb, &config).unwrap();
    for var in map.all_vars() {
        let fan_in: usize = var.dims().iter().skip(1).product();
        let scale = (2.0 / fan_in.max(1) as f64).sqrt();
        let values =
            (randn(var.dims(), var.elem_count() as u64).abs().unwrap() - 0.5).unwrap() * scale;
        var.set(&values.unwrap().to_dtype(DType::F32).unwrap())
            .unwrap();
    }
    Perceptual(Lpips::new(&vb, &config).unwrap())
}

#[test]
fn pairs_are_as_far_apart_as_their_pictures() {
    let distances: [&dyn ImageDistance; 3] = [&PixelRms, &perceptual(), &Recomputed(perceptual())];
    let pictures = randn(&[4, 3, 16, 16], 1).to_dtype(DType::F32).unwrap();
    let pictures = Var::from_tensor(&pictures).unwrap();
    for distance in distances {
        let row = |i: usize| pictures.narrow(0, i, 1).unwrap();
        let one = |(i, j)| distance.distance(&row(i), &row(j)).unwrap();
        let expected = Tensor::cat(&PAIRS.map(one), 0).unwrap();
        let found = distance.among(&pictures, &PAIRS).unwrap();
        assert_near(&found, &expected, distance.name());
        // A weight of its own for each pair.
        let weights = Tensor::new(&[1f32, -2.0, 3.0, 0.5], &Device::Cpu).unwrap();
        let gradient = |distances: &Tensor| {
            let sum = (distances * &weights).unwrap().sum_all().unwrap();
            sum.backward().unwrap().remove(&pictures).unwrap()
        };
        assert_near(&gradient(&found), &gradient(&expected), distance.name());
    }
}

/// Not nothing, and the same to rounding.
fn assert_near(found: &Tensor, expected: &Tensor, name: &str) {
    let largest = |x: &Tensor| {
        let largest = x.abs().unwrap().max_all().unwrap();
        largest.to_scalar::<f32>().unwrap()
    };
    let (apart, size) = (largest(&(found - expected).unwrap()), largest(expected));
    assert!(
        size > 0.0 && apart < 1e-5 * size,
        "{name}: {apart} of {size}"
    );
}
