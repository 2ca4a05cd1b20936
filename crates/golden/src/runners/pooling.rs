//! Max and average pooling: outputs `out.{tag}_{input}`, gradients for the input.

use domex_ops::{Pool, avg_pool2d, max_pool2d};
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
    input: String,
    /// Names the case; average pooling where it starts with `avg`.
    tag: String,
    kernel_size: usize,
    stride: Option<usize>,
    #[serde(default)]
    padding: usize,
    #[serde(default)]
    ceil_mode: bool,
    count_include_pad: Option<bool>,
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for sub in case.config::<Config>()?.cases {
        let name = format!("{}_{}", sub.tag, sub.input);
        let x = var(case.input(&sub.input)?)?;
        let pool = Pool {
            kernel: sub.kernel_size,
            // As in the reference framework: no stride means the kernel's size.
            stride: sub.stride.unwrap_or(sub.kernel_size),
            padding: sub.padding,
            ceil_mode: sub.ceil_mode,
        };
        let y = if sub.tag.starts_with("avg") {
            avg_pool2d(&x, &pool, sub.count_include_pad.unwrap_or(true))?
        } else {
            max_pool2d(&x, &pool)?
        };
        // A case without a weighting `R` has no gradient to compare.
        if let Some(r) = case.get(&format!("in.R_{name}")) {
            let grads = dot(&y, r)?.backward()?;
            computed.grad(&name, &grads, &x)?;
        }
        computed.out(&name, y);
    }
    Ok(computed)
}
