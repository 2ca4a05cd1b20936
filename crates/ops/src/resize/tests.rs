use candle_core::{DType, Device, Tensor};

use super::{Resize, centre_crop, reference, resize, resize_shorter_side};
use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

const KINDS: [Resize; 6] = [
    Resize::Nearest,
    Resize::Area,
    Resize::Bilinear,
    Resize::BilinearTf1,
    Resize::Bicubic { antialias: false },
    Resize::Bicubic { antialias: true },
];

/// `resize` of one row.
fn row(values: &[f64], len: usize, kind: Resize) -> Vec<f64> {
    let x = Tensor::new(values, &Device::Cpu)
        .unwrap()
        .reshape((1, 1, 1, values.len()))
        .unwrap();
    resize(&x, 1, len, kind)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn assert_close(got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    let close = got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12);
    assert!(close, "{got:?} is not {expected:?}");
}

#[test]
fn rows_by_hand() {
    let x = [1.0, 2.0, 4.0, 8.0];
    assert_close(
        &row(&x, 8, Resize::Nearest),
        &[1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0],
    );
    assert_close(&row(&x, 3, Resize::Nearest), &[1.0, 2.0, 4.0]);
    assert_close(&row(&x, 2, Resize::Area), &[1.5, 6.0]);
    assert_close(&row(&x, 3, Resize::Area), &[1.5, 3.0, 6.0]);
    assert_close(
        &row(&x, 8, Resize::Bilinear),
        &[1.0, 1.25, 1.75, 2.5, 3.5, 5.0, 7.0, 8.0],
    );
    assert_close(&row(&x, 2, Resize::Bilinear), &[1.5, 6.0]);
    assert_close(
        &row(&x, 8, Resize::BilinearTf1),
        &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 8.0],
    );
    // Half way between samples the cubic with a = −3/4 has weights (−3, 19, 19, −3) / 32, and the
    // outer ones here lie beyond the edge.
    let middle = (-3.0 * 1.0 + 19.0 * 2.0 + 19.0 * 4.0 - 3.0 * 8.0) / 32.0;
    let edge = (-3.0 * 1.0 + 19.0 * 1.0 + 19.0 * 2.0 - 3.0 * 4.0) / 32.0;
    let other_edge = (-3.0 * 2.0 + 19.0 * 4.0 + 19.0 * 8.0 - 3.0 * 8.0) / 32.0;
    let y = row(&x, 2, Resize::Bicubic { antialias: false });
    assert_close(&y, &[edge, other_edge]);
    let y = row(&x, 1, Resize::Bicubic { antialias: false });
    assert_close(&y, &[middle]);
}

#[test]
fn constants_stay_and_the_same_size_is_the_identity() {
    let x = randn(&[1, 2, 5, 7], 1);
    let constant = (x.zeros_like().unwrap() + 3.5).unwrap();
    for kind in KINDS {
        assert_eq!(max_difference(&resize(&x, 5, 7, kind).unwrap(), &x), 0.0);
        assert!(max_difference(&reference::resize(&x, 5, 7, kind).unwrap(), &x) < 1e-15);
        for (h, w) in [(1, 1), (3, 20), (11, 2), (10, 14), (5, 9)] {
            let y = resize(&constant, h, w, kind).unwrap();
            let expected =
                (Tensor::zeros((1, 2, h, w), DType::F64, &Device::Cpu).unwrap() + 3.5).unwrap();
            assert!(max_difference(&y, &expected) < 1e-14, "{kind:?} to {h}x{w}");
        }
    }
}

