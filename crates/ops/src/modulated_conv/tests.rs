use candle_core::{DType, Device, Tensor, Var};

use super::*;
use crate::{
    Activation, conv2d, setup_filter,
    testing::{
        assert_frozen_is_free, assert_gradients, assert_no_stray_gradients, assert_second_order,
        max_difference, randn,
    },
};

mod channel_factor;

fn filter() -> Tensor {
    setup_filter(&[1.0, 3.0, 3.0, 1.0], None, &Device::Cpu, DType::F64).unwrap()
}

fn operands(k: usize) -> [Tensor; 3] {
    [
        randn(&[2, 3, 5, 4], 1),
        randn(&[4, 3, k, k], 2),
        randn(&[2, 3], 3),
    ]
}

/// By the definition: one weight per sample.
fn by_sample(x: &Tensor, w: &Tensor, s: &Tensor, demodulate: bool) -> Tensor {
    let sample = |n: usize| -> candle_core::Result<Tensor> {
        let w = w.broadcast_mul(&s.get(n)?.reshape((1, (), 1, 1))?)?;
        let norm = (w.sqr()?.sum_keepdim((1, 2, 3))? + EPSILON)?.sqrt()?;
        let w = if demodulate {
            w.broadcast_div(&norm)?
        } else {
            w
        };
        Ok(conv2d(&x.narrow(0, n, 1)?, &w, None, 1, w.dim(2)? / 2)?)
    };
    let samples: Vec<Tensor> = (0..x.dims()[0]).map(|n| sample(n).unwrap()).collect();
    Tensor::cat(&samples, 0).unwrap()
}

#[test]
fn equals_one_weight_per_sample() {
    for k in [1, 3] {
        for demodulate in [false, true] {
            let [x, w, s] = operands(k);
            let how = ModulatedConv {
                padding: k / 2,
                demodulate,
                ..ModulatedConv::default()
            };
            let want = by_sample(&x, &w, &s, demodulate);
            let got = modulated_conv2d(&x, &w, &s, &how).unwrap();
            assert!(max_difference(&got, &want) < 1e-13);
            let [x, w, s] = [x, w, s].map(|t| t.to_dtype(DType::F32).unwrap());
            let got = modulated_conv2d(&x, &w, &s, &how).unwrap();
            assert!(max_difference(&got, &want) < 1e-5);
        }
    }
}

#[test]
fn gradients_of_first_and_second_order() {
    let filter = filter();
    for (k, up, down, demodulate, flip_weight) in [
        (3, 1, 1, true, true),
        (3, 2, 1, true, false),
        (3, 1, 2, true, true),
        (1, 1, 1, false, true),
        (3, 1, 1, true, false),
    ] {
        let how = ModulatedConv {
            up,
            down,
            padding: k / 2,
            filter: Some(&filter),
            demodulate,
            flip_weight,
            ..ModulatedConv::default()
        };
        let name = format!("modulated_conv2d k {k}, up {up}, down {down}");
        let f = |t: &[Tensor]| modulated_conv2d(&t[0], &t[1], &t[2], &how);
        // Even sizes, which down-sampling by 2 halves.
        let [x, w, s] = operands(k);
        let inputs = [x.narrow(2, 0, 4).unwrap(), w, s];
        assert_gradients(&name, f, &inputs);
        assert_second_order(&name, f, &inputs);
        assert_frozen_is_free(&name, f, &inputs);
        assert_no_stray_gradients(&name, f, &inputs);
    }
}

