use candle_core::{DType, Device, Tensor, Var};

use super::{group_norm, layer_norm, pixel_norm, reference};
use crate::testing::{
    assert_frozen_is_free, assert_gradients, assert_second_order, max_difference, randn,
};

const EPS: f64 = 1e-5;

fn ones_and_more(shape: &[usize], seed: u64) -> Tensor {
    ((randn(shape, seed) * 0.3).unwrap() + 1.0).unwrap()
}

fn narrow(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap()
}

#[test]
fn numbers_by_hand() {
    let x = Tensor::new(&[[1f64, 2.0, 3.0, 6.0]], &Device::Cpu).unwrap();
    // Mean 3, variance 14/4; mean square 50/4.
    let rows = |t: Tensor| t.to_vec2::<f64>().unwrap().remove(0);
    let expected = [-2.0, -1.0, 0.0, 3.0].map(|v| v / 3.5f64.sqrt());
    for (got, expected) in rows(layer_norm(&x, None, None, 0.0).unwrap())
        .iter()
        .zip(expected)
    {
        assert!((got - expected).abs() < 1e-15);
    }
    let expected = [1.0, 2.0, 3.0, 6.0].map(|v: f64| v / (12.5f64 + 1.5).sqrt());
    for (got, expected) in rows(pixel_norm(&x, 1, 1.5).unwrap()).iter().zip(expected) {
        assert!((got - expected).abs() < 1e-15);
    }
    // Two groups: (1, 2) and (3, 6), each to ∓1; then weight and bias of each channel.
    let weight = Tensor::new(&[1f64, 2.0, 3.0, 4.0], &Device::Cpu).unwrap();
    let bias = Tensor::new(&[10f64, 20.0, 30.0, 40.0], &Device::Cpu).unwrap();
    let y = rows(group_norm(&x, 2, Some(&weight), Some(&bias), 0.0).unwrap());
    for (got, expected) in y.iter().zip([9.0, 22.0, 27.0, 44.0]) {
        assert!((got - expected).abs() < 1e-13);
    }
}

#[test]
fn equals_the_reference() {
    let x = (randn(&[3, 6, 5, 7], 1) + 2.0).unwrap();
    for dim in 0..4 {
        let expected = reference::pixel_norm(&x, dim, 1e-8).unwrap();
        assert!(max_difference(&pixel_norm(&x, dim, 1e-8).unwrap(), &expected) < 1e-13);
        assert!(max_difference(&pixel_norm(&narrow(&x), dim, 1e-8).unwrap(), &expected) < 1e-6);
    }
    for groups in [1, 2, 3, 6] {
        let (w, b) = (ones_and_more(&[6], 2), randn(&[6], 3));
        for (w, b) in [
            (None, None),
            (Some(&w), None),
            (None, Some(&b)),
            (Some(&w), Some(&b)),
        ] {
            let expected = reference::group_norm(&x, groups, w, b, EPS).unwrap();
            let y = group_norm(&x, groups, w, b, EPS).unwrap();
            assert!(max_difference(&y, &expected) < 1e-13, "{groups} groups");
        }
        let y = group_norm(
            &narrow(&x),
            groups,
            Some(&narrow(&w)),
            Some(&narrow(&b)),
            EPS,
        )
        .unwrap();
        let expected = reference::group_norm(&x, groups, Some(&w), Some(&b), EPS).unwrap();
        assert!(max_difference(&y, &expected) < 1e-5);
    }
    let (w, b) = (ones_and_more(&[7], 4), randn(&[7], 5));
    let expected = reference::layer_norm(&x, Some(&w), Some(&b), EPS).unwrap();
    assert!(max_difference(&layer_norm(&x, Some(&w), Some(&b), EPS).unwrap(), &expected) < 1e-13);
    // A view that is not contiguous, and lines longer than one block of the sum.
    let turned = randn(&[5000, 3], 6).t().unwrap();
    let expected = reference::layer_norm(&turned, None, None, EPS).unwrap();
    assert!(max_difference(&layer_norm(&turned, None, None, EPS).unwrap(), &expected) < 1e-12);
    assert!(
        max_difference(
            &layer_norm(&narrow(&turned), None, None, EPS).unwrap(),
            &expected
        ) < 2e-6
    );
}

#[test]
fn rows_of_every_length() {
    // Either side of what the kernel for rows takes, in both types, with weight and bias.
    for len in [1, 50, 1 << 14, (1 << 14) + 1] {
        let (x, w, b) = (
            randn(&[3, len], 21),
            ones_and_more(&[len], 22),
            randn(&[len], 23),
        );
        let expected = reference::layer_norm(&x, Some(&w), Some(&b), EPS).unwrap();
        let y = layer_norm(&x, Some(&w), Some(&b), EPS).unwrap();
        assert!(max_difference(&y, &expected) < 1e-12, "{len}");
        let y = layer_norm(&narrow(&x), Some(&narrow(&w)), Some(&narrow(&b)), EPS).unwrap();
        assert!(max_difference(&y, &expected) < 1e-5, "{len}");
    }
}

