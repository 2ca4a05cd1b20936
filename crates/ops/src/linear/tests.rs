use candle_core::{DType, Device, Tensor};

use super::*;
use crate::testing::{
    assert_frozen_is_free, assert_gradients, assert_no_stray_gradients, assert_second_order,
    max_difference, randn,
};

const CASES: [(&[usize], usize); 4] = [(&[1, 1], 1), (&[3, 7], 5), (&[2, 3, 5], 1), (&[7], 3)];

fn operands(x: &[usize], out: usize) -> [Tensor; 3] {
    [
        randn(x, 1),
        randn(&[out, *x.last().unwrap()], 2),
        randn(&[out], 3),
    ]
}

#[test]
fn equals_the_reference_in_both_types() {
    for (dims, out) in CASES {
        let [x, w, b] = operands(dims, out);
        let want = reference(&x, &w, Some(&b)).unwrap();
        assert!(max_difference(&linear(&x, &w, Some(&b)).unwrap(), &want) < 1e-13);
        let [x, w, b] = [x, w, b].map(|t| t.to_dtype(DType::F32).unwrap());
        let got = linear(&x, &w, Some(&b)).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        assert!(max_difference(&got, &want) < 1e-5);
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for (dims, out) in CASES {
        let inputs = operands(dims, out);
        let f = |t: &[Tensor]| linear(&t[0], &t[1], t.get(2));
        assert_gradients("linear", f, &inputs);
        assert_second_order("linear", f, &inputs);
        assert_frozen_is_free("linear", f, &inputs);
        assert_no_stray_gradients("linear", f, &inputs);
        let f = |t: &[Tensor]| linear(&linear(&t[0], &t[1], None)?.tanh()?, &t[1].t()?, None);
        assert_second_order("linear, tanh, linear", f, &inputs[..2]);
    }
}

#[test]
fn the_batch_equals_single_samples() {
    let [x, w, b] = operands(&[5, 33], 17);
    let all = linear(&x, &w, Some(&b)).unwrap();
    for i in 0..5 {
        let one = linear(&x.narrow(0, i, 1).unwrap(), &w, Some(&b)).unwrap();
        assert!(max_difference(&one, &all.narrow(0, i, 1).unwrap()) < 1e-13);
    }
}

#[test]
fn strided_operands_are_read_right() {
    let (x, w) = (randn(&[7, 3, 2], 1), randn(&[7, 4], 2));
    let (xt, wt) = (x.permute((2, 1, 0)).unwrap(), w.t().unwrap());
    let want = linear(&xt.contiguous().unwrap(), &wt.contiguous().unwrap(), None).unwrap();
    assert!(max_difference(&linear(&xt, &wt, None).unwrap(), &want) < 1e-13);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let (x, w) = (zeros(&[2, 4]), zeros(&[3, 4]));
    for (x, w, b, part) in [
        (
            &x,
            &zeros(&[4, 3]),
            None,
            "linear: weight has shape [4, 3], expected [out, 4]",
        ),
        (&x, &zeros(&[4]), None, "linear: weight has shape [4]"),
        (
            &x,
            &w,
            Some(zeros(&[4])),
            "linear: bias has shape [4], expected [3]",
        ),
        (&zeros(&[]), &w, None, "linear: x has shape []"),
        (&zeros(&[0, 4]), &w, None, "no dimension of size 0"),
    ] {
        let message = linear(x, w, b.as_ref()).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}
