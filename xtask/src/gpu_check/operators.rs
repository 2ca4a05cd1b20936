//! Every operator on the device, values and the gradients of all operands, against the same operator in float64 on the CPU.
//!
//! Operands are first rounded to the precision, so that what differs is the arithmetic. In float32 the largest error counts, relative
//! to the largest value. In half precision it is the root of the mean square, relative to that of the values: where an activation is
//! clamped or bent, a value on the other side of the edge has a wholly different gradient.

use std::rc::Rc;

use candle_core::{DType, Device, Tensor, Var};
use domex_error::{Result, bail};
use domex_ops::{
    Activation, BiasAct, Gelu, Mask, ModulatedConv, Pool, Resize, UnitLength, attention,
    avg_pool2d, bias_act, conv_transpose2d, conv2d, gelu, grid_sample, group_norm, group_norm_silu,
    layer_norm, linear, matmul, max_pool2d, minibatch_std, modulated_layer, pixel_norm, resize,
    setup_filter, softmax, unit_distance, upsample_nearest, upsample2d,
};
use serde_json::json;

use super::part::{Found, Setup, Task};
use crate::bench::work::noise;

/// Precisions, with the error of values and of gradients that each explains: float32's sums of some thousand products, and
/// of the others a few roundings in a row.
const PRECISIONS: [(DType, [f64; 2]); 3] = [
    (DType::F32, [1e-5, 1e-4]),
    (DType::F16, [4e-3, 2e-2]),
    (DType::BF16, [3e-2, 1e-1]),
];

/// The operator that takes places.
const GRID: &str = "grid_sample";

type Operator = Rc<dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>>;

/// A task for each operator in each precision.
pub fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for (name, shapes, f) in all() {
        // Places in a picture cannot be told apart in half precision, and nobody asks for them there.
        let precisions = if name == GRID {
            &PRECISIONS[..1]
        } else {
            &PRECISIONS
        };
        for &(dtype, bounds) in precisions {
            let (shapes, f) = (shapes.clone(), Rc::clone(&f));
            let name = format!("{name}, {}", dtype.as_str());
            tasks.push(Task::new(name, move |setup| {
                compared(&shapes, &*f, dtype, bounds, setup)
            }));
        }
    }
    tasks
}

