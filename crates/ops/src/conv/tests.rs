use candle_core::{DType, Device, Tensor};

use super::*;
use crate::testing::{
    assert_frozen_is_free, assert_gradients, assert_no_stray_gradients, assert_second_order,
    max_difference, randn,
};

/// (x, weight, stride, padding): odd sizes, single pixels, remainders at right and bottom.
const CASES: [([usize; 4], [usize; 4], usize, usize); 7] = [
    ([1, 1, 1, 1], [1, 1, 1, 1], 1, 0),
    ([2, 3, 7, 5], [4, 3, 3, 3], 1, 1),
    ([2, 3, 7, 5], [2, 3, 1, 1], 1, 0),
    ([1, 2, 7, 8], [3, 2, 3, 3], 2, 1),
    ([2, 2, 8, 5], [3, 2, 3, 2], 2, 0),
    ([1, 3, 3, 7], [1, 3, 3, 1], 3, 2),
    ([3, 1, 1, 3], [2, 1, 3, 3], 1, 1),
];

fn forward(stride: usize, padding: usize) -> impl Fn(&[Tensor]) -> Result<Tensor> + Sync {
    move |t| conv2d(&t[0], &t[1], t.get(2), stride, padding)
}

/// The transposed convolution's operands: x has the shape of the convolution's output.
fn transposed(case: usize) -> ([Tensor; 2], usize, usize) {
    let (x, w, stride, padding) = CASES[case];
    let y = conv2d(&randn(&x, 1), &randn(&w, 2), None, stride, padding).unwrap();
    ([randn(y.dims(), 3), randn(&w, 4)], stride, padding)
}

#[test]
fn equals_the_reference_in_both_types() {
    for (i, (x, w, stride, padding)) in CASES.into_iter().enumerate() {
        let (x, w, b) = (randn(&x, 1), randn(&w, 2), randn(&w[..1], 3));
        let want = reference::conv2d(&x, &w, Some(&b), stride, padding).unwrap();
        let got = conv2d(&x, &w, Some(&b), stride, padding).unwrap();
        assert!(max_difference(&got, &want) < 1e-12, "case {i}");
        let [x, w, b] = [x, w, b].map(|t| t.to_dtype(DType::F32).unwrap());
        let got = conv2d(&x, &w, Some(&b), stride, padding).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        assert!(max_difference(&got, &want) < 1e-5, "case {i}");

        let ([x, w], stride, padding) = transposed(i);
        let want = reference::conv_transpose2d(&x, &w, stride, padding).unwrap();
        let got = conv_transpose2d(&x, &w, stride, padding).unwrap();
        assert!(max_difference(&got, &want) < 1e-12, "transposed, case {i}");
    }
}

