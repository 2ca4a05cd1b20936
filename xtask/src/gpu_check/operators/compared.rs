//! An operator on the device against float64 on the CPU: its value, with and without a graph; the gradients of all operands, and that of
//! the first where the others are constants; and the gradients of those gradients.
//!
//! Each of these may take kernels of its own on a device. Operands are first rounded to the precision, so that what differs is the
//! arithmetic. In float32 the largest error counts, relative to the largest value. In half precision and TF32 it is the root of the mean
//! square, relative to that of the values: where an activation is clamped or bent, a value on the other side of the edge has a wholly different
//! gradient.

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};
use domex_error::{Result, bail};
use domex_ops::{
    autograd::backward_with_graph,
    optimizer::{self, Adam, Moments},
};
use serde_json::json;

use super::super::part::{Found, Setup};
use crate::bench::work::noise;

/// The largest errors that are right.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub value: f64,
    pub gradient: f64,
    /// Of the gradients of gradients; None where nobody asks for them.
    pub second: Option<f64>,
}

type Operator<'a> = &'a dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>;

/// One row.
pub fn compared(
    shapes: &[Vec<usize>],
    f: Operator<'_>,
    dtype: DType,
    bounds: Bounds,
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
    let twice = bounds.second.is_some();
    let truth = results(&operands, f, DType::F64, &Device::Cpu, twice)?;
    let ours = results(&operands, f, dtype, &setup.device, twice)?;
    let largest = twice;
    let value = worst(&ours.values, &truth.values, largest)?;
    let gradient = worst(&ours.gradients, &truth.gradients, largest)?;
    let second = worst(&ours.second, &truth.second, largest)?;
    let mut ok = value <= bounds.value && gradient <= bounds.gradient;
    let mut text = format!(
        "value off by {value:.1e} of {:.0e}, gradients by {gradient:.1e} of {:.0e}",
        bounds.value, bounds.gradient
    );
    if let Some(bound) = bounds.second {
        ok &= second <= bound;
        text += &format!(", gradients of those by {second:.1e} of {bound:.0e}");
    }
    Ok(Found {
        ok,
        text,
        figures: json!({ "value": value, "gradients": gradient, "second": twice.then_some(second) }),
    })
}

/// What is compared.
struct Results {
    /// With and without a graph.
    values: Vec<Tensor>,
    /// Of all operands, and of the first alone.
    gradients: Vec<Tensor>,
    /// Of the gradients along fixed numbers, by operand.
    second: Vec<Tensor>,
}

fn results(
    operands: &[Tensor],
    f: Operator<'_>,
    dtype: DType,
    device: &Device,
    twice: bool,
) -> Result<Results> {
    let constants = operands
        .iter()
        .map(|t| Ok(t.to_device(device)?.to_dtype(dtype)?))
        .collect::<Result<Vec<Tensor>>>()?;
    let vars = constants.iter().map(Var::from_tensor);
    let vars = vars.collect::<candle_core::Result<Vec<Var>>>()?;
    let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let alone = [&tracked[..1], &constants[1..]].concat();
    // Other numbers than those of any operand: along itself, what has a length of 1 does not change.
    let along = |t: &Tensor, seed: usize| -> Result<Tensor> {
        let whole = noise(&[&[seed + 1], t.dims()].concat(), device)?;
        Ok((t * whole.get(seed)?.to_dtype(dtype)?)?.sum_all()?)
    };
    let y = f(&tracked)?;
    let grads = along(&y, 8)?.backward()?;
    let mut gradients = all(&grads, &vars)?;
    gradients.extend(all(&along(&f(&alone)?, 8)?.backward()?, &vars[..1])?);
    let mut second = Vec::new();
    if twice {
        let grads = all(&backward_with_graph(&along(&f(&tracked)?, 8)?)?, &vars)?;
        let sums = grads.iter().enumerate().map(|(i, g)| along(g, 9 + i));
        let sum = sums.reduce(|a, b| Ok((a? + b?)?));
        let grads = match sum.transpose()? {
            Some(sum) if sum.track_op() => Some(sum.backward()?),
            _ => None,
        };
        for (i, var) in vars.iter().enumerate() {
            // Of what is linear there is none.
            let grad = grads.as_ref().and_then(|grads| grads.get(var));
            second.push(grad.map_or_else(|| constants[i].zeros_like(), |g| Ok(g.clone()))?);
        }
    }
    Ok(Results {
        values: vec![y.detach(), f(&constants)?],
        gradients,
        second,
    })
}

