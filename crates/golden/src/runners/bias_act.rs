//! Bias, activation, gain, clamp: outputs, and the gradients for input and bias.

use domex_ops::{BiasAct, bias_act};
use serde::Deserialize;

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

#[derive(Deserialize)]
struct Config {
    cases: Vec<Sub>,
}

#[derive(Deserialize)]
struct Sub {
    act: String,
    alpha: Option<f64>,
    gain: Option<f64>,
    clamp: Option<f64>,
    #[serde(default = "one")]
    dim: usize,
}

fn one() -> usize {
    1
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for (i, sub) in case.config::<Config>()?.cases.iter().enumerate() {
        let x = var(case.input(&format!("{i}.x"))?)?;
        let bias = case.get(&format!("in.{i}.b")).map(var).transpose()?;
        let mut op = BiasAct::new(sub.act.parse()?);
        op.alpha = sub.alpha;
        op.gain = sub.gain;
        op.clamp = sub.clamp;
        op.dim = sub.dim;
        let y = bias_act(&x, bias.as_deref(), &op)?;
        let grads = dot(&y, case.input(&format!("{i}.R"))?)?.backward()?;
        computed.out(format_args!("{i}.y"), y);
        computed.grad(format_args!("{i}.x"), &grads, &x)?;
        if let Some(bias) = &bias {
            computed.grad(format_args!("{i}.b"), &grads, bias)?;
        }
    }
    Ok(computed)
}
