use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::testing::{
    assert_gradients, assert_no_stray_gradients, assert_second_order, max_difference, randn,
};

/// (height, width), filter and way of working: factors per axis, cropping, flips, both forms.
fn cases() -> Vec<([usize; 2], Option<Tensor>, UpFirDn)> {
    let full = Some(randn(&[4, 3], 5));
    let line = Some(randn(&[5], 6));
    let how = |up, down, padding, flip_filter, gain| UpFirDn {
        up,
        down,
        padding,
        flip_filter,
        gain,
    };
    vec![
        (
            [7, 5],
            full.clone(),
            how([1, 1], [1, 1], [1, 2, 0, 3], false, 1.0),
        ),
        (
            [7, 5],
            full.clone(),
            how([1, 1], [1, 1], [1, 2, 0, 3], true, 1.0),
        ),
        (
            [8, 5],
            full.clone(),
            how([3, 2], [2, 1], [2, -1, -2, 4], false, 2.5),
        ),
        ([9, 8], full, how([2, 2], [3, 3], [4, 3, 2, 5], true, 0.7)),
        ([7, 5], None, how([2, 2], [1, 1], [0, 1, 1, 0], false, 3.0)),
        ([7, 3], None, how([1, 1], [2, 2], [0; 4], false, 1.0)),
        (
            [5, 7],
            line.clone(),
            how([2, 1], [1, 2], [3, 2, 1, 4], false, 1.5),
        ),
        ([1, 1], line, how([1, 2], [2, 1], [2, 3, 4, 2], true, -1.0)),
        (
            [3, 7],
            Some(randn(&[1, 2], 7)),
            how([1, 1], [1, 1], [-1, -2, -1, 0], false, 1.0),
        ),
    ]
}