/// The operators with their operands' shapes: odd sizes, several blocks of each kernel.
fn all() -> Vec<(String, Vec<Vec<usize>>, Operator)> {
    let mut list: Vec<(String, Vec<Vec<usize>>, Operator)> = Vec::new();
    let mut add = |name: &str, shapes: &[&[usize]], f: Operator| {
        list.push((
            name.to_owned(),
            shapes.iter().map(|s| s.to_vec()).collect(),
            f,
        ));
    };
    let map: &[usize] = &[2, 33, 19, 17];
    let weight: &[usize] = &[70, 33, 3, 3];
    for (stride, padding) in [(1, 1), (2, 0), (3, 2)] {
        add(
            &format!("conv2d stride {stride}"),
            &[map, weight, &[70]],
            Rc::new(move |t| conv2d(&t[0], &t[1], Some(&t[2]), stride, padding)),
        );
        add(
            &format!("conv_transpose2d stride {stride}"),
            &[map, &[33, 20, 3, 3]],
            Rc::new(move |t| conv_transpose2d(&t[0], &t[1], stride, padding.min(1))),
        );
    }
    add(
        "upsample2d",
        &[map],
        Rc::new(|t| upsample2d(&t[0], Some(&taps(&t[0])?), 2, [0; 4], false, 1.0)),
    );
    add(
        "upsample_nearest",
        &[map],
        Rc::new(|t| upsample_nearest(&t[0], 2)),
    );
    for act in [Activation::Lrelu, Activation::Swish, Activation::Linear] {
        let how = BiasAct {
            clamp: Some(0.8),
            ..BiasAct::new(act)
        };
        add(
            &format!("bias_act {act:?}"),
            &[map, &[33]],
            Rc::new(move |t| bias_act(&t[0], Some(&t[1]), &how)),
        );
    }
    for up in [1, 2] {
        let noise: &[usize] = &[2, 1, 19 * up, 17 * up];
        add(
            &format!("modulated_layer up {up}"),
            &[map, weight, &[2, 33], &[70], noise],
            Rc::new(move |t| modulated(t, up)),
        );
    }
    add(
        "linear",
        &[&[3, 50, 96], &[70, 96], &[70]],
        Rc::new(|t| linear(&t[0], &t[1], Some(&t[2]))),
    );
    add(
        "matmul",
        &[&[5, 33, 70], &[5, 70, 41]],
        Rc::new(|t| matmul(&t[0], &t[1])),
    );
    for how in [Gelu::Exact, Gelu::Quick] {
        add(
            &format!("gelu {how:?}"),
            &[map],
            Rc::new(move |t| gelu(&t[0], how)),
        );
    }
    add(
        "layer_norm",
        &[&[3, 50, 96], &[96], &[96]],
        Rc::new(|t| layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5)),
    );
    add(
        "group_norm",
        &[&[2, 12, 9, 7], &[12], &[12]],
        Rc::new(|t| group_norm(&t[0], 4, Some(&t[1]), Some(&t[2]), 1e-5)),
    );
    add(
        "group_norm_silu",
        &[&[2, 12, 9, 7], &[2, 12], &[2, 12]],
        Rc::new(|t| group_norm_silu(&t[0], 4, &t[1], &t[2], 1e-5)),
    );
    add(
        "pixel_norm of channels",
        &[map],
        Rc::new(|t| pixel_norm(&t[0], 1, 1e-8)),
    );
    add(
        "softmax of rows",
        &[&[7, 300]],
        Rc::new(|t| softmax(&t[0], 1)),
    );
    add(
        "softmax of a middle axis",
        &[&[3, 20, 40]],
        Rc::new(|t| softmax(&t[0], 1)),
    );
    for (name, mask) in [
        ("attention", Mask::None),
        ("attention, causal", Mask::Causal),
    ] {
        let tokens: &[usize] = &[2, 50, 4 * 64];
        add(
            name,
            &[tokens; 3],
            Rc::new(move |t| attention(&t[0], &t[1], &t[2], 4, mask)),
        );
    }
    add(
        "max_pool2d",
        &[map],
        Rc::new(|t| max_pool2d(&t[0], &Pool::new(3, 2))),
    );
    add(
        "avg_pool2d",
        &[map],
        Rc::new(|t| avg_pool2d(&t[0], &Pool::new(3, 2), true)),
    );
    add(
        "resize",
        &[map],
        Rc::new(|t| resize(&t[0], 8, 31, Resize::Bicubic { antialias: true })),
    );
    add(
        GRID,
        &[map],
        Rc::new(|t| {
            let grid = (0..2 * 11 * 13 * 2).map(|i| f64::from(i * 37 % 101) / 42.0 - 1.2);
            let grid = Tensor::from_iter(grid, t[0].device())?.reshape((2, 11, 13, 2))?;
            grid_sample(&t[0], &grid.to_dtype(t[0].dtype())?)
        }),
    );
    let length = UnitLength {
        eps: 1e-10,
        floor: 0.0,
    };
    add(
        "unit_distance",
        &[map, map],
        Rc::new(move |t| unit_distance(&t[0], &t[1], None, length)),
    );
    add(
        "minibatch_std",
        &[&[4, 6, 4, 4]],
        Rc::new(|t| minibatch_std(&t[0], Some(2), 1)),
    );
    list
}

fn taps(like: &Tensor) -> domex_ops::Result<Tensor> {
    setup_filter(&[1.0, 3.0, 3.0, 1.0], None, like.device(), like.dtype())
}

fn modulated(t: &[Tensor], up: usize) -> domex_ops::Result<Tensor> {
    let filter = taps(&t[0])?;
    let how = ModulatedConv {
        up,
        padding: 1,
        filter: (up > 1).then_some(&filter),
        flip_weight: up == 1,
        noise: Some(&t[4]),
        ..ModulatedConv::default()
    };
    let act = BiasAct::new(Activation::Lrelu);
    modulated_layer(&t[0], &t[1], &t[2], &how, Some(&t[3]), &act)
}