#[test]
fn noise_is_added_and_learns() {
    for dims in [vec![5, 4], vec![1, 1, 5, 4], vec![2, 1, 5, 4]] {
        let [x, w, s] = operands(3);
        let f = |t: &[Tensor]| {
            let how = ModulatedConv {
                padding: 1,
                noise: Some(&t[3]),
                ..ModulatedConv::default()
            };
            modulated_conv2d(&t[0], &t[1], &t[2], &how)
        };
        let inputs = [x, w, s, randn(&dims, 4)];
        assert_gradients("noise", f, &inputs);
        assert_frozen_is_free("noise", f, &inputs);
        let how = ModulatedConv {
            padding: 1,
            ..ModulatedConv::default()
        };
        let without = modulated_conv2d(&inputs[0], &inputs[1], &inputs[2], &how).unwrap();
        let want = without.broadcast_add(&inputs[3]).unwrap();
        assert!(max_difference(&f(&inputs).unwrap(), &want) < 1e-14);
    }
}

/// The whole layer against its steps by the reference, for every kind of curve, and without some operands.
#[test]
fn the_layer_is_its_steps() {
    for (act, demodulate, noisy, biased) in [
        (Activation::Lrelu, true, true, true),
        (Activation::Lrelu, true, false, true),
        (Activation::Relu, true, true, false),
        (Activation::Linear, false, false, true),
        (Activation::Linear, false, true, false),
        (Activation::Linear, true, false, false),
        (Activation::Swish, true, true, true),
    ] {
        let [x, w, s] = operands(3);
        let (noise, b) = (randn(&[5, 4], 4), randn(&[4], 5));
        let how = ModulatedConv {
            padding: 1,
            demodulate,
            noise: noisy.then_some(&noise),
            ..ModulatedConv::default()
        };
        let act = BiasAct {
            clamp: Some(0.9),
            ..BiasAct::new(act)
        };
        let bias = biased.then_some(&b);
        let y = by_sample(&x, &w, &s, demodulate);
        let y = if noisy {
            y.broadcast_add(&noise).unwrap()
        } else {
            y
        };
        let want = bias_act::reference(&y, bias, &act).unwrap();
        let got = modulated_layer(&x, &w, &s, &how, bias, &act).unwrap();
        assert!(max_difference(&got, &want) < 1e-13, "{act:?}");
        let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let noise = single(&noise);
        let how = ModulatedConv {
            noise: noisy.then_some(&noise),
            ..how
        };
        let bias = bias.map(single);
        let [x, w, s] = [&x, &w, &s].map(single);
        let got = modulated_layer(&x, &w, &s, &how, bias.as_ref(), &act).unwrap();
        assert!(max_difference(&got, &want) < 1e-5, "{act:?}");
    }
}

/// An up-sampling layer filters in the same pass; its steps, one after the other, do not.
#[test]
fn an_up_sampling_layer_is_its_steps() {
    let uneven = Tensor::new(&[[1.0, 2.0, 0.5], [3.0, -1.0, 1.0]], &Device::Cpu).unwrap();
    let line = Tensor::new(&[0.1, 0.4, 0.3, 0.2], &Device::Cpu).unwrap();
    for filter in [Some(filter()), Some(uneven), Some(line), None] {
        for (act, demodulate, noisy, biased) in [
            (Activation::Lrelu, true, true, true),
            (Activation::Linear, false, false, false),
            (Activation::Swish, true, true, true),
        ] {
            let ([x, w, s], b) = (operands(3), randn(&[4], 5));
            let filter = filter.as_ref();
            let act = BiasAct {
                clamp: Some(0.9),
                ..BiasAct::new(act)
            };
            let scaled = channels::scale(&x, &s).unwrap();
            let mut want = conv2d_resample(&scaled, &w, filter, 2, 1, 1, false).unwrap();
            if demodulate {
                let factors = demodulation(&w, &s).unwrap();
                want = channels::scale(&want, &factors).unwrap();
            }
            let (_, _, height, width) = want.dims4().unwrap();
            let noise = randn(&[height, width], 4);
            if noisy {
                want = want.broadcast_add(&noise).unwrap();
            }
            let how = ModulatedConv {
                up: 2,
                padding: 1,
                filter,
                flip_weight: false,
                demodulate,
                noise: noisy.then_some(&noise),
                ..ModulatedConv::default()
            };
            let bias = biased.then_some(&b);
            let want = bias_act::reference(&want, bias, &act).unwrap();
            let got = modulated_layer(&x, &w, &s, &how, bias, &act).unwrap();
            assert!(max_difference(&got, &want) < 1e-13, "{act:?}");
        }
    }
}

