//! The factor on the demodulated weight: of each sample, and shared by all.

use super::*;

const SHAPES: [[usize; 2]; 2] = [[2, 3], [1, 3]];

/// By the definition: one demodulated weight per sample, then the factor, and no normalisation after it.
fn by_sample(x: &Tensor, w: &Tensor, s: &Tensor, factor: &Tensor, demodulate: bool) -> Tensor {
    let sample = |n: usize| -> candle_core::Result<Tensor> {
        let w = w.broadcast_mul(&s.get(n)?.reshape((1, (), 1, 1))?)?;
        let norm = (w.sqr()?.sum_keepdim((1, 2, 3))? + EPSILON)?.sqrt()?;
        let w = if demodulate {
            w.broadcast_div(&norm)?
        } else {
            w
        };
        let row = factor.get(n.min(factor.dim(0)? - 1))?;
        let w = w.broadcast_mul(&row.reshape((1, (), 1, 1))?)?;
        Ok(conv2d(&x.narrow(0, n, 1)?, &w, None, 1, w.dim(2)? / 2)?)
    };
    let samples: Vec<Tensor> = (0..x.dims()[0]).map(|n| sample(n).unwrap()).collect();
    Tensor::cat(&samples, 0).unwrap()
}

#[test]
fn multiplies_the_demodulated_weight() {
    for shape in SHAPES {
        for demodulate in [false, true] {
            let ([x, w, s], factor) = (operands(3), randn(&shape, 6));
            let how = ModulatedConv {
                padding: 1,
                demodulate,
                channel_factor: Some(&factor),
                ..ModulatedConv::default()
            };
            let got = modulated_conv2d(&x, &w, &s, &how).unwrap();
            let want = by_sample(&x, &w, &s, &factor, demodulate);
            assert!(max_difference(&got, &want) < 1e-13);
        }
    }
}

#[test]
fn ones_change_no_bit() {
    let [x, w, s] = operands(3).map(|t| t.to_dtype(DType::F32).unwrap());
    let ones = Tensor::ones((1, 3), DType::F32, &Device::Cpu).unwrap();
    let plain = ModulatedConv {
        padding: 1,
        ..ModulatedConv::default()
    };
    let how = ModulatedConv {
        channel_factor: Some(&ones),
        ..plain
    };
    let want = modulated_conv2d(&x, &w, &s, &plain).unwrap();
    let got = modulated_conv2d(&x, &w, &s, &how).unwrap();
    assert_eq!(max_difference(&got, &want), 0.0);
}

/// With respect to x, weight, styles and factor, with and without resampling.
#[test]
fn gradients_of_first_and_second_order() {
    let filter = filter();
    for shape in SHAPES {
        for (up, down, demodulate) in [(1, 1, true), (2, 1, true), (1, 2, true), (1, 1, false)] {
            let f = |t: &[Tensor]| {
                let how = ModulatedConv {
                    up,
                    down,
                    padding: 1,
                    filter: Some(&filter),
                    demodulate,
                    flip_weight: up == 1,
                    channel_factor: Some(&t[3]),
                    ..ModulatedConv::default()
                };
                modulated_conv2d(&t[0], &t[1], &t[2], &how)
            };
            let [x, w, s] = operands(3);
            // Even sizes, which down-sampling by 2 halves.
            let inputs = [x.narrow(2, 0, 4).unwrap(), w, s, randn(&shape, 6)];
            let name = format!("factor {shape:?}, up {up}, down {down}");
            assert_gradients(&name, f, &inputs);
            assert_second_order(&name, f, &inputs);
            assert_frozen_is_free(&name, f, &inputs);
            assert_no_stray_gradients(&name, f, &inputs);
        }
    }
}

/// The filter and all that follows it in one pass, against the same layer on an input that has the factor already.
#[test]
fn the_layer_in_one_pass_takes_it() {
    let (filter, noise, bias) = (filter(), randn(&[10, 8], 4), randn(&[4], 5));
    let act = BiasAct {
        clamp: Some(0.9),
        ..BiasAct::new(Activation::Lrelu)
    };
    for shape in SHAPES {
        let ([x, w, s], factor) = (operands(3), randn(&shape, 6));
        let plain = ModulatedConv {
            up: 2,
            padding: 1,
            filter: Some(&filter),
            flip_weight: false,
            noise: Some(&noise),
            ..ModulatedConv::default()
        };
        let how = ModulatedConv {
            channel_factor: Some(&factor),
            ..plain
        };
        let got = modulated_layer(&x, &w, &s, &how, Some(&bias), &act).unwrap();
        let per_channel = factor.reshape(((), 3, 1, 1)).unwrap();
        let x = x.broadcast_mul(&per_channel).unwrap();
        let y = modulated_conv2d(&x, &w, &s, &plain).unwrap();
        let want = bias_act::reference(&y, Some(&bias), &act).unwrap();
        assert!(max_difference(&got, &want) < 1e-13);
    }
}

/// With respect to x, weight, styles, noise, bias and factor.
#[test]
fn gradients_of_the_layer() {
    let filter = filter();
    let act = BiasAct {
        clamp: Some(1.1),
        ..BiasAct::new(Activation::Lrelu)
    };
    for shape in SHAPES {
        let f = |t: &[Tensor]| {
            let how = ModulatedConv {
                up: 2,
                padding: 1,
                filter: Some(&filter),
                noise: Some(&t[3]),
                channel_factor: Some(&t[5]),
                ..ModulatedConv::default()
            };
            modulated_layer(&t[0], &t[1], &t[2], &how, Some(&t[4]), &act)
        };
        let [x, w, s] = operands(3);
        let rest = [randn(&[10, 8], 4), randn(&[4], 5), randn(&shape, 6)];
        let inputs = [vec![x, w, s], rest.to_vec()].concat();
        assert_gradients("layer with a factor", f, &inputs);
        assert_second_order("layer with a factor", f, &inputs);
        assert_no_stray_gradients("layer with a factor", f, &inputs);
    }
}

#[test]
fn another_shape_or_type_is_refused() {
    let [x, w, s] = operands(3);
    let single = randn(&[1, 3], 1).to_dtype(DType::F32).unwrap();
    for (factor, part) in [
        (randn(&[3], 1), "has shape [3], expected [2, 3] or [1, 3]"),
        (randn(&[3, 3], 1), "has shape [3, 3]"),
        (single, "has dtype F32"),
    ] {
        let how = ModulatedConv {
            padding: 1,
            channel_factor: Some(&factor),
            ..ModulatedConv::default()
        };
        let message = modulated_conv2d(&x, &w, &s, &how).unwrap_err().to_string();
        let wanted = format!("modulated_conv2d: channel_factor {part}");
        assert!(message.contains(&wanted), "{message}");
    }
}