fn compared(
    shapes: &[Vec<usize>],
    f: &dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>,
    dtype: DType,
    bounds: [f64; 2],
    setup: &Setup,
) -> Result<Found> {
    let operands = shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| {
            // Otherwise all would begin with the same numbers.
            let whole = noise(&[&[i + 1], &shape[..]].concat(), &Device::Cpu)?;
            Ok(whole.get(i)?.to_dtype(dtype)?)
        })
        .collect::<Result<Vec<Tensor>>>()?;
    let truth = results(&operands, f, DType::F64, &Device::Cpu)?;
    let ours = results(&operands, f, dtype, &setup.device)?;
    let errors = ours
        .iter()
        .zip(&truth)
        .map(|(ours, truth)| error(ours, truth, dtype == DType::F32))
        .collect::<Result<Vec<f64>>>()?;
    let (value, gradient) = (errors[0], errors[1..].iter().copied().fold(0.0, f64::max));
    Ok(Found {
        ok: value <= bounds[0] && gradient <= bounds[1],
        text: format!(
            "value off by {value:.1e} of {:.0e}, gradients by {gradient:.1e} of {:.0e}",
            bounds[0], bounds[1]
        ),
        figures: json!({ "value": value, "gradients": gradient }),
    })
}

/// The result, and the gradients of all operands along fixed numbers.
fn results(
    operands: &[Tensor],
    f: &dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>,
    dtype: DType,
    device: &Device,
) -> Result<Vec<Tensor>> {
    let vars = operands
        .iter()
        .map(|t| Ok(Var::from_tensor(&t.to_device(device)?.to_dtype(dtype)?)?))
        .collect::<Result<Vec<Var>>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors)?;
    // Other numbers than those of any operand: along itself, what has a length of 1 does not change.
    let along = noise(&[&[9], y.dims()].concat(), device)?.get(8)?;
    let along = along.to_dtype(dtype)?;
    let grads = (&y * along)?.sum_all()?.backward()?;
    let mut all = vec![y.detach()];
    for (i, var) in vars.iter().enumerate() {
        match grads.get(var) {
            Some(grad) => all.push(grad.clone()),
            None => bail!("operand {i} has no gradient"),
        }
    }
    Ok(all)
}

/// The largest difference, relative to the largest value, or the root of the mean square of each; NaN counts as infinitely far.
fn error(ours: &Tensor, truth: &Tensor, largest: bool) -> Result<f64> {
    let flat = |t: &Tensor| -> Result<Vec<f64>> {
        let here = t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        Ok(here.flatten_all()?.to_vec1()?)
    };
    if ours.dims() != truth.dims() {
        bail!("shape {:?}, expected {:?}", ours.dims(), truth.dims());
    }
    let (ours, truth) = (flat(ours)?, flat(truth)?);
    let of = |values: &mut dyn Iterator<Item = f64>| -> f64 {
        match largest {
            // `max` leaves NaN out.
            true => values.fold(0.0, |m, v| match v.is_nan() || m.is_nan() {
                true => f64::NAN,
                false => v.abs().max(m),
            }),
            false => values.map(|v| v * v).sum::<f64>().sqrt(),
        }
    };
    let off = of(&mut ours.iter().zip(&truth).map(|(a, b)| a - b));
    let relative = off / of(&mut truth.iter().copied()).max(1e-30);
    Ok(if relative.is_nan() {
        f64::INFINITY
    } else {
        relative
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn errors_are_relative_and_nan_is_far() {
        let truth = tensor(&[1.0, -4.0]);
        assert_eq!(error(&tensor(&[1.0, -3.0]), &truth, true).unwrap(), 0.25);
        let mean = error(&tensor(&[1.0, -3.0]), &truth, false).unwrap();
        assert!((mean - 1.0 / 17f64.sqrt()).abs() < 1e-12);
        for largest in [true, false] {
            let far = error(&tensor(&[f32::NAN, -4.0]), &truth, largest).unwrap();
            assert_eq!(far, f64::INFINITY);
        }
        assert!(error(&tensor(&[1.0]), &truth, true).is_err());
    }

    #[test]
    fn a_wrong_operator_is_found() {
        let setup = Setup {
            device: Device::Cpu,
            assets: "".into(),
        };
        let wrong = |t: &[Tensor]| match t[0].dtype() {
            DType::F64 => matmul(&t[0], &t[1]),
            _ => Ok((matmul(&t[0], &t[1])? * 1.001)?),
        };
        let shapes = [vec![3, 4], vec![4, 5]];
        let judge = |f: &dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>| {
            compared(&shapes, f, DType::F32, [1e-5, 1e-4], &setup).unwrap()
        };
        assert!(judge(&|t| matmul(&t[0], &t[1])).ok);
        assert!(!judge(&wrong).ok);
    }
}
