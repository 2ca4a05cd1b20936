use candle_core::{DType, Var};

use super::*;
use crate::testing::{max_difference, randn};

fn single(dims: &[usize], seed: u64) -> Tensor {
    randn(dims, seed).to_dtype(DType::F32).unwrap()
}

/// x, weight, stride, padding: Winograd's, strided, patches, 1×1, an image's channels.
const CONVS: [([usize; 4], [usize; 4], usize, usize); 7] = [
    ([2, 33, 9, 7], [35, 33, 3, 3], 1, 1),
    ([1, 3, 5, 5], [4, 3, 3, 3], 1, 1),
    ([2, 5, 9, 8], [7, 5, 3, 3], 2, 1),
    ([2, 3, 8, 8], [6, 3, 4, 4], 4, 0),
    ([2, 18, 5, 3], [20, 18, 1, 1], 1, 0),
    ([1, 3, 23, 23], [8, 3, 11, 11], 4, 2),
    ([1, 2, 1, 1], [3, 2, 1, 1], 1, 0),
];

/// The gradient of y with respect to a variable x, for an incoming gradient of y itself.
fn gradient(x: &Var, f: impl Fn(&Tensor) -> Result<Tensor>) -> Tensor {
    let y = f(x).unwrap();
    let loss = y.sqr().unwrap().sum_all().unwrap();
    loss.backward().unwrap().get(x).unwrap().clone()
}

/// The largest difference, relative to the largest value.
fn relative(a: &Tensor, b: &Tensor) -> f64 {
    max_difference(a, b) / max_difference(b, &b.zeros_like().unwrap()).max(1e-30)
}

#[test]
fn a_convolution_equals_the_ordinary_one() {
    for (x, w, stride, padding) in CONVS {
        let (x, w) = (Var::from_tensor(&single(&x, 1)).unwrap(), single(&w, 2));
        let bias = single(&w.dims()[..1], 3);
        let kept = Weight::new(w.clone());
        for bias in [None, Some(&bias)] {
            let ours = |x: &Tensor| kept.conv2d(x, bias, stride, padding);
            let plain = |x: &Tensor| conv2d(x, &w, bias, stride, padding);
            for _ in 0..2 {
                assert!(relative(&ours(&x).unwrap(), &plain(&x).unwrap()) < 1e-5);
                assert!(relative(&gradient(&x, ours), &gradient(&x, plain)) < 1e-5);
            }
        }
    }
}

#[test]
fn a_rectified_convolution_equals_the_two_steps() {
    for (x, w, stride, padding) in CONVS {
        let (x, w) = (Var::from_tensor(&single(&x, 1)).unwrap(), single(&w, 2));
        let bias = single(&w.dims()[..1], 3);
        let (frozen, learning) = (
            Weight::new(w.clone()),
            Weight::new(Var::from_tensor(&w).unwrap().into_inner()),
        );
        for bias in [None, Some(&bias)] {
            let plain = |x: &Tensor| Ok(conv2d(x, &w, bias, stride, padding)?.relu()?);
            for weight in [&frozen, &learning] {
                let ours = |x: &Tensor| weight.conv2d_relu(x, bias, stride, padding);
                assert!(relative(&ours(&x).unwrap(), &plain(&x).unwrap()) < 1e-5);
                assert!(relative(&gradient(&x, ours), &gradient(&x, plain)) < 1e-5);
            }
        }
    }
}

#[test]
fn a_layer_equals_the_ordinary_one() {
    for (dims, outputs) in [
        (&[1, 1][..], 1),
        (&[3, 17, 40], 33),
        (&[130, 16], 70),
        (&[2, 520], 5),
    ] {
        let inputs = dims[dims.len() - 1];
        let x = Var::from_tensor(&single(dims, 1)).unwrap();
        let (w, bias) = (single(&[outputs, inputs], 2), single(&[outputs], 3));
        let kept = Weight::new(w.clone());
        for bias in [None, Some(&bias)] {
            let ours = |x: &Tensor| kept.linear(x, bias);
            let plain = |x: &Tensor| linear(x, &w, bias);
            assert!(relative(&ours(&x).unwrap(), &plain(&x).unwrap()) < 1e-5);
            assert!(relative(&gradient(&x, ours), &gradient(&x, plain)) < 1e-5);
        }
        assert!(kept.kept_bytes() >= 2 * 4 * w.elem_count());
    }
}