#[test]
fn half_precision_goes_through_the_reference() {
    let x = (randn(&[2, 4096], 7) * 30.0).unwrap();
    let half = x.to_dtype(DType::BF16).unwrap();
    let expected = layer_norm(&half.to_dtype(DType::F64).unwrap(), None, None, EPS).unwrap();
    let y = layer_norm(&half, None, None, EPS).unwrap();
    assert_eq!(y.dtype(), DType::BF16);
    assert!(max_difference(&y, &expected) < 0.02);
    assert_eq!(pixel_norm(&half, 1, EPS).unwrap().dtype(), DType::BF16);
}

#[test]
fn pixel_norm_derivatives() {
    let x = randn(&[2, 5, 3], 8);
    for dim in 0..3 {
        let f = |xs: &[Tensor]| pixel_norm(&xs[0], dim, 1e-2);
        assert_gradients("pixel_norm", f, std::slice::from_ref(&x));
        assert_second_order("pixel_norm", f, std::slice::from_ref(&x));
    }
}

#[test]
fn layer_norm_derivatives() {
    let inputs = [
        randn(&[2, 3, 6], 9),
        ones_and_more(&[6], 10),
        randn(&[6], 11),
    ];
    let full = |xs: &[Tensor]| layer_norm(&xs[0], Some(&xs[1]), Some(&xs[2]), EPS);
    assert_gradients("layer_norm", full, &inputs);
    assert_second_order("layer_norm", full, &inputs);
    assert_frozen_is_free("layer_norm", full, &inputs);
    let weight = |xs: &[Tensor]| layer_norm(&xs[0], Some(&xs[1]), None, EPS);
    assert_gradients("layer_norm without bias", weight, &inputs[..2]);
    let plain = |xs: &[Tensor]| layer_norm(&xs[0], None, None, EPS);
    assert_gradients("layer_norm, plain", plain, &inputs[..1]);
    assert_second_order("layer_norm, plain", plain, &inputs[..1]);
}

#[test]
fn group_norm_derivatives() {
    let inputs = [
        randn(&[2, 4, 2, 3], 12),
        ones_and_more(&[4], 13),
        randn(&[4], 14),
    ];
    for groups in [1, 2, 4] {
        let full = |xs: &[Tensor]| group_norm(&xs[0], groups, Some(&xs[1]), Some(&xs[2]), EPS);
        assert_gradients("group_norm", full, &inputs);
        assert_second_order("group_norm", full, &inputs);
        assert_frozen_is_free("group_norm", full, &inputs);
    }
    let flat = |xs: &[Tensor]| group_norm(&xs[0], 2, Some(&xs[1]), Some(&xs[2]), EPS);
    assert_gradients(
        "group_norm of [n, c]",
        flat,
        &[randn(&[3, 6], 15), randn(&[6], 16), randn(&[6], 17)],
    );
}

#[test]
fn the_gradient_in_f32() {
    let x = Var::from_tensor(&narrow(&randn(&[4, 64], 18))).unwrap();
    let r = narrow(&randn(&[4, 64], 19));
    let gradient = |y: Tensor| {
        let grads = (y * &r).unwrap().sum_all().unwrap().backward().unwrap();
        grads.get(&x).unwrap().clone()
    };
    let fused = gradient(layer_norm(&x, None, None, EPS).unwrap());
    let composed = gradient(reference::layer_norm(&x, None, None, EPS).unwrap());
    assert!(max_difference(&fused, &composed) < 5e-6);
}

#[test]
fn refusals() {
    let x = randn(&[2, 6, 3], 20);
    let text = |r: crate::Result<Tensor>| r.unwrap_err().to_string();
    assert!(text(group_norm(&x, 4, None, None, EPS)).contains("multiple of the 4 groups"));
    assert!(text(group_norm(&x, 0, None, None, EPS)).contains("groups is 0"));
    assert!(text(group_norm(&randn(&[3], 0), 1, None, None, EPS)).contains("[n, c, ..]"));
    assert!(
        text(layer_norm(&x, Some(&randn(&[6], 0)), None, EPS))
            .contains("weight has shape [6], expected [3]")
    );
    assert!(
        text(layer_norm(&x, None, Some(&narrow(&randn(&[3], 0))), EPS)).contains("bias has dtype")
    );
    assert!(text(layer_norm(&randn(&[], 0), None, None, EPS)).contains("[.., d]"));
    assert!(text(pixel_norm(&x, 3, EPS)).contains("dim is 3"));
    assert!(text(pixel_norm(&x, 0, -1.0)).contains("eps is -1"));
    assert!(text(pixel_norm(&x, 0, f64::NAN)).contains("eps is NaN"));
    let empty = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    assert!(text(layer_norm(&empty, None, None, EPS)).contains("[0, 3]"));
}
