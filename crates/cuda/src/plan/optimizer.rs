//! A step of Adam, and of an average of weights, over flat buffers.

use domex_kernels::adam::Adam;

use super::operands;
use crate::{
    Launch, Plan, Result,
    launch::{args, long},
    modules::Module,
};

/// Operands: parameters, first and second moment (all three updated in place), gradient; `len` elements each.
///
/// # Errors
///
/// A length beyond the kernel's counters.
pub fn adam(adam: &Adam, len: usize) -> Result<Plan> {
    let [p, m, v, g] = operands();
    let steps = i32::try_from(adam.step).unwrap_or(i32::MAX);
    let mut plan = Plan::new(4);
    let launch = Launch::elements(Module::Optimizer, "adam", len)?;
    plan.launches.push(launch.with(args![
        p,
        m,
        v,
        g,
        long("parameters", len)?,
        adam.beta1 as f32,
        adam.beta2 as f32,
        (1.0 - adam.beta1) as f32,
        (1.0 - adam.beta2) as f32,
        (adam.lr / (1.0 - adam.beta1.powi(steps))) as f32,
        (1.0 / (1.0 - adam.beta2.powi(steps)).sqrt()) as f32,
        adam.eps as f32,
        (1.0 - adam.lr * adam.decay) as f32
    ]));
    Ok(plan)
}

/// `average ← value + beta (average − value)`. Operands: average (updated in place), value.
///
/// # Errors
///
/// As [`adam`].
pub fn average(beta: f64, len: usize) -> Result<Plan> {
    let [average, value] = operands();
    let mut plan = Plan::new(2);
    let launch = Launch::elements(Module::Optimizer, "average", len)?;
    plan.launches
        .push(launch.with(args![average, value, long("weights", len)?, beta as f32]));
    Ok(plan)
}