#[test]
fn equals_the_reference_in_both_types() {
    for ([h, w], filter, how) in cases() {
        let x = randn(&[2, 3, h, w], 1);
        let want = reference(&x, filter.as_ref(), &how).unwrap();
        let got = upfirdn2d(&x, filter.as_ref(), &how).unwrap();
        assert!(max_difference(&got, &want) < 1e-13, "{how:?}");
        let x = x.to_dtype(DType::F32).unwrap();
        let got = upfirdn2d(&x, filter.as_ref(), &how).unwrap();
        assert_eq!(got.dtype(), DType::F32);
        assert!(max_difference(&got, &want) < 2e-5, "{how:?}");
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for ([h, w], filter, how) in cases() {
        let x = [randn(&[1, 2, h, w], 1)];
        let name = format!("upfirdn2d {how:?}");
        let f = |t: &[Tensor]| upfirdn2d(&t[0], filter.as_ref(), &how);
        assert_gradients(&name, f, &x);
        assert_second_order(&name, f, &x);
        assert_no_stray_gradients(&name, f, &x);
        assert_gradients(&name, |t| reference(&t[0], filter.as_ref(), &how), &x);
        let f = |t: &[Tensor]| Ok(upfirdn2d(&t[0].sqr()?, filter.as_ref(), &how)?.sqr()?);
        assert_second_order(&name, f, &x);
    }
}

/// The filter of the networks comes as an outer product, and its two lines give the same; a filter that is nearly one, but
/// not one, must not be taken for it.
#[test]
fn an_outer_product_works_as_its_lines() {
    let taps = [1.0, 3.0, 3.0, 1.0];
    for dtype in [DType::F32, DType::F64] {
        let both = [false, true]
            .map(|lines| setup_filter(&taps, Some(lines), &Device::Cpu, dtype).unwrap());
        let x = randn(&[2, 3, 9, 12], 8).to_dtype(dtype).unwrap();
        let tolerance = if dtype == DType::F32 { 1e-6 } else { 1e-14 };
        for (up, down, padding) in [(1, 1, 1), (2, 1, 2), (1, 2, 1), (3, 2, 4)] {
            let how = UpFirDn {
                up: [up; 2],
                down: [down; 2],
                padding: [padding; 4],
                ..UpFirDn::default()
            };
            let [full, lines] = both
                .each_ref()
                .map(|f| upfirdn2d(&x, Some(f), &how).unwrap());
            assert!(max_difference(&full, &lines) < tolerance);
            let want = reference(&x, Some(&both[0]), &how).unwrap();
            assert!(max_difference(&full, &want) < tolerance);
            let bump = Tensor::eye(4, dtype, &Device::Cpu).unwrap();
            let near = (&both[0] + (bump * 1e-3).unwrap()).unwrap();
            let got = upfirdn2d(&x, Some(&near), &how).unwrap();
            let want = reference(&x, Some(&near), &how).unwrap();
            assert!(max_difference(&got, &want) < tolerance);
            assert!(max_difference(&got, &full) > 1e-4);
        }
    }
}

#[test]
fn strided_pictures_are_read_right() {
    let filter = randn(&[3, 3], 2);
    let how = UpFirDn {
        padding: [1; 4],
        ..UpFirDn::default()
    };
    let x = randn(&[5, 7, 3, 2], 1).permute((3, 2, 1, 0)).unwrap();
    let want = reference(&x, Some(&filter), &how).unwrap();
    let got = upfirdn2d(&x, Some(&filter.t().unwrap().t().unwrap()), &how).unwrap();
    assert!(max_difference(&got, &want) < 1e-13);
    let want = reference(&x, Some(&filter.t().unwrap()), &how).unwrap();
    let got = upfirdn2d(&x, Some(&filter.t().unwrap()), &how).unwrap();
    assert!(max_difference(&got, &want) < 1e-13);
}

#[test]
fn filters_sum_to_one() {
    let cpu = &Device::Cpu;
    let short = setup_filter(&[1.0, 3.0, 3.0, 1.0], None, cpu, DType::F64).unwrap();
    assert_eq!(short.dims(), [4, 4]);
    let corner = short
        .get(0)
        .unwrap()
        .get(0)
        .unwrap()
        .to_scalar::<f64>()
        .unwrap();
    assert_eq!(corner, 1.0 / 64.0);
    let long = setup_filter(&[2.0; 8], None, cpu, DType::F32).unwrap();
    assert_eq!(long.to_vec1::<f32>().unwrap(), [0.125; 8]);
    let chosen = setup_filter(&[1.0, 1.0], Some(true), cpu, DType::F32).unwrap();
    assert_eq!(chosen.dims(), [2]);
    let flat = setup_filter2d(&[1.0, 2.0, 3.0, 4.0, 5.0, 5.0], 3, cpu, DType::F64).unwrap();
    assert_eq!(
        flat.to_vec2::<f64>().unwrap(),
        [[0.05, 0.1, 0.15], [0.2, 0.25, 0.25]]
    );
    for taps in [&[][..], &[1.0, -1.0], &[f64::NAN]] {
        let message = setup_filter(taps, None, cpu, DType::F32)
            .unwrap_err()
            .to_string();
        assert!(message.contains("taps"), "{message}");
    }
    assert!(setup_filter2d(&[1.0; 6], 4, cpu, DType::F32).is_err());
    assert!(setup_filter2d(&[1.0; 6], 0, cpu, DType::F32).is_err());
}

#[test]
fn resampled_sizes_come_out_exact() {
    let x = randn(&[1, 1, 9, 5], 1);
    for taps in 1..6 {
        let f = setup_filter(&vec![1.0; taps], None, &Device::Cpu, DType::F64).unwrap();
        let up = upsample2d(&x, Some(&f), 2, [0; 4], false, 1.0).unwrap();
        assert_eq!(up.dims(), [1, 1, 18, 10], "{taps} taps");
        let same = filter2d(&x, Some(&f), [0; 4], false, 1.0).unwrap();
        assert_eq!(same.dims(), x.dims(), "{taps} taps");
        let down = downsample2d(&up, Some(&f), 2, [0; 4], false, 1.0).unwrap();
        assert_eq!(down.dims(), x.dims(), "{taps} taps");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let (x, f) = (zeros(&[1, 2, 4, 4]), zeros(&[3, 3]));
    let how = UpFirDn::default();
    let tracked = Var::from_tensor(&f).unwrap();
    for (x, f, how, part) in [
        (&zeros(&[2, 4, 4]), &f, how, "x has shape [2, 4, 4]"),
        (&zeros(&[1, 0, 4, 4]), &f, how, "no dimension of size 0"),
        (&x, &zeros(&[1, 3, 3]), how, "filter has shape [1, 3, 3]"),
        (&x, &zeros(&[0]), how, "filter has shape [0]"),
        (
            &x,
            tracked.as_tensor(),
            how,
            "expected a constant: detach it",
        ),
        (
            &x,
            &zeros(&[5, 3]),
            how,
            "x has shape [1, 2, 4, 4], expected one that fits filter [5, 3]",
        ),
        (&x, &f, UpFirDn { up: [0, 1], ..how }, "up is 0"),
        (
            &x,
            &f,
            UpFirDn {
                down: [1, usize::MAX],
                ..how
            },
            "down is 1844",
        ),
        (
            &x,
            &f,
            UpFirDn {
                gain: f64::NAN,
                ..how
            },
            "gain is NaN",
        ),
        (
            &x,
            &f,
            UpFirDn {
                padding: [i64::MAX, 0, 0, 0],
                ..how
            },
            "overflow",
        ),
        (
            &x,
            &f,
            UpFirDn {
                padding: [0, i64::MIN, 0, 0],
                ..how
            },
            "overflow",
        ),
        (
            &x,
            &f,
            UpFirDn {
                padding: [0, 0, -4, 0],
                ..how
            },
            "larger than the padded",
        ),
        (
            &x,
            &f,
            UpFirDn {
                padding: [1 << 40, 0, 1 << 40, 0],
                ..how
            },
            "overflow",
        ),
    ] {
        let message = upfirdn2d(x, Some(f), &how).unwrap_err().to_string();
        assert!(
            message.starts_with("upfirdn2d: ") && message.contains(part),
            "{message}"
        );
    }
    assert!(upsample2d(&x, Some(&f), 0, [0; 4], false, 1.0).is_err());
    assert!(downsample2d(&x, Some(&f), usize::MAX, [0; 4], false, 1.0).is_err());
    assert!(filter2d(&x, Some(&f), [i64::MAX; 4], false, 1.0).is_err());
}
