//! Softmax.

use super::operands;
use crate::{
    Buffer, Element, Launch, Plan, Result,
    launch::{args, kernel, long},
    modules::Module,
};

/// Along the middle of `[outer, len, inner]`. Operands: x, y.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn softmax(outer: usize, len: usize, inner: usize, element: Element) -> Result<Plan> {
    let [x, y] = operands();
    plan(
        kernel!(element, "softmax_rows"),
        kernel!(element, "softmax_lines"),
        &[x, y],
        [outer, len, inner],
    )
}

/// Operands: y, gy, gx.
///
/// # Errors
///
/// As [`softmax`].
pub fn softmax_backward(outer: usize, len: usize, inner: usize, element: Element) -> Result<Plan> {
    let [y, gy, gx] = operands();
    plan(
        kernel!(element, "softmax_rows_backward"),
        kernel!(element, "softmax_lines_backward"),
        &[y, gy, gx],
        [outer, len, inner],
    )
}

fn plan(
    rows: &'static str,
    lines: &'static str,
    operands: &[Buffer],
    [outer, len, inner]: [usize; 3],
) -> Result<Plan> {
    let mut plan = Plan::new(operands.len());
    let first = operands.iter().map(|&b| b.into());
    let len = long("a line", len)?;
    plan.launches.push(if inner == 1 {
        Launch::new(Module::Softmax, rows, [outer, 1, 1])?
            .with(first)
            .with(args![len])
    } else {
        let count = outer * inner;
        Launch::elements(Module::Softmax, lines, count)?
            .with(first)
            .with(args![long("lines", count)?, len, long("inner", inner)?])
    });
    Ok(plan)
}
