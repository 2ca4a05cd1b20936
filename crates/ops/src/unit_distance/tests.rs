use candle_core::{DType, Device, Var};

use super::*;
use crate::testing::{
    assert_frozen_is_free, assert_gradients, assert_second_order, max_difference, randn,
};

const LENGTH: UnitLength = UnitLength {
    eps: 1e-3,
    floor: 1e-12,
};

const SHAPES: [[usize; 4]; 4] = [[1, 1, 1, 1], [2, 3, 2, 5], [1, 17, 5, 13], [3, 2, 9, 8]];

fn operands(dims: [usize; 4]) -> [Tensor; 2] {
    [randn(&dims, 1), randn(&dims, 2)]
}

#[test]
fn equals_the_reference_in_both_types() {
    for dims in SHAPES {
        let [a, b] = operands(dims);
        let w = randn(&dims[1..2], 3);
        for w in [None, Some(&w)] {
            let want = reference(&a, &b, w, LENGTH).unwrap();
            let got = unit_distance(&a, &b, w, LENGTH).unwrap();
            assert_eq!(got.dims(), [dims[0], 1, dims[2], dims[3]]);
            assert!(max_difference(&got, &want) < 1e-12);
            let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
            let w = w.map(single);
            let got = unit_distance(&single(&a), &single(&b), w.as_ref(), LENGTH).unwrap();
            assert!(max_difference(&got, &want) < 1e-5);
        }
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for dims in &SHAPES[1..] {
        let w = randn(&dims[1..2], 3);
        for w in [None, Some(&w)] {
            let f = |t: &[Tensor]| unit_distance(&t[0], &t[1], w, LENGTH);
            let inputs = operands(*dims);
            assert_gradients("unit_distance", f, &inputs);
            assert_second_order("unit_distance", f, &inputs);
            assert_frozen_is_free("unit_distance", f, &inputs);
        }
    }
}

#[test]
fn a_weight_that_learns_gets_its_gradient() {
    let [a, b] = operands(SHAPES[1]);
    let f = |t: &[Tensor]| unit_distance(&a, &b, Some(&t[0]), LENGTH);
    assert_gradients("unit_distance, weight", f, &[randn(&[3], 4)]);
}

#[test]
fn a_pixel_of_zeros_is_harmless() {
    let a = Var::zeros((1, 3, 2, 2), DType::F32, &Device::Cpu).unwrap();
    let b = randn(&[1, 3, 2, 2], 1).to_dtype(DType::F32).unwrap();
    let length = UnitLength {
        eps: 1e-10,
        floor: 1e-36,
    };
    let y = unit_distance(&a, &b, None, length).unwrap();
    let grads = y.backward().unwrap();
    let values = grads.get(&a).unwrap().flatten_all().unwrap();
    assert!(
        values
            .to_vec1::<f32>()
            .unwrap()
            .iter()
            .all(|g| g.is_finite())
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let a = zeros(&[1, 3, 2, 2]);
    let text = |r: Result<Tensor>| r.unwrap_err().to_string();
    assert!(text(unit_distance(&a, &zeros(&[1, 3, 2, 1]), None, LENGTH)).contains("[1, 3, 2, 1]"));
    assert!(text(unit_distance(&a, &a, Some(&zeros(&[2])), LENGTH)).contains("weight"));
    let bad = UnitLength {
        eps: -1.0,
        ..LENGTH
    };
    assert!(text(unit_distance(&a, &a, None, bad)).contains("eps"));
    let empty = zeros(&[1, 0, 2, 2]);
    assert!(text(unit_distance(&empty, &empty, None, LENGTH)).contains("size 0"));
}
