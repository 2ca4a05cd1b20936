use candle_core::{DType, Device, Tensor};

use super::*;
use crate::{
    downsample2d, setup_filter,
    testing::{
        assert_gradients, assert_no_stray_gradients, assert_second_order, max_difference, randn,
    },
    upsample2d,
};

fn filter() -> Tensor {
    setup_filter(&[1.0, 3.0, 3.0, 1.0], None, &Device::Cpu, DType::F64).unwrap()
}

/// Up-sampling and convolution one after the other, at the full size.
fn plainly(x: &Tensor, w: &Tensor, up: usize, padding: usize, flip: bool) -> Tensor {
    let p = [padding as i64; 4];
    let w = if flip {
        w.clone()
    } else {
        w.flip(&[2, 3]).unwrap()
    };
    let x = upsample2d(x, Some(&filter()), up, p, false, 1.0).unwrap();
    conv2d(&x, &w, None, 1, 0).unwrap()
}

#[test]
fn up_convolution_equals_up_sampling_then_convolution() {
    for k in [1, 2, 3, 5] {
        for up in [2, 3] {
            let (x, w) = (randn(&[2, 3, 5, 7], 1), randn(&[4, 3, k, k], 2));
            for flip in [false, true] {
                let got = conv2d_resample(&x, &w, Some(&filter()), up, 1, k / 2, flip).unwrap();
                let want = plainly(&x, &w, up, k / 2, flip);
                // At the border the two differ by design: padding comes before or after the
                // filter. One filter's reach inside they agree.
                assert_eq!(got.dims(), want.dims(), "k {k}, up {up}");
                let inner = |t: &Tensor| {
                    let (_, _, h, w) = t.dims4().unwrap();
                    let t = t.narrow(2, 4, h - 8).unwrap();
                    t.narrow(3, 4, w - 8).unwrap().contiguous().unwrap()
                };
                let worst = max_difference(&inner(&got), &inner(&want));
                assert!(worst < 1e-12, "k {k}, up {up}, flip {flip}: {worst:e}");
            }
        }
    }
}

#[test]
fn pointwise_down_sampling_comes_first() {
    let (x, w) = (randn(&[1, 3, 6, 8], 1), randn(&[2, 3, 1, 1], 2));
    let got = conv2d_resample(&x, &w, Some(&filter()), 1, 2, 0, true).unwrap();
    assert_eq!(got.dims(), [1, 2, 3, 4]);
    let small = downsample2d(&x, Some(&filter()), 2, [0; 4], false, 1.0).unwrap();
    assert!(max_difference(&got, &conv2d(&small, &w, None, 1, 0).unwrap()) < 1e-13);
    // The filter commutes with a 1 × 1 convolution, so the order cannot matter.
    let large = conv2d(&x, &w, None, 1, 0).unwrap();
    let want = downsample2d(&large, Some(&filter()), 2, [0; 4], false, 1.0).unwrap();
    assert!(max_difference(&got, &want) < 1e-13);
}

#[test]
fn gradients_and_sizes_of_every_path() {
    for (k, up, down) in [
        (1, 1, 2),
        (3, 1, 2),
        (1, 2, 1),
        (3, 2, 1),
        (3, 1, 1),
        (3, 2, 2),
        (2, 2, 1),
    ] {
        let inputs = [randn(&[1, 2, 6, 4], 1), randn(&[3, 2, k, k], 2)];
        for flip in [false, true] {
            let name = format!("conv2d_resample, k {k}, up {up}, down {down}");
            let f = |t: &[Tensor]| {
                conv2d_resample(&t[0], &t[1], Some(&filter()), up, down, k / 2, flip)
            };
            if k % 2 == 1 {
                let dims = f(&inputs).unwrap().dims().to_vec();
                assert_eq!(dims, [1, 3, 6 * up / down, 4 * up / down], "{name}");
            }
            assert_gradients(&name, f, &inputs);
            assert_second_order(&name, f, &inputs);
            assert_no_stray_gradients(&name, f, &inputs);
        }
    }
}

#[test]
fn oblong_kernels_and_filters() {
    let f = crate::setup_filter2d(&[1.0, 2.0, 3.0, 1.0, 1.0, 4.0], 2, &Device::Cpu, DType::F64);
    let (f, x, w) = (f.unwrap(), randn(&[1, 2, 5, 7], 1), randn(&[3, 2, 1, 3], 2));
    let y = conv2d_resample(&x, &w, Some(&f), 2, 1, 1, true).unwrap();
    // Padding 1 around a 1 × 3 kernel adds two rows and no column.
    assert_eq!(y.dims(), [1, 3, 12, 14]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let (x, w) = (randn(&[1, 2, 4, 4], 1), randn(&[3, 2, 3, 3], 2));
    let text = |up, down, padding| {
        conv2d_resample(&x, &w, Some(&filter()), up, down, padding, true)
            .unwrap_err()
            .to_string()
    };
    assert!(text(0, 1, 1).contains("up is 0"));
    assert!(text(2, 0, 1).contains("down is 0"));
    assert!(text(2, 1, usize::MAX).contains("padding is 1844"));
    assert!(conv2d_resample(&x, &randn(&[3, 1, 3, 3], 3), None, 2, 1, 1, true).is_err());
    assert!(conv2d_resample(&x, &randn(&[3, 2], 3), None, 2, 1, 1, true).is_err());
}
