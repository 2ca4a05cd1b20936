use candle_core::{DType, Device};

use super::*;
use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

const FORMS: [Gelu; 2] = [Gelu::Exact, Gelu::Quick];

#[test]
fn equals_the_reference_in_both_types() {
    for form in FORMS {
        for dims in [&[1][..], &[7], &[3, 5, 16], &[2, 4096]] {
            let x = (randn(dims, 1) * 3.0).unwrap();
            let want = reference(&x, form).unwrap();
            assert!(max_difference(&gelu(&x, form).unwrap(), &want) < 1e-12);
            let single = gelu(&x.to_dtype(DType::F32).unwrap(), form).unwrap();
            assert_eq!((single.dtype(), single.dims()), (DType::F32, dims));
            assert!(max_difference(&single, &want) < 1e-5);
        }
    }
}

#[test]
fn known_values_and_far_arguments() {
    let x = Tensor::new(&[1f64, -1.0, 0.0, 1e4, -1e4], &Device::Cpu).unwrap();
    let values = |form| gelu(&x, form).unwrap().to_vec1::<f64>().unwrap();
    let exact = values(Gelu::Exact);
    assert!((exact[0] - 0.841_344_746_068_542_9).abs() < 1e-13);
    assert!((exact[1] + 0.158_655_253_931_457_1).abs() < 1e-13);
    let quick = values(Gelu::Quick);
    assert!((quick[0] - 1.0 / (1.0 + (-1.702f64).exp())).abs() < 1e-13);
    for values in [exact, quick] {
        assert_eq!(values[2..], [0.0, 1e4, 0.0]);
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for form in FORMS {
        let f = |t: &[Tensor]| gelu(&t[0], form);
        for dims in [&[5][..], &[2, 3, 4]] {
            assert_gradients("gelu", f, &[randn(dims, 1)]);
            assert_second_order("gelu", f, &[randn(dims, 1)]);
        }
        let views = |t: &[Tensor]| gelu(&t[0].t()?, form);
        assert_gradients("gelu of a view", views, &[randn(&[3, 4], 2)]);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let zeros = |dims: &[usize], dtype| Tensor::zeros(dims, dtype, &Device::Cpu).unwrap();
    assert!(gelu(&zeros(&[0, 2], DType::F32), Gelu::Exact).is_err());
    assert!(gelu(&zeros(&[2], DType::U8), Gelu::Quick).is_err());
}
