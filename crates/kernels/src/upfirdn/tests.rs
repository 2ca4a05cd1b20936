//! Both forms against the plain one, the adjoint law, and the refusals.

use super::*;
use crate::plain;
use crate::testing::{assert_close, noise};

fn shape(
    h: usize,
    w: usize,
    taps: [usize; 2],
    up: [usize; 2],
    down: [usize; 2],
    padding: [i64; 4],
) -> UpFirDnShape {
    UpFirDnShape {
        planes: 3,
        h,
        w,
        fh: taps[1],
        fw: taps[0],
        up,
        down,
        padding,
        flip: false,
        gain: 1.5,
    }
}

fn shapes() -> Vec<UpFirDnShape> {
    vec![
        shape(1, 1, [1, 1], [1, 1], [1, 1], [0; 4]),
        shape(8, 8, [4, 4], [2, 2], [1, 1], [2, 1, 2, 1]),
        shape(9, 7, [4, 4], [1, 1], [2, 2], [1, 1, 1, 1]),
        shape(17, 33, [4, 4], [1, 1], [1, 1], [2, 1, 2, 1]),
        shape(17, 33, [4, 4], [1, 1], [1, 1], [1, 1, 1, 1]),
        shape(35, 70, [4, 4], [2, 2], [1, 1], [2, 1, 2, 1]),
        shape(37, 71, [4, 4], [1, 1], [2, 2], [2, 2, 2, 2]),
        shape(5, 6, [3, 5], [2, 3], [3, 2], [4, 3, -1, 5]),
        shape(6, 5, [12, 2], [1, 2], [2, 1], [9, 8, 0, -2]),
        shape(13, 11, [4, 4], [1, 1], [1, 1], [-2, -1, -3, 0]),
        shape(9, 20, [12, 12], [2, 2], [1, 1], [9, 8, 9, 8]),
        shape(21, 38, [12, 12], [1, 1], [2, 2], [0; 4]),
        shape(9, 11, [24, 24], [4, 4], [1, 1], [-7, 30, 20, -6]),
        shape(40, 41, [24, 24], [1, 1], [4, 4], [-3, -2, 5, 1]),
        shape(7, 23, [7, 5], [1, 1], [1, 1], [-2, 6, 3, 3]),
        shape(6, 19, [5, 7], [3, 1], [1, 3], [4, 7, 2, 2]),
        shape(5, 3, [6, 2], [8, 1], [1, 1], [11, 5, 0, 1]),
        shape(8, 9, [12, 12], [2, 2], [2, 2], [6, 6, 6, 6]),
        shape(3, 3, [1, 1], [1, 1], [1, 1], [7, 9, 8, 1]),
    ]
}

fn agrees<T: Float>(tolerance: f64) {
    for (s, flip) in shapes().into_iter().flat_map(|s| [(s, false), (s, true)]) {
        let s = UpFirDnShape { flip, ..s };
        let len = s.planes * s.out_h() * s.out_w();
        let x = noise::<T>(s.planes * s.h * s.w, 1);
        let (fx, fy) = (noise::<T>(s.fw, 2), noise::<T>(s.fh, 3));
        let filter: Vec<T> = fy
            .iter()
            .flat_map(|&y| fx.iter().map(move |&x| x * y))
            .collect();
        let (mut got, mut want) = (vec![T::nan(); len], vec![T::zero(); len]);
        plain::upfirdn2d(&s, &filter, &x, &mut want);
        upfirdn2d(&s, &filter, &x, &mut got).unwrap();
        assert_close(&got, &want, tolerance);
        got.fill(T::nan());
        upfirdn2d_separable(&s, &fx, &fy, &x, &mut got).unwrap();
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

#[test]
fn a_filter_that_is_no_product_agrees_too() {
    for s in shapes() {
        let len = s.planes * s.out_h() * s.out_w();
        let (x, filter) = (
            noise::<f32>(s.planes * s.h * s.w, 1),
            noise::<f32>(s.fw * s.fh, 2),
        );
        let (mut got, mut want) = (vec![f32::NAN; len], vec![0.0; len]);
        plain::upfirdn2d(&s, &filter, &x, &mut want);
        upfirdn2d(&s, &filter, &x, &mut got).unwrap();
        assert_close(&got, &want, 1e-5);
    }
}

#[test]
fn every_instruction_set_agrees() {
    for s in shapes() {
        let len = s.planes * s.out_h() * s.out_w();
        let x = noise::<f32>(s.planes * s.h * s.w, 1);
        let (fx, fy) = (noise::<f32>(s.fw, 2), noise::<f32>(s.fh, 3));
        let filter: Vec<f32> = fy
            .iter()
            .flat_map(|&y| fx.iter().map(move |&x| x * y))
            .collect();
        let mut want = vec![0.0; len];
        plain::upfirdn2d(&s, &filter, &x, &mut want);
        // As the operator hands them on: turned, with the gain.
        let turned: Vec<f32> = filter.iter().rev().map(|&f| f * s.gain as f32).collect();
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; len];
            separable_then(isa, &s, [&fx, &fy], &x, &mut got, |_, _| ()).unwrap();
            assert_close(&got, &want, 1e-5);
            got.fill(f32::NAN);
            full::run(isa, &s, &turned, &x, &mut got);
            assert_close(&got, &want, 1e-5);
        }
    }
}

#[test]
fn adjoint_keeps_the_inner_product() {
    // <A x, y> = <x, Aᵀ y>
    for s in shapes() {
        let adjoint = s.adjoint();
        adjoint.check().unwrap();
        assert_eq!([adjoint.out_h(), adjoint.out_w()], [s.h, s.w], "{s:?}");
        let filter = noise::<f64>(s.fh * s.fw, 1);
        let x = noise::<f64>(s.planes * s.h * s.w, 2);
        let gy = noise::<f64>(s.planes * s.out_h() * s.out_w(), 3);
        let (mut y, mut gx) = (vec![0.0; gy.len()], vec![0.0; x.len()]);
        upfirdn2d(&s, &filter, &x, &mut y).unwrap();
        upfirdn2d(&adjoint, &filter, &gy, &mut gx).unwrap();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (dot(&y, &gy), dot(&x, &gx));
        assert!(
            (left - right).abs() < 1e-10 * left.abs().max(1.0),
            "{s:?}: {left} {right}"
        );
    }
}

#[test]
fn refuses_bad_shapes() {
    let good = shape(8, 8, [4, 4], [2, 2], [1, 1], [2, 1, 2, 1]);
    assert!(good.check().is_ok());
    for bad in [
        UpFirDnShape { h: 0, ..good },
        UpFirDnShape { up: [0, 1], ..good },
        UpFirDnShape {
            down: [1, 0],
            ..good
        },
        UpFirDnShape { fw: 0, ..good },
        UpFirDnShape { fw: 99, ..good },
        UpFirDnShape {
            planes: usize::MAX,
            ..good
        },
        UpFirDnShape {
            padding: [i64::MAX, 0, 0, 0],
            ..good
        },
        UpFirDnShape {
            padding: [-40, 0, 0, 0],
            ..good
        },
    ] {
        let message = bad.check().unwrap_err().to_string();
        assert!(message.contains("upfirdn2d"), "{message}");
    }
    let x = vec![0f32; 3 * 64];
    assert!(upfirdn2d(&good, &[0.0; 15], &x, &mut vec![0.0; 3 * 256]).is_err());
    assert!(upfirdn2d(&good, &[0.0; 16], &x, &mut vec![0.0; 3 * 255]).is_err());
}
