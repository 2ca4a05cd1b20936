//! Minibatch standard deviation.

use super::operands;
use crate::{
    Arg, Element, Launch, Plan, Result,
    launch::{args, int, kernel, long},
    modules::Module,
};

/// Sizes: `group` divides `n`, `sets` divides `c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct MinibatchStd {
    pub n: usize,
    pub c: usize,
    pub sets: usize,
    pub group: usize,
    pub pixels: usize,
}

impl MinibatchStd {
    fn plan(&self, kernel: &'static str, buffers: &[Arg]) -> Result<Plan> {
        let mut plan = Plan::new(buffers.len());
        let launch = Launch::new(
            Module::MinibatchStd,
            kernel,
            [self.n / self.group, self.sets, 1],
        )?;
        plan.launches
            .push(launch.with(buffers.iter().copied()).with(args![
                int("n", self.n)?,
                int("c", self.c)?,
                int("sets", self.sets)?,
                int("group", self.group)?,
                long("pixels", self.pixels)?
            ]));
        Ok(plan)
    }
}

/// Operands: x `[n, c, pixels]`, y `[n, c + sets, pixels]`.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn minibatch_std(s: &MinibatchStd, element: Element) -> Result<Plan> {
    let [x, y] = operands();
    s.plan(kernel!(element, "minibatch_std"), &args![x, y])
}

/// Operands: x, gy, gx.
///
/// # Errors
///
/// As [`minibatch_std`].
pub fn minibatch_std_backward(s: &MinibatchStd, element: Element) -> Result<Plan> {
    let [x, gy, gx] = operands();
    s.plan(
        kernel!(element, "minibatch_std_backward"),
        &args![x, gy, gx],
    )
}
