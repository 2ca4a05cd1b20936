//! What is kept beside frozen weights and given up: of all weights at once, so in a process of its own.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Tensor};
use domex_ops::frozen::{Weight, give_up};
use domex_ops::testing::randn;

fn single(dims: &[usize], seed: u64) -> Tensor {
    randn(dims, seed).to_dtype(DType::F32).unwrap()
}

fn bits(x: &Tensor) -> Vec<u32> {
    let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn what_was_given_up_is_made_again_to_the_bit() {
    let layer = Weight::new(single(&[20, 18], 1));
    let convolution = Weight::new(single(&[20, 18, 3, 3], 2));
    let (rows, pictures) = (single(&[7, 18], 3), single(&[1, 18, 9, 9], 4));
    let made = || {
        let one = layer.linear(&rows, None).unwrap();
        let other = convolution.conv2d(&pictures, None, 1, 1).unwrap();
        (bits(&one), bits(&other))
    };
    let first = made();
    for _ in 0..2 {
        assert!(layer.kept_bytes() > 0 && convolution.kept_bytes() > 0);
        give_up();
        assert_eq!((layer.kept_bytes(), convolution.kept_bytes()), (0, 0));
        assert!(made() == first);
    }
}