#[test]
fn the_reference_has_the_same_gradients() {
    // In float64, the oracle must itself pass the check it is used for.
    for (x, w, stride, padding) in CASES {
        let inputs = [randn(&x, 1), randn(&w, 2)];
        let f = |t: &[Tensor]| reference::conv2d(&t[0], &t[1], None, stride, padding);
        assert_gradients("reference conv2d", f, &inputs);
        let f = |t: &[Tensor]| reference::conv_transpose2d(&t[0], &t[1], stride, padding);
        let y = conv2d(&inputs[0], &inputs[1], None, stride, padding).unwrap();
        assert_gradients(
            "reference transposed",
            f,
            &[randn(y.dims(), 3), inputs[1].clone()],
        );
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for (i, (x, w, stride, padding)) in CASES.into_iter().enumerate() {
        let inputs = [randn(&x, 1), randn(&w, 2), randn(&w[..1], 3)];
        let f = forward(stride, padding);
        assert_gradients(&format!("conv2d {i}"), &f, &inputs);
        assert_second_order(&format!("conv2d {i}"), &f, &inputs);
        assert_frozen_is_free("conv2d", &f, &inputs);
        assert_no_stray_gradients("conv2d", &f, &inputs[..2]);

        let (inputs, stride, padding) = transposed(i);
        let f = |t: &[Tensor]| conv_transpose2d(&t[0], &t[1], stride, padding);
        assert_gradients(&format!("conv_transpose2d {i}"), f, &inputs);
        assert_second_order(&format!("conv_transpose2d {i}"), f, &inputs);
        assert_no_stray_gradients("conv_transpose2d", f, &inputs);
    }
}

#[test]
fn a_nonlinear_chain_has_an_exact_second_order() {
    let inputs = [
        randn(&[2, 2, 5, 5], 1),
        randn(&[3, 2, 3, 3], 2),
        randn(&[3, 1, 3, 3], 3),
    ];
    let f = |t: &[Tensor]| {
        let y = conv2d(&t[0], &t[1], None, 2, 1)?.tanh()?;
        Ok(conv_transpose2d(&y, &t[2], 2, 1)?.sqr()?)
    };
    assert_second_order("conv, tanh, transposed conv", f, &inputs);
}

#[test]
fn strided_operands_are_read_right() {
    let (x, w) = (randn(&[2, 5, 7, 3], 1), randn(&[3, 3, 3, 4], 2));
    let views = (
        x.permute((0, 3, 2, 1)).unwrap(),
        w.permute((3, 1, 0, 2)).unwrap(),
    );
    let plain = (views.0.contiguous().unwrap(), views.1.contiguous().unwrap());
    let a = conv2d(&views.0, &views.1, None, 1, 1).unwrap();
    let b = conv2d(&plain.0, &plain.1, None, 1, 1).unwrap();
    assert_eq!(max_difference(&a, &b), 0.0);
    let f = |t: &[Tensor]| conv2d(&t[0].permute((0, 3, 2, 1))?, &t[1].t()?, None, 1, 1);
    assert_gradients("conv2d of views", f, &[x, randn(&[2, 3, 3, 3], 3)]);
    // A part of a larger tensor starts at an offset.
    let part = randn(&[3, 3, 7, 5], 4).narrow(0, 1, 2).unwrap();
    let a = conv2d(&part, &plain.1, None, 1, 1).unwrap();
    let b = conv2d(&part.copy().unwrap(), &plain.1, None, 1, 1).unwrap();
    assert_eq!(max_difference(&a, &b), 0.0);
}

#[test]
fn half_precision_adds_up_in_float32_and_rounds_once() {
    let (x, w, b) = (
        randn(&[1, 40, 6, 6], 1),
        randn(&[40, 40, 3, 3], 2),
        randn(&[40], 3),
    );
    for dtype in [DType::F16, DType::BF16] {
        let half = [x.clone(), w.clone(), b.clone()].map(|t| t.to_dtype(dtype).unwrap());
        let [x, w, b] = half.clone().map(|t| t.to_dtype(DType::F32).unwrap());
        let rounded = |y: Tensor| y.to_dtype(dtype).unwrap();
        let got = conv2d(&half[0], &half[1], Some(&half[2]), 1, 1).unwrap();
        assert_eq!(got.dtype(), dtype);
        let want = rounded(conv2d(&x, &w, Some(&b), 1, 1).unwrap());
        assert_eq!(max_difference(&got, &want), 0.0);
        let got = conv_transpose2d(&half[0], &half[1], 2, 1).unwrap();
        let want = rounded(conv_transpose2d(&x, &w, 2, 1).unwrap());
        assert_eq!(max_difference(&got, &want), 0.0);
        // Gradients arrive in the operands' own precision.
        let x = candle_core::Var::from_tensor(&half[0]).unwrap();
        let grads = conv2d(&x, &half[1], None, 1, 1)
            .unwrap()
            .backward()
            .unwrap();
        assert_eq!(grads.get(&x).unwrap().dtype(), dtype);
    }
}

#[test]
fn weight_gradients_can_be_switched_off_for_a_pass() {
    use crate::autograd::without_weight_grads;
    let x = candle_core::Var::from_tensor(&randn(&[1, 2, 4, 4], 1)).unwrap();
    let w = candle_core::Var::from_tensor(&randn(&[2, 2, 3, 3], 2)).unwrap();
    let y = conv2d(&x, &w, None, 1, 1).unwrap();
    let grads = without_weight_grads(|| y.backward()).unwrap();
    assert!(grads.get(&x).is_some() && grads.get(&w).is_none());
    assert!(y.backward().unwrap().get(&w).is_some());
}

#[test]
fn a_finished_gradient_holds_no_graph() {
    let x = candle_core::Var::from_tensor(&randn(&[1, 2, 4, 4], 1)).unwrap();
    let w = candle_core::Var::from_tensor(&randn(&[2, 2, 3, 3], 2)).unwrap();
    let grads = conv2d(&x, &w, None, 1, 1).unwrap().backward().unwrap();
    assert!(!grads.get(&x).unwrap().track_op());
    assert!(!grads.get(&w).unwrap().track_op());
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let cpu = &Device::Cpu;
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, cpu).unwrap();
    let (x, w) = (zeros(&[1, 3, 5, 5]), zeros(&[4, 3, 3, 3]));
    let text = |r: Result<Tensor>| r.unwrap_err().to_string();
    let refused = |r: Result<Tensor>, parts: &[&str]| {
        let message = text(r);
        for part in parts {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    };
    refused(
        conv2d(&zeros(&[3, 5, 5]), &w, None, 1, 1),
        &["conv2d: x", "[3, 5, 5]", "rank 4"],
    );
    refused(
        conv2d(&x, &zeros(&[4, 2, 3, 3]), None, 1, 1),
        &["weight", "[4, 2, 3, 3]", "[o, 3,"],
    );
    refused(
        conv2d(&x, &w, Some(&zeros(&[3])), 1, 1),
        &["bias", "[3]", "[4]"],
    );
    refused(conv2d(&x, &w, None, 0, 1), &["stride", "at least 1"]);
    refused(
        conv2d(&x, &zeros(&[4, 3, 9, 9]), None, 1, 1),
        &["weight", "[4, 3, 9, 9]"],
    );
    refused(
        conv2d(&zeros(&[0, 3, 5, 5]), &w, None, 1, 1),
        &["x", "size 0"],
    );
    refused(
        conv2d(&x, &zeros(&[4, 3, 3, 0]), None, 1, 1),
        &["weight", "size 0"],
    );
    refused(
        conv2d(&x, &w, None, 1, usize::MAX),
        &["conv2d", "[1, 3, 5, 5]"],
    );
    refused(
        conv2d(&x, &w, None, 1, usize::MAX / 8),
        &["conv2d", "overflow"],
    );
    refused(
        conv2d(&x, &w.to_dtype(DType::F64).unwrap(), None, 1, 1),
        &["weight", "F64", "F32"],
    );
    refused(
        conv2d(&x.to_dtype(DType::U8).unwrap(), &w, None, 1, 1),
        &["x", "U8"],
    );

    let w = zeros(&[3, 4, 3, 3]);
    refused(
        conv_transpose2d(&x, &zeros(&[2, 4, 3, 3]), 1, 1),
        &["conv_transpose2d", "[3, o,"],
    );
    refused(conv_transpose2d(&x, &w, 0, 1), &["stride"]);
    refused(
        conv_transpose2d(&x, &w, usize::MAX, 1),
        &["conv_transpose2d", "x"],
    );
    refused(conv_transpose2d(&x, &w, 1, 4), &["x", "padding than 4"]);
}