/// With respect to x, weight, styles, noise and bias.
#[test]
fn gradients_of_the_layer() {
    let curve = |act, clamp| BiasAct {
        clamp,
        ..BiasAct::new(act)
    };
    let filter = filter();
    for (act, up, dims) in [
        (curve(Activation::Lrelu, Some(1.1)), 1, vec![5, 4]),
        (curve(Activation::Lrelu, None), 1, vec![2, 1, 5, 4]),
        (curve(Activation::Linear, None), 1, vec![1, 1, 5, 4]),
        (curve(Activation::Swish, Some(2.0)), 1, vec![5, 4]),
        (curve(Activation::Lrelu, Some(1.1)), 2, vec![10, 8]),
        (curve(Activation::Linear, None), 2, vec![2, 1, 10, 8]),
    ] {
        let f = |t: &[Tensor]| {
            let how = ModulatedConv {
                up,
                padding: 1,
                filter: Some(&filter),
                noise: Some(&t[3]),
                ..ModulatedConv::default()
            };
            modulated_layer(&t[0], &t[1], &t[2], &how, Some(&t[4]), &act)
        };
        let [x, w, s] = operands(3);
        let inputs = [x, w, s, randn(&dims, 4), randn(&[4], 5)];
        let name = format!("modulated_layer {act:?}");
        assert_gradients(&name, f, &inputs);
        assert_second_order(&name, f, &inputs);
        assert_frozen_is_free(&name, f, &inputs);
        if act.curve().is_some() {
            assert_no_stray_gradients(&name, f, &inputs);
        }
    }
}

