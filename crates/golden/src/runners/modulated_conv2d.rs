//! Modulated convolution: outputs, and the gradients for input, weight and styles.

use domex_ops::{ModulatedConv, modulated_conv2d};
use serde::Deserialize;

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

#[derive(Deserialize)]
struct Config {
    cases: Vec<Sub>,
}

// `fused_modconv` says which of two equal computations the reference took: not ours to choose.
#[derive(Deserialize)]
struct Sub {
    #[serde(default = "one")]
    up: usize,
    #[serde(default = "one")]
    down: usize,
    padding: usize,
    filter: bool,
    demodulate: bool,
    flip_weight: bool,
    noise: bool,
}

fn one() -> usize {
    1
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for (i, sub) in case.config::<Config>()?.cases.iter().enumerate() {
        let input = |name: &str| case.input(&format!("{i}.{name}"));
        let (x, weight, styles) = (
            var(input("x")?)?,
            var(input("weight")?)?,
            var(input("styles")?)?,
        );
        let filter = if sub.filter {
            Some(case.input("filter")?)
        } else {
            None
        };
        let noise = if sub.noise {
            Some(var(input("noise")?)?)
        } else {
            None
        };
        let op = ModulatedConv {
            up: sub.up,
            down: sub.down,
            padding: sub.padding,
            filter,
            demodulate: sub.demodulate,
            flip_weight: sub.flip_weight,
            noise: noise.as_deref(),
            channel_factor: None,
        };
        let y = modulated_conv2d(&x, &weight, &styles, &op)?;
        let grads = dot(&y, input("R")?)?.backward()?;
        computed.out(format_args!("{i}.y"), y);
        computed.grad(format_args!("{i}.x"), &grads, &x)?;
        computed.grad(format_args!("{i}.weight"), &grads, &weight)?;
        computed.grad(format_args!("{i}.styles"), &grads, &styles)?;
        if let Some(noise) = &noise {
            computed.grad(format_args!("{i}.noise"), &grads, noise)?;
        }
    }
    Ok(computed)
}
