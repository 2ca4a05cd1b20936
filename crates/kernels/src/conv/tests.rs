//! Every path against the plain convolution, and the refusals.

use super::*;
use crate::plain;
use crate::testing::{assert_close, noise};

/// Sizes that occur, and sizes that fit no vector: (n, c_in, h, w, c_out, kh, kw, stride, padding).
pub(super) const SHAPES: &[[usize; 9]] = &[
    [1, 1, 1, 1, 1, 1, 1, 1, 0],
    [2, 3, 7, 5, 4, 3, 3, 1, 1],
    [1, 17, 9, 11, 19, 3, 3, 1, 1],
    [2, 16, 16, 16, 32, 3, 3, 1, 1],
    [1, 5, 13, 17, 7, 3, 3, 2, 1],
    [1, 32, 19, 19, 33, 3, 3, 2, 0],
    [3, 31, 8, 6, 16, 1, 1, 1, 0],
    [1, 7, 9, 9, 5, 1, 1, 2, 0],
    [1, 3, 35, 35, 13, 11, 11, 4, 2],
    [1, 6, 14, 14, 10, 5, 5, 1, 2],
    [1, 3, 29, 31, 8, 7, 7, 2, 3],
    [1, 3, 32, 48, 20, 16, 16, 16, 0],
    [2, 3, 64, 64, 9, 32, 32, 32, 0],
    [1, 2, 6, 7, 3, 2, 4, 3, 2],
    [1, 1, 1, 1, 1, 3, 3, 1, 1],
    [1, 2, 5, 3, 3, 3, 3, 1, 4],
    [1, 4, 12, 12, 6, 3, 3, 5, 0],
    [5, 40, 4, 4, 48, 3, 3, 1, 1],
    [2, 18, 37, 41, 3, 1, 1, 1, 0],
    [1, 18, 37, 41, 7, 1, 1, 1, 0],
    [20, 33, 2, 3, 150, 3, 3, 2, 1],
    [1, 130, 5, 3, 200, 3, 3, 2, 1],
    [19, 130, 3, 2, 33, 3, 3, 1, 1],
    [1, 3, 17, 16, 40, 3, 3, 1, 1],
    [2, 33, 17, 23, 34, 3, 3, 1, 1],
    [1, 16, 37, 3, 16, 3, 3, 1, 0],
    [3, 20, 1, 31, 5, 3, 3, 1, 2],
];

pub(super) fn shape(v: [usize; 9]) -> ConvShape {
    let [n, c_in, h, w, c_out, kh, kw, stride, padding] = v;
    ConvShape {
        n,
        c_in,
        h,
        w,
        c_out,
        kh,
        kw,
        stride,
        padding,
    }
}

fn agrees<T: Float>(tolerance: f64) {
    for &v in SHAPES {
        let s = shape(v);
        let (x, w) = (noise::<T>(s.x_len(), 1), noise::<T>(s.w_len(), 2));
        let gy = noise::<T>(s.y_len(), 3);

        let (mut got, mut want) = (vec![T::nan(); s.y_len()], vec![T::zero(); s.y_len()]);
        forward(&s, &x, &w, &mut got).unwrap();
        plain::conv_forward(&s, &x, &w, &mut want);
        assert_close(&got, &want, tolerance);

        let (mut got, mut want) = (vec![T::nan(); s.x_len()], vec![T::zero(); s.x_len()]);
        grad_input(&s, &w, &gy, &mut got).unwrap();
        plain::conv_grad_input(&s, &w, &gy, &mut want);
        assert_close(&got, &want, tolerance);

        let (mut got, mut want) = (vec![T::nan(); s.w_len()], vec![T::zero(); s.w_len()]);
        grad_weight(&s, &x, &gy, &mut got).unwrap();
        plain::conv_grad_weight(&s, &x, &gy, &mut want);
        assert_close(&got, &want, tolerance);
    }
}

#[test]
fn f32_agrees_with_plain() {
    agrees::<f32>(1e-5);
}

#[test]
fn f64_agrees_with_plain() {
    agrees::<f64>(1e-13);
}

/// A padding and a stride that make the padded input a million times the operands: answered without a copy of it.
#[test]
fn a_tiny_convolution_with_huge_padding_needs_no_memory() {
    let far = 1 << 24;
    let s = ConvShape {
        n: 1,
        c_in: 1,
        h: 1,
        w: 1,
        c_out: 1,
        kh: 1,
        kw: 1,
        stride: far,
        padding: far,
    };
    assert_eq!(s.check(), Ok(()));
    assert_eq!([s.out_h(), s.out_w()], [3, 3]);
    let mut y = [f32::NAN; 9];
    forward(&s, &[2.0], &[3.0], &mut y).unwrap();
    assert_eq!(y, [0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0, 0.0, 0.0]);
    let (mut gx, mut gw) = ([f32::NAN], [f32::NAN]);
    grad_input(&s, &[3.0], &y, &mut gx).unwrap();
    grad_weight(&s, &[2.0], &y, &mut gw).unwrap();
    assert_eq!((gx, gw), ([18.0], [12.0]));
    assert!(PackedWeights::new(&s, Direction::Forward, &[3.0]).is_err());
}

#[test]
fn refuses_bad_shapes_by_name() {
    let good = shape([1, 2, 5, 5, 3, 3, 3, 1, 1]);
    assert_eq!(good.check(), Ok(()));
    for (bad, word) in [
        (ConvShape { n: 0, ..good }, "`n` is 0"),
        (ConvShape { c_in: 0, ..good }, "`c_in` is 0"),
        (ConvShape { stride: 0, ..good }, "`stride` is 0"),
        (ConvShape { kh: 8, ..good }, "window"),
        (
            ConvShape {
                n: usize::MAX,
                ..good
            },
            "overflow",
        ),
        (
            ConvShape {
                padding: usize::MAX / 2,
                ..good
            },
            "overflow",
        ),
    ] {
        let message = bad.check().unwrap_err().to_string();
        assert!(
            message.contains(word) && message.contains("convolution"),
            "{message}"
        );
    }
    let (x, w, mut y) = (vec![0f32; 50], vec![0f32; 54], vec![0f32; 74]);
    let message = forward(&good, &x, &w, &mut y).unwrap_err().to_string();
    assert!(
        message.contains("`y` has 74 elements") && message.contains("75"),
        "{message}"
    );
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let on = |threads: usize, work: &(dyn Fn() -> Vec<f32> + Sync)| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(work)
    };
    for s in SHAPES.iter().map(|&v| shape(v)) {
        let (x, w, gy) = (
            noise::<f32>(s.x_len(), 1),
            noise::<f32>(s.w_len(), 2),
            noise::<f32>(s.y_len(), 3),
        );
        let all = || {
            let (mut y, mut gx, mut gw) = (gy.clone(), x.clone(), w.clone());
            forward(&s, &x, &w, &mut y).unwrap();
            grad_input(&s, &w, &gy, &mut gx).unwrap();
            grad_weight(&s, &x, &gy, &mut gw).unwrap();
            [y, gx, gw].concat()
        };
        assert_eq!(on(1, &all), on(3, &all), "{s:?}");
    }
}
