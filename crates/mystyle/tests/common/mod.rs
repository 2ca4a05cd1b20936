//! Numbers for tests.
// Each test program uses some of it; and clippy sees no tests here.
#![allow(dead_code, clippy::unwrap_used)]

use candle_core::{DType, Tensor};
use domex_mystyle::Anchors;
use domex_ops::testing::randn;

/// Random anchors `[n, dim]` in double precision.
pub fn anchors(n: usize, dim: usize, seed: u64) -> Anchors {
    Anchors::new(&randn(&[n, dim], seed)).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

pub fn number(tensor: &Tensor) -> f64 {
    numbers(tensor)[0]
}

/// The largest difference of two tensors.
pub fn apart(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let pairs = numbers(a).into_iter().zip(numbers(b));
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
