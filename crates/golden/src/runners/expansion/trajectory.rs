//! Twenty steps of the expansion with Adam and a moving average.
//!
//! Ours run in single precision; both of the reference's runs are compared with them.

use candle_core::{DType, Device, Tensor, backprop::GradStore};
use domex_stylegan2::Vars;
use domex_train::{
    Parameters,
    adam::{Adam, AdamConfig},
    ema::{Ema, EmaConfig},
};

use super::{gained, generator, number, step};
use crate::{Case, Result, computed::Computed};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let setting = step::Setting::new(case)?;
    let trained = generator(case)?;
    let mut vars = trained.vars.clone();
    vars.retain(|name, _| name.starts_with("synthesis."));
    let parameters = Parameters::new(vars);
    let mut adam = Adam::new(&parameters, adam(case)?)?;
    let (ema, batch) = ema(case, &parameters)?;
    let mut logged = Log::default();
    for at in 0..number(case, "steps")? as usize {
        let w = case.input("w")?.get(at)?.contiguous()?;
        let tasks = step::indices(&case.input("indices")?.get(at)?)?;
        let (_, _, losses) = setting.step(case, &trained.network, &w, &tasks)?;
        let grads = gained(case, &losses.total)?.backward()?;
        logged.push("grad_norm", norm(&trained.vars, &grads)?);
        logged.push("loss_total", scalar(&losses.total)?);
        logged.push("loss_expand", scalar(&losses.expand)?);
        logged.push("loss_recon_l2", scalar(&losses.alignment.l2)?);
        logged.push("loss_recon_lpips", scalar(&losses.alignment.perceptual)?);
        let _ = adam.step(&grads)?;
        ema.update(batch, 0)?;
    }
    for (name, values) in logged.0 {
        both(&mut computed, name, &Tensor::new(values, &Device::Cpu)?)?;
    }
    let mut checksum = [0.0; 3];
    for (name, var) in parameters.iter() {
        let values = var.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        for value in values {
            for (sum, part) in checksum.iter_mut().zip([value, value.abs(), value * value]) {
                *sum += part;
            }
        }
        let value = var.as_detached_tensor();
        both(&mut computed, &format!("final.{name}"), &value)?;
    }
    for (name, average) in ema.average().iter() {
        let value = average.as_detached_tensor();
        both(&mut computed, &format!("ema.{name}"), &value)?;
    }
    let checksum = Tensor::new(&checksum, &Device::Cpu)?;
    both(&mut computed, "final_checksum", &checksum)?;
    Ok(computed)
}

/// Answers `out.{name}` and `out64.{name}`.
fn both(computed: &mut Computed, name: &str, value: &Tensor) -> Result<()> {
    computed.out(name, value.to_dtype(DType::F32)?);
    computed.out64(name, value.to_dtype(DType::F64)?);
    Ok(())
}

fn adam(case: &Case) -> Result<AdamConfig> {
    Ok(AdamConfig {
        lr: number(case, "adam/lr")?,
        beta1: number(case, "adam/betas/0")?,
        beta2: number(case, "adam/betas/1")?,
        eps: number(case, "adam/eps")?,
        weight_decay: 0.0,
    })
}

/// The average, and the batch to update it with: `0.5^(batch / half-life)` is the case's beta.
fn ema(case: &Case, parameters: &Parameters) -> Result<(Ema, usize)> {
    let batch = number(case, "batch_size")?;
    let half_life = batch * 0.5f64.ln() / number(case, "ema_beta")?.ln();
    let config = EmaConfig {
        kimg: half_life / 1000.0,
        ramp_up: None,
    };
    Ok((Ema::new(parameters, config)?, batch as usize))
}

/// One list of numbers for each name.
#[derive(Default)]
struct Log(std::collections::BTreeMap<&'static str, Vec<f64>>);

impl Log {
    fn push(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }
}

fn scalar(t: &Tensor) -> Result<f64> {
    Ok(t.to_dtype(DType::F64)?.to_scalar()?)
}

/// Length of the whole gradient for the synthesis network.
fn norm(vars: &Vars, grads: &GradStore) -> Result<f64> {
    let mut sum = 0.0;
    for (name, var) in vars {
        if let (true, Some(grad)) = (name.starts_with("synthesis."), grads.get(var)) {
            // candle sums a scalar by a buffer of no bytes, which CUDA does not give.
            sum += scalar(&grad.flatten_all()?.to_dtype(DType::F64)?.sqr()?.sum_all()?)?;
        }
    }
    Ok(sum.sqrt())
}