/// Products of these would overflow float16.
#[test]
fn half_precision_is_float32_rounded_once() {
    let [x, w, s] = operands(3);
    let [w, s] = [(w * 300.0).unwrap(), (s * 500.0).unwrap()];
    let given = [
        x,
        w,
        s,
        randn(&[5, 4], 4),
        randn(&[1, 3], 6),
        randn(&[4], 5),
    ];
    for dtype in [DType::F16, DType::BF16] {
        let half = given.each_ref().map(|t| t.to_dtype(dtype).unwrap());
        let wide = half.each_ref().map(|t| t.to_dtype(DType::F32).unwrap());
        let results = |t: &[Tensor; 6]| {
            let vars = t.each_ref().map(|t| Var::from_tensor(t).unwrap());
            let how = ModulatedConv {
                padding: 1,
                noise: Some(&vars[3]),
                channel_factor: Some(&vars[4]),
                ..ModulatedConv::default()
            };
            let act = BiasAct::new(Activation::Lrelu);
            let y = modulated_layer(&vars[0], &vars[1], &vars[2], &how, Some(&vars[5]), &act);
            let y = y.unwrap();
            let grads = y.sum_all().unwrap().backward().unwrap();
            let grads = vars.each_ref().map(|v| grads.get(v).unwrap().clone());
            [&[y.detach()][..], &grads].concat()
        };
        for (got, want) in results(&half).iter().zip(results(&wide)) {
            assert_eq!(got.dtype(), dtype);
            let want = want.to_dtype(dtype).unwrap();
            assert_eq!(max_difference(got, &want), 0.0);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let [x, w, s] = operands(3);
    let how = ModulatedConv {
        padding: 1,
        ..ModulatedConv::default()
    };
    let noise = randn(&[4, 5], 1);
    let noisy = ModulatedConv {
        noise: Some(&noise),
        ..how
    };
    for (x, w, s, how, part) in [
        (
            &x,
            &w,
            &randn(&[2, 4], 1),
            how,
            "styles has shape [2, 4], expected [2, 3]",
        ),
        (&x, &w, &randn(&[1, 3], 1), how, "styles has shape [1, 3]"),
        (
            &x,
            &randn(&[4, 2, 3, 3], 1),
            &s,
            how,
            "weight has shape [4, 2, 3, 3], expected [o, 3",
        ),
        (&x.get(0).unwrap(), &w, &s, how, "x has shape [3, 5, 4]"),
        (
            &x,
            &w,
            &s,
            noisy,
            "noise has shape [4, 5], expected [2, 1, 5, 4]",
        ),
        (
            &x,
            &w,
            &s.to_dtype(DType::F32).unwrap(),
            how,
            "styles has dtype F32",
        ),
    ] {
        let message = modulated_conv2d(x, w, s, &how).unwrap_err().to_string();
        assert!(
            message.starts_with("modulated_conv2d: ") && message.contains(part),
            "{message}"
        );
    }
}

#[test]
fn the_layer_refuses_what_its_steps_refuse() {
    let [x, w, s] = operands(3);
    let how = ModulatedConv {
        padding: 1,
        ..ModulatedConv::default()
    };
    let act = BiasAct::new(Activation::Lrelu);
    for (bias, act, part) in [
        (randn(&[3], 1), act, "bias has shape [3], expected [4]"),
        (randn(&[4], 1), BiasAct { dim: 2, ..act }, "dim is 2"),
        (
            randn(&[4], 1),
            BiasAct {
                clamp: Some(-1.0),
                ..act
            },
            "clamp is -1",
        ),
    ] {
        let result = modulated_layer(&x, &w, &s, &how, Some(&bias), &act);
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_half_precision_is_divided_by_does_not_show() {
    let [x, w, s] = operands(3);
    let (large, small) = ((w * 40.0).unwrap(), (s * 500.0).unwrap());
    let how = ModulatedConv {
        padding: 1,
        ..ModulatedConv::default()
    };
    let results = |divided: bool| -> Vec<Tensor> {
        let vars = [&x, &large, &small].map(|t| Var::from_tensor(t).unwrap());
        let [x, w, s] = [0, 1, 2].map(|i: usize| vars[i].as_tensor().clone());
        let (w, s) = match divided {
            true => within_range(&w, &s).unwrap(),
            false => (w, s),
        };
        let y = modulated_conv2d(&x, &w, &s, &how).unwrap();
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let grads = vars.iter().map(|var| grads.get(var).unwrap().clone());
        std::iter::once(y.detach()).chain(grads).collect()
    };
    for (divided, plain) in results(true).iter().zip(results(false)) {
        let size: f64 = plain.abs().unwrap().max_all().unwrap().to_scalar().unwrap();
        // ε stands beside sums that are another.
        assert!(max_difference(divided, &plain) < 1e-5 * size.max(1e-3));
    }
    let (w, s) = within_range(&large, &small).unwrap();
    let most = |t: &Tensor| {
        t.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    };
    assert!((most(&s) - 1.0).abs() < 1e-12 && (most(&w) - 27f64.sqrt().recip()).abs() < 1e-12);
}

#[test]
fn all_but_x_may_be_float32_where_x_is_half_precision() {
    let [x, w, s] = operands(3).map(|t| t.to_dtype(DType::F32).unwrap());
    let x = x.to_dtype(DType::F16).unwrap();
    let how = ModulatedConv {
        padding: 1,
        ..ModulatedConv::default()
    };
    let y = modulated_conv2d(&x, &w, &s, &how).unwrap();
    assert_eq!(y.dtype(), DType::F16);
    let full = modulated_conv2d(&x.to_dtype(DType::F32).unwrap(), &w, &s, &how).unwrap();
    assert_eq!(max_difference(&y, &full.to_dtype(DType::F16).unwrap()), 0.0);
    let double = w.to_dtype(DType::F64).unwrap();
    assert!(modulated_conv2d(&x, &double, &s, &how).is_err());
}