#[test]
fn what_is_kept_serves_other_sizes_and_other_strides_do_not_meet_it() {
    let w = single(&[33, 32, 3, 3], 1);
    let kept = Weight::new(w.clone());
    for (x, stride, padding) in [
        ([1, 32, 8, 8], 1, 1),
        ([3, 32, 5, 9], 1, 1),
        ([1, 32, 8, 8], 2, 0),
        ([1, 32, 8, 8], 1, 0),
    ] {
        let x = single(&x, 2);
        let want = conv2d(&x, &w, None, stride, padding).unwrap();
        let got = kept.conv2d(&x, None, stride, padding).unwrap();
        assert!(relative(&got, &want) < 1e-5);
    }
}

#[test]
fn gradients_can_be_differentiated_again() {
    use crate::autograd::{grad, grad_with_graph};
    let x = Var::from_tensor(&single(&[1, 3, 6, 6], 1)).unwrap();
    let (conv, dense) = (single(&[4, 3, 3, 3], 2), single(&[2, 4 * 36], 3));
    let penalty = |frozen: bool| -> Result<Tensor> {
        let (conv, dense) = match frozen {
            true => (Weight::new(conv.clone()), Weight::new(dense.clone())),
            // A variable: used as it is.
            false => (
                Weight::new(Var::from_tensor(&conv)?.into_inner()),
                Weight::new(Var::from_tensor(&dense)?.into_inner()),
            ),
        };
        let h = conv.conv2d_relu(&x, None, 1, 1)?;
        let h = (h.tanh()? + conv.conv2d(&x, None, 1, 1)?.tanh()?)?.flatten_from(1)?;
        let y = dense.linear(&h, None)?.sqr()?.sum_all()?;
        Ok(grad_with_graph(&y, &x)?.sqr()?.sum_all()?)
    };
    let second = |frozen| grad(&penalty(frozen).unwrap(), &x).unwrap();
    assert!(relative(&second(true), &second(false)) < 1e-4);
}

#[test]
fn a_weight_that_learns_gets_its_gradient() {
    let w = Var::from_tensor(&single(&[2, 3], 1)).unwrap();
    let weight = Weight::new(w.as_tensor().clone());
    let y = weight.linear(&single(&[4, 3], 2), None).unwrap();
    assert!(y.backward().unwrap().get(&w).is_some());
    assert_eq!(weight.kept_bytes(), 0);
    // And so does a bias beside a frozen weight.
    let bias = Var::from_tensor(&single(&[2], 3)).unwrap();
    let weight = Weight::new(w.as_detached_tensor());
    let y = weight.linear(&single(&[4, 3], 2), Some(&bias)).unwrap();
    assert!(y.backward().unwrap().get(&bias).is_some());
}

#[test]
fn what_does_not_fit_is_refused() {
    let weight = Weight::new(single(&[2, 3], 1));
    assert!(weight.linear(&single(&[4, 2], 1), None).is_err());
    assert!(
        weight
            .conv2d(&single(&[1, 2, 3, 3], 1), None, 1, 0)
            .is_err()
    );
    let weight = Weight::new(single(&[2, 3, 3, 3], 1));
    assert!(
        weight
            .conv2d(&single(&[1, 2, 3, 3], 1), None, 1, 0)
            .is_err()
    );
    assert!(
        weight
            .conv2d(&single(&[1, 3, 3, 3], 1), None, 0, 0)
            .is_err()
    );
    // Another type takes the ordinary way and meets its check.
    assert!(weight.conv2d(&randn(&[1, 3, 3, 3], 1), None, 1, 0).is_err());
}
