//! Cross-domain correspondence.

#![allow(clippy::unwrap_used)]

use candle_core::{Tensor, Var};
use domex_latent::{ImageDistance as _, PixelRms};
use domex_ops::testing::randn;
use domex_replay::correspondence;

fn loss(pictures: &Tensor, source: &Tensor) -> Vec<f64> {
    let loss = correspondence(pictures, source, &PixelRms).unwrap();
    loss.unwrap().to_vec1().unwrap()
}

#[test]
fn pictures_as_far_from_each_other_as_the_sources_cost_nothing() {
    let x = randn(&[4, 3, 4, 4], 1);
    for value in loss(&x, &x) {
        assert!(value.abs() < 1e-12, "{value}");
    }
}

#[test]
fn distances_count_in_proportion() {
    let x = randn(&[4, 3, 4, 4], 1);
    for value in loss(&(&x * 3.0).unwrap(), &x) {
        assert!(value.abs() < 1e-6, "{value}");
    }
}

#[test]
fn each_picture_costs_the_divergence_of_its_likenesses() {
    let (x, y) = (randn(&[3, 3, 4, 4], 1), randn(&[3, 3, 4, 4], 2));
    let likeness = |x: &Tensor| {
        let at = |i: usize, j: usize| {
            let (a, b) = (x.narrow(0, i, 1).unwrap(), x.narrow(0, j, 1).unwrap());
            PixelRms.distance(&a, &b).unwrap().to_vec1::<f64>().unwrap()[0]
        };
        let (a, b, c) = (at(0, 1), at(0, 2), at(1, 2));
        let mean = (a + b + c) / 3.0;
        let of = |one: f64, two: f64| {
            let (one, two) = ((-one / mean).exp(), (-two / mean).exp());
            one / (one + two)
        };
        [of(a, b), of(a, c), of(b, c)]
    };
    let (p, q) = (likeness(&y), likeness(&x));
    for (i, value) in loss(&x, &y).into_iter().enumerate() {
        let expected =
            p[i] * (p[i] / q[i]).ln() + (1.0 - p[i]) * ((1.0 - p[i]) / (1.0 - q[i])).ln();
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }
}

#[test]
fn two_pictures_have_nothing_to_compare() {
    let x = randn(&[2, 3, 4, 4], 1);
    assert!(correspondence(&x, &x, &PixelRms).unwrap().is_none());
}

#[test]
fn the_source_is_constant() {
    let x = Var::from_tensor(&randn(&[4, 3, 4, 4], 1)).unwrap();
    let y = Var::from_tensor(&randn(&[4, 3, 4, 4], 2)).unwrap();
    let loss = correspondence(&x, &y, &PixelRms).unwrap().unwrap();
    let gradients = loss.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&x).is_some() && gradients.get(&y).is_none());
}

#[test]
fn pictures_of_another_shape_are_refused() {
    let (x, y) = (randn(&[3, 3, 4, 4], 1), randn(&[3, 3, 5, 4], 2));
    let error = correspondence(&x, &y, &PixelRms).unwrap_err();
    assert!(error.to_string().contains("[3, 3, 4, 4]"), "{error}");
}
