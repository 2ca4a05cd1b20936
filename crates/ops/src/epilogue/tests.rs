use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};

use super::*;
use crate::testing::{
    assert_gradients, assert_no_stray_gradients, assert_second_order, max_difference, randn,
};

fn curve() -> Curve {
    Curve {
        negative: 0.2,
        gain: 1.3,
        clamp: Some(1.4),
    }
}

/// The definition in candle's operations, without the clamp's care for gradients.
fn plain(x: &Tensor, scale: &Tensor, noise: &Tensor, bias: &Tensor) -> Tensor {
    let (n, c, _, _) = x.dims4().unwrap();
    let scale = scale.reshape((n, c, 1, 1)).unwrap();
    let z = x.broadcast_mul(&scale).unwrap();
    let z = z.broadcast_add(noise).unwrap();
    let z = z
        .broadcast_add(&bias.reshape((1, c, 1, 1)).unwrap())
        .unwrap();
    let slope = (z.gt(0.0).unwrap().to_dtype(z.dtype()).unwrap() * 0.8).unwrap();
    let y = (z * (slope + 0.2).unwrap()).unwrap();
    (y * 1.3).unwrap().clamp(-1.4, 1.4).unwrap()
}

fn operands(noise: &[usize]) -> [Tensor; 4] {
    [
        randn(&[2, 4, 3, 5], 1),
        randn(&[2, 4], 2),
        randn(noise, 3),
        randn(&[4], 4),
    ]
}

const NOISES: [&[usize]; 3] = [&[2, 1, 3, 5], &[1, 1, 3, 5], &[3, 5]];

fn fused(t: &[Tensor]) -> crate::Result<Tensor> {
    Ok(curve().after_convolution(&t[0], None, Some(&t[1]), Some(&t[2]), Some(&t[3]))?)
}

#[test]
fn noise_of_every_shape() {
    for dims in NOISES {
        let inputs = operands(dims);
        let [x, scale, noise, bias] = &inputs;
        let want = plain(x, scale, noise, bias);
        assert!(max_difference(&fused(&inputs).unwrap(), &want) < 1e-14);
        let narrow = inputs.each_ref().map(|t| t.to_dtype(DType::F32).unwrap());
        assert!(max_difference(&fused(&narrow).unwrap(), &want) < 1e-6);
        assert_gradients("epilogue", fused, &inputs);
        assert_no_stray_gradients("epilogue", fused, &inputs);
        // Linear where it is smooth, so a square makes the second order speak.
        let square = |t: &[Tensor]| Ok(fused(t)?.sqr()?);
        assert_second_order("epilogue squared", square, &inputs);
    }
}

/// Each operand may be absent, whatever the others are.
#[test]
fn absent_operands() {
    let inputs = operands(NOISES[0]);
    for mask in 0..8 {
        let f = |t: &[Tensor]| {
            let given = |i: usize| (mask >> (i - 1) & 1 == 1).then_some(&t[i]);
            Ok(curve().after_convolution(&t[0], None, given(1), given(2), given(3))?)
        };
        let [x, scale, noise, bias] = &inputs;
        let or = |i: usize, t: &Tensor, value: f64| {
            if mask >> (i - 1) & 1 == 1 {
                t.clone()
            } else {
                Tensor::full(value, t.dims(), &Device::Cpu).unwrap()
            }
        };
        let want = plain(x, &or(1, scale, 1.0), &or(2, noise, 0.0), &or(3, bias, 0.0));
        assert!(
            max_difference(&f(&inputs).unwrap(), &want) < 1e-14,
            "{mask}"
        );
        let present: Vec<usize> = [0]
            .into_iter()
            .chain((1..4).filter(|i| mask >> (i - 1) & 1 == 1))
            .collect();
        let short: Vec<Tensor> = present.iter().map(|&i| inputs[i].clone()).collect();
        let scattered = |t: &[Tensor]| {
            let mut all = inputs.to_vec();
            for (&i, t) in present.iter().zip(t) {
                all[i] = t.clone();
            }
            f(&all)
        };
        assert_gradients("epilogue, some operands", scattered, &short);
        assert_second_order("epilogue, some operands", scattered, &short);
        assert_no_stray_gradients("epilogue, some operands", scattered, &short);
    }
}

/// The fused backward pass and the one that can be differentiated give the same numbers.
#[test]
fn both_backward_passes_agree() {
    let vars = operands(NOISES[1]).map(|t| Var::from_tensor(&t).unwrap());
    let leaves = vars.each_ref().map(|v| v.as_tensor().clone());
    let r = randn(&[2, 4, 3, 5], 9);
    let loss = (fused(&leaves).unwrap() * &r).unwrap().sum_all().unwrap();
    let of = |grads: GradStore| vars.each_ref().map(|v| grads.get(v).unwrap().clone());
    let fused = of(loss.backward().unwrap());
    let kept = of(crate::autograd::backward_with_graph(&loss).unwrap());
    for (fused, kept) in fused.iter().zip(&kept) {
        assert!(max_difference(fused, kept) < 1e-13);
    }
}
