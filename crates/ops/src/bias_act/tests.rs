use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::testing::{
    assert_frozen_is_free, assert_gradients, assert_no_stray_gradients, assert_second_order,
    max_difference, randn,
};

/// Every activation, plain and with everything set.
fn settings() -> Vec<BiasAct> {
    let both = |act| {
        let plain = BiasAct::new(act);
        let full = BiasAct {
            alpha: Some(0.05),
            gain: Some(1.7),
            clamp: Some(0.9),
            ..plain
        };
        [plain, full]
    };
    Activation::ALL.into_iter().flat_map(both).collect()
}

const SHAPES: [(&[usize], usize); 4] = [
    (&[2, 5, 3, 7], 1),
    (&[6, 7], 1),
    (&[1, 1, 1, 1], 1),
    (&[3, 2, 5], 0),
];

#[test]
fn equals_the_reference_in_both_types() {
    for how in settings() {
        for (dims, dim) in SHAPES {
            let how = BiasAct { dim, ..how };
            let (x, b) = (randn(dims, 1), randn(&[dims[dim]], 2));
            for bias in [None, Some(&b)] {
                let want = reference(&x, bias, &how).unwrap();
                let got = bias_act(&x, bias, &how).unwrap();
                assert!(max_difference(&got, &want) < 1e-14, "{how:?}");
                let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
                let got = bias_act(&single(&x), bias.map(single).as_ref(), &how).unwrap();
                assert_eq!(got.dtype(), DType::F32);
                assert!(max_difference(&got, &want) < 2e-6, "{how:?}");
            }
        }
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    for how in settings() {
        for (dims, dim) in SHAPES {
            let how = BiasAct { dim, ..how };
            let name = format!("bias_act {how:?}");
            let inputs = [randn(dims, 11), randn(&[dims[dim]], 12)];
            let f = |t: &[Tensor]| bias_act(&t[0], t.get(1), &how);
            assert_gradients(&name, f, &inputs);
            assert_second_order(&name, f, &inputs);
            assert_frozen_is_free(&name, f, &inputs);
            assert_gradients(&name, f, &inputs[..1]);
            assert_gradients(&name, |t| reference(&t[0], t.get(1), &how), &inputs);
            if how.act.negative_slope(0.2).is_some() {
                assert_no_stray_gradients(&name, f, &inputs);
                // Linear where it is smooth, so a square makes the second order speak.
                let f = |t: &[Tensor]| Ok(bias_act(&t[0], t.get(1), &how)?.sqr()?);
                assert_second_order(&name, f, &inputs);
            }
        }
    }
}

#[test]
fn large_arguments_stay_finite() {
    let far = [-1e4f32, -200.0, -90.0, 90.0, 200.0, 1e4];
    for act in Activation::ALL {
        let x = Var::new(&far, &Device::Cpu).unwrap();
        let y = bias_act(
            &x,
            None,
            &BiasAct {
                dim: 0,
                ..BiasAct::new(act)
            },
        )
        .unwrap();
        let g = y.backward().unwrap().remove(&x).unwrap();
        for t in [y, g] {
            let values = t.to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|v| v.is_finite()), "{act}: {values:?}");
        }
    }
}

#[test]
fn kinks_and_limits_are_those_of_pytorch() {
    let x = Var::new(&[-1f64, 0.0, 1.0, 2.0, -5.0, f64::INFINITY], &Device::Cpu).unwrap();
    let how = BiasAct {
        gain: Some(1.0),
        clamp: Some(1.0),
        ..BiasAct::new(Activation::Lrelu)
    };
    let y = bias_act(&x, None, &how).unwrap();
    assert_eq!(
        y.to_vec1::<f64>().unwrap(),
        [-0.2, 0.0, 1.0, 1.0, -1.0, 1.0]
    );
    let g = y.backward().unwrap().remove(&x).unwrap();
    // At 0 the left slope; at a limit the gradient still passes.
    assert_eq!(g.to_vec1::<f64>().unwrap(), [0.2, 0.2, 1.0, 0.0, 0.2, 0.0]);

    let x = Tensor::new(&[f32::NAN, f32::NEG_INFINITY, f32::INFINITY], &Device::Cpu).unwrap();
    let y = bias_act(&x, None, &BiasAct::new(Activation::Relu)).unwrap();
    let y = y.to_vec1::<f32>().unwrap();
    assert!(
        y[0].is_nan() && y[1] == 0.0 && y[2] == f32::INFINITY,
        "{y:?}"
    );
}

#[test]
fn strided_operands_are_read_right() {
    let x = randn(&[3, 4, 5, 2], 1).permute((0, 3, 2, 1)).unwrap();
    let b = randn(&[4], 2).narrow(0, 1, 2).unwrap();
    let how = BiasAct::new(Activation::Lrelu);
    let want = reference(&x, Some(&b), &how).unwrap();
    assert!(max_difference(&bias_act(&x, Some(&b), &how).unwrap(), &want) < 1e-15);
}

#[test]
fn names_go_there_and_back() {
    for act in Activation::ALL {
        assert_eq!(act.to_string().parse::<Activation>().unwrap(), act);
    }
    let message = "gelu".parse::<Activation>().unwrap_err().to_string();
    assert!(
        message.contains("gelu") && message.contains("softplus, swish"),
        "{message}"
    );
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let (x, b) = (zeros(&[2, 3]), zeros(&[3]));
    let how = BiasAct::new(Activation::Lrelu);
    for (x, b, how, part) in [
        (&x, &zeros(&[2]), how, "bias has shape [2], expected [3]"),
        (
            &x,
            &b,
            BiasAct { dim: 2, ..how },
            "dim is 2, expected less than the rank",
        ),
        (
            &x,
            &b,
            BiasAct {
                clamp: Some(-1.0),
                ..how
            },
            "clamp is -1, expected at least 0",
        ),
        (
            &x,
            &b,
            BiasAct {
                clamp: Some(f64::NAN),
                ..how
            },
            "clamp is NaN",
        ),
        (
            &x,
            &b,
            BiasAct {
                gain: Some(f64::INFINITY),
                ..how
            },
            "gain is inf",
        ),
        (&zeros(&[0, 3]), &b, how, "x has shape [0, 3]"),
        (
            &x,
            &b.to_dtype(DType::F64).unwrap(),
            how,
            "bias has dtype F64",
        ),
    ] {
        let message = bias_act(x, Some(b), &how).unwrap_err().to_string();
        assert!(
            message.starts_with("bias_act: ") && message.contains(part),
            "{message}"
        );
    }
}