#[test]
fn equals_the_reference_and_itself_in_f32() {
    let x = randn(&[2, 3, 13, 10], 2);
    let turned = x.transpose(2, 3).unwrap();
    for kind in KINDS {
        for (h, w) in [(7, 5), (26, 31), (13, 4), (1, 1)] {
            let y = resize(&x, h, w, kind).unwrap();
            assert!(max_difference(&y, &reference::resize(&x, h, w, kind).unwrap()) < 1e-13);
            let narrow = resize(&x.to_dtype(DType::F32).unwrap(), h, w, kind).unwrap();
            // Not closer: coordinates are rounded to f32 for an f32 picture.
            assert!(max_difference(&y, &narrow) < 2e-5, "{kind:?}");
            // The axes are alike.
            let other = resize(&turned, w, h, kind)
                .unwrap()
                .transpose(2, 3)
                .unwrap();
            assert!(max_difference(&y, &other) < 1e-13);
        }
    }
}

#[test]
fn derivatives() {
    let x = randn(&[1, 2, 6, 5], 3);
    for kind in KINDS {
        for (h, w) in [(3, 4), (13, 7), (2, 9)] {
            let f = |xs: &[Tensor]| resize(&xs[0], h, w, kind);
            assert_gradients("resize", f, std::slice::from_ref(&x));
            let square = |xs: &[Tensor]| Ok(resize(&xs[0].sqr()?, h, w, kind)?.sqr()?);
            assert_second_order("resize", square, std::slice::from_ref(&x));
        }
    }
    let preprocess = |xs: &[Tensor]| {
        centre_crop(
            &resize_shorter_side(&xs[0], 4, Resize::Bicubic { antialias: true })?,
            4,
        )
    };
    assert_gradients("resize and crop", preprocess, std::slice::from_ref(&x));
}

#[test]
fn shorter_side() {
    let size = |h: usize, w: usize, size: usize| {
        let x = Tensor::zeros((1, 1, h, w), DType::F32, &Device::Cpu).unwrap();
        let y = resize_shorter_side(&x, size, Resize::Nearest).unwrap();
        (y.dims()[2], y.dims()[3])
    };
    assert_eq!(size(48, 40, 32), (38, 32));
    assert_eq!(size(40, 49, 32), (32, 39));
    assert_eq!(size(100, 90, 21), (23, 21));
    assert_eq!(size(32, 32, 56), (56, 56));
    assert_eq!(size(32, 45, 32), (32, 45));
}

#[test]
fn crops_round_half_to_even() {
    let first = |edge: usize, size: usize| {
        let x = Tensor::arange(0f32, edge as f32, &Device::Cpu).unwrap();
        let x = x
            .reshape((1, 1, edge, 1))
            .unwrap()
            .broadcast_as((1, 1, edge, edge))
            .unwrap();
        let y = centre_crop(&x, size).unwrap();
        assert_eq!(y.dims(), [1, 1, size, size]);
        y.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
    };
    // Slack 0, 1, 2, …: halves 0, ½, 1, 1½, 2, 2½, 3, 3½.
    let firsts: Vec<f32> = (0..8).map(|slack| first(4 + slack, 4)).collect();
    assert_eq!(firsts, [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 3.0, 4.0]);
}

#[test]
fn refusals() {
    let x = randn(&[1, 3, 4, 6], 4);
    let text = |r: crate::Result<Tensor>| r.unwrap_err().to_string();
    assert!(text(resize(&x, 0, 3, Resize::Area)).contains("h is 0"));
    assert!(text(resize(&x, 3, 0, Resize::Area)).contains("w is 0"));
    assert!(text(resize(&x, usize::MAX, 3, Resize::Area)).contains("fits into memory"));
    assert!(text(resize(&x.get(0).unwrap(), 3, 3, Resize::Area)).contains("[3, 4, 6]"));
    assert!(
        text(resize(&x.to_dtype(DType::U8).unwrap(), 3, 3, Resize::Area))
            .contains("floating point")
    );
    assert!(text(resize_shorter_side(&x, usize::MAX, Resize::Area)).contains("fits into memory"));
    assert!(text(centre_crop(&x, 5)).contains("at least 5"));
    assert!(text(centre_crop(&x, 0)).contains("size is 0"));
}
