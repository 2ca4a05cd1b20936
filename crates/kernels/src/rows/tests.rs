//! Against the formulas in f64, gradients against finite differences, every instruction set.

use super::layer_norm::{layer_norm_backward_on, layer_norm_on};
use super::softmax::{softmax_backward_on, softmax_on};
use super::*;
use crate::simd::Isa;
use crate::testing::{assert_close, noise};

const SIZES: [(usize, usize); 5] = [(1, 1), (3, 2), (2, 16), (5, 37), (40, 513)];

fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

fn plain_softmax(x: &[f64], width: usize) -> Vec<f64> {
    let rows = x
        .chunks(width)
        .map(|x| (x, x.iter().map(|x| x.exp()).sum::<f64>()));
    rows.flat_map(|(x, sum)| x.iter().map(move |x| x.exp() / sum))
        .collect()
}

fn plain_norm(x: &[f64], weight: &[f64], bias: &[f64], eps: f64) -> Vec<f64> {
    let n = weight.len();
    let mut y = Vec::new();
    for x in x.chunks(n) {
        let mean = x.iter().sum::<f64>() / n as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        y.extend((0..n).map(|i| (x[i] - mean) / (variance + eps).sqrt() * weight[i] + bias[i]));
    }
    y
}

/// The derivative of `loss` along each element of `x`.
fn differences(x: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |i: usize, h: f64| {
        let mut x = x.to_vec();
        x[i] += h;
        loss(&x)
    };
    (0..x.len())
        .map(|i| (at(i, 1e-5) - at(i, -1e-5)) / 2e-5)
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn softmax_and_its_gradient() {
    for (rows, width) in SIZES {
        let s = RowsShape { rows, width };
        let (x, gy) = (noise::<f64>(rows * width, 1), noise::<f64>(rows * width, 2));
        let want = plain_softmax(&x, width);
        let (mut y, mut gx) = (vec![f64::NAN; x.len()], vec![f64::NAN; x.len()]);
        softmax(&s, &x, &mut y).unwrap();
        assert_close(&y, &want, 1e-14);
        softmax_backward(&s, &y, &gy, &mut gx).unwrap();
        if x.len() < 1000 {
            let want = differences(&x, |x| dot(&plain_softmax(x, width), &gy));
            assert!(gx.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-9));
        }
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; x.len()];
            softmax_on(isa, &s, &narrow(&x), &mut got).unwrap();
            assert_close(&got, &narrow(&want), 2e-6);
            softmax_backward_on(isa, &s, &narrow(&y), &narrow(&gy), &mut got).unwrap();
            // Relative to what is subtracted, since a row of one has gradient 0.
            let scale = y.iter().copied().fold(0.0, f64::max);
            assert!(
                got.iter()
                    .zip(&gx)
                    .all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6 * scale)
            );
        }
    }
    let mut y = [0.0f32; 3];
    softmax(
        &RowsShape { rows: 1, width: 3 },
        &[1e30, -1e30, f32::NEG_INFINITY],
        &mut y,
    )
    .unwrap();
    assert_eq!(y, [1.0, 0.0, 0.0]);
}

#[test]
fn layer_norm_and_its_gradients() {
    for (rows, width) in SIZES {
        let s = RowsShape { rows, width };
        let (x, gy) = (noise::<f64>(rows * width, 1), noise::<f64>(rows * width, 2));
        let (weight, bias) = (noise::<f64>(width, 3), noise::<f64>(width, 4));
        let l = LayerNorm {
            weight: Some(&weight),
            bias: Some(&bias),
            eps: 1e-2,
        };
        let want = plain_norm(&x, &weight, &bias, 1e-2);
        let (mut y, mut gx) = (vec![f64::NAN; x.len()], vec![f64::NAN; x.len()]);
        let (mut gw, mut gb) = (vec![f64::NAN; width], vec![f64::NAN; width]);
        layer_norm(&s, &l, &x, &mut y).unwrap();
        assert_close(&y, &want, 1e-13);
        layer_norm_backward(&s, &l, &x, &gy, &mut gx, Some((&mut gw, &mut gb))).unwrap();
        if x.len() < 1000 {
            let close =
                |got: &[f64], want: &[f64]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-8);
            assert!(close(
                &gx,
                &differences(&x, |x| dot(&plain_norm(x, &weight, &bias, 1e-2), &gy))
            ));
            assert!(close(
                &gw,
                &differences(&weight, |w| dot(&plain_norm(&x, w, &bias, 1e-2), &gy))
            ));
            assert!(close(
                &gb,
                &differences(&bias, |b| dot(&plain_norm(&x, &weight, b, 1e-2), &gy))
            ));
        }
        let (x, gy, weight, bias) = (narrow(&x), narrow(&gy), narrow(&weight), narrow(&bias));
        let l = LayerNorm {
            weight: Some(&weight),
            bias: Some(&bias),
            eps: 1e-2,
        };
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; x.len()];
            layer_norm_on(isa, &s, &l, &x, &mut got).unwrap();
            assert_close(&got, &narrow(&want), 4e-6);
            layer_norm_backward_on(isa, &s, &l, &x, &gy, &mut got, None).unwrap();
            assert!(
                got.iter()
                    .zip(&gx)
                    .all(|(a, b)| (f64::from(*a) - b).abs() < 2e-5),
                "{rows} {width}"
            );
        }
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let s = RowsShape { rows: 2, width: 3 };
    let mut y = [0.0f32; 6];
    assert!(
        softmax(&s, &[0.0; 5], &mut y)
            .unwrap_err()
            .to_string()
            .contains("softmax")
    );
    assert!(softmax::<f32>(&RowsShape { rows: 0, ..s }, &[], &mut []).is_err());
    assert!(
        softmax(
            &RowsShape {
                rows: usize::MAX,
                ..s
            },
            &[0.0; 6],
            &mut y
        )
        .is_err()
    );
    let short = [0.0f32; 2];
    let l = LayerNorm {
        weight: Some(&short),
        bias: None,
        eps: 1e-5,
    };
    assert!(
        layer_norm(&s, &l, &[0.0; 6], &mut y)
            .unwrap_err()
            .to_string()
            .contains("`weight` has 2")
    );
}
