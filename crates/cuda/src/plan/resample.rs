//! Separable resampling by tables of weights.

use super::operands;
use crate::{
    Element, Launch, Plan, Result,
    launch::{args, int, kernel, long},
    modules::Module,
};

/// Sizes of a resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Resample {
    pub planes: usize,
    pub h: usize,
    pub w: usize,
    pub out_h: usize,
    pub out_w: usize,
}

/// Operands: x `[planes, h, w]`, y `[planes, out_h, out_w]`; then for the rows and then for the columns the first input of each
/// output (`int`), the offsets of its weights (`int`, one more than outputs), and all weights (float32).
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn resample(s: &Resample, element: Element) -> Result<Plan> {
    let [
        x,
        y,
        row_first,
        row_offset,
        row_weights,
        col_first,
        col_offset,
        col_weights,
    ] = operands();
    let len = s.planes * s.out_h * s.out_w;
    let mut plan = Plan::new(8);
    let launch = Launch::elements(Module::Resample, kernel!(element, "resample"), len)?;
    plan.launches.push(launch.with(args![
        x,
        y,
        long("y", len)?,
        int("h", s.h)?,
        int("w", s.w)?,
        int("out_h", s.out_h)?,
        int("out_w", s.out_w)?,
        row_first,
        row_offset,
        row_weights,
        col_first,
        col_offset,
        col_weights
    ]));
    Ok(plan)
}