fn all(grads: &GradStore, vars: &[Var]) -> Result<Vec<Tensor>> {
    let mut all = Vec::new();
    for (i, var) in vars.iter().enumerate() {
        match grads.get(var) {
            Some(grad) => all.push(grad.clone()),
            None => bail!("operand {i} has no gradient"),
        }
    }
    Ok(all)
}

/// The largest error of all of them.
fn worst(ours: &[Tensor], truth: &[Tensor], largest: bool) -> Result<f64> {
    let mut worst = 0.0;
    for (ours, truth) in ours.iter().zip(truth) {
        worst = error(ours, truth, largest)?.max(worst);
    }
    Ok(worst)
}

/// Three steps of Adam in float32, and of an average of the parameter.
pub fn optimizer(setup: &Setup) -> Result<Found> {
    const BOUND: f64 = 1e-5;
    let steps = |dtype: DType, device: &Device| -> Result<Vec<Tensor>> {
        let all = noise(&[4, 33, 71], &Device::Cpu)?.to_dtype(DType::F32)?;
        let all = all.to_device(device)?.to_dtype(dtype)?;
        let (p, average) = (
            Var::from_tensor(&all.get(0)?)?,
            Var::from_tensor(&all.get(0)?)?,
        );
        let mut moments = Moments::new(&p)?;
        for step in 1..=3 {
            let how = Adam {
                lr: 0.02,
                beta1: 0.5,
                beta2: 0.99,
                eps: 1e-8,
                decay: 0.1,
                step,
            };
            optimizer::adam(&how, &p, &mut moments, &all.get(step as usize)?)?;
            optimizer::average(&average, &p, 0.75)?;
        }
        let [m, v] = moments.tensors()?;
        Ok(vec![
            p.as_detached_tensor(),
            average.as_detached_tensor(),
            m,
            v,
        ])
    };
    let truth = steps(DType::F64, &Device::Cpu)?;
    let off = worst(&steps(DType::F32, &setup.device)?, &truth, true)?;
    Ok(Found {
        ok: off <= BOUND,
        text: format!("parameter, average and moments off by {off:.1e} of {BOUND:.0e}"),
        figures: json!({ "value": off }),
    })
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
    use domex_ops::matmul;

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
        let bounds = Bounds {
            value: 1e-5,
            gradient: 1e-4,
            second: Some(1e-3),
        };
        let judge = |f: &dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>| {
            compared(&shapes, f, DType::F32, bounds, &setup).unwrap()
        };
        assert!(judge(&|t| matmul(&t[0], &t[1])).ok);
        assert!(!judge(&wrong).ok);
        // Right but where nothing tracks, and where the first operand alone does.
        let right = |t: &[Tensor]| matmul(&t[0], &t[1]);
        let wrong_where = |tracked: [bool; 2]| {
            move |t: &[Tensor]| {
                let found = [t[0].track_op(), t[1].track_op()];
                if found == tracked { wrong(t) } else { right(t) }
            }
        };
        for tracked in [[false, false], [true, false], [true, true]] {
            assert!(!judge(&wrong_where(tracked)).ok, "{tracked:?}");
        }
        assert!(judge(&wrong_where([false, true])).ok, "not asked for");
    }

    #[test]
    fn a_lost_second_derivative_is_found() {
        let setup = Setup {
            device: Device::Cpu,
            assets: "".into(),
        };
        let second = |f: &dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>| {
            let operands = [noise(&[5], &Device::Cpu).unwrap()];
            let made = results(&operands, f, DType::F64, &setup.device, true).unwrap();
            made.second[0]
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
        };
        assert!(second(&|t| Ok((t[0].sqr()? * &t[0])?)) > 0.0);
        assert_eq!(second(&|t| Ok((&t[0] * 3.0)?)), 0.0, "there is none");
    }

    #[test]
    fn the_optimizer_on_the_cpu_is_right() {
        let setup = Setup {
            device: Device::Cpu,
            assets: "".into(),
        };
        assert!(optimizer(&setup).unwrap().ok);
    }
}
