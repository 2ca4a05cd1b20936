//! Scaling by rows, its gradient, and sums.

use super::operands;
use crate::{
    Element, Launch, Plan, Result,
    launch::{args, kernel, long},
    modules::Module,
};

/// Operands: x `[rows, inner]`, s `[rows]`, y as x.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn scale_rows(rows: usize, inner: usize, element: Element) -> Result<Plan> {
    let [x, s, y] = operands();
    let mut plan = Plan::new(3);
    let launch = Launch::elements(
        Module::Channels,
        kernel!(element, "scale_rows"),
        rows * inner,
    )?;
    plan.launches.push(launch.with(args![
        x,
        s,
        y,
        long("x", rows * inner)?,
        long("inner", inner)?
    ]));
    Ok(plan)
}

/// Operands: a, b `[rows, inner]`, y `[rows]`.
///
/// # Errors
///
/// As [`scale_rows`].
pub fn dot_rows(rows: usize, inner: usize, element: Element) -> Result<Plan> {
    let [a, b, y] = operands();
    let mut plan = Plan::new(3);
    let launch = Launch::new(Module::Channels, kernel!(element, "dot_rows"), [rows, 1, 1])?;
    plan.launches
        .push(launch.with(args![a, b, y, long("inner", inner)?]));
    Ok(plan)
}

/// Operands: x `[outer, channels, inner]`, y `[channels]`.
///
/// # Errors
///
/// As [`scale_rows`].
pub fn channel_sum(outer: usize, channels: usize, inner: usize, element: Element) -> Result<Plan> {
    let [x, y] = operands();
    let mut plan = Plan::new(2);
    let launch = Launch::new(
        Module::Channels,
        kernel!(element, "channel_sum"),
        [channels, 1, 1],
    )?;
    plan.launches.push(launch.with(args![
        x,
        y,
        long("outer", outer)?,
        long("channels", channels)?,
        long("inner", inner)?
    ]));
    Ok(plan)
}

/// Operands: x `[n, rows, inner]`, y `[n, inner]`.
///
/// # Errors
///
/// As [`scale_rows`].
pub fn plane_sum(n: usize, rows: usize, inner: usize, element: Element) -> Result<Plan> {
    let [x, y] = operands();
    let mut plan = Plan::new(2);
    let launch = Launch::elements(Module::Channels, kernel!(element, "plane_sum"), n * inner)?;
    plan.launches.push(launch.with(args![
        x,
        y,
        long("y", n * inner)?,
        long("rows", rows)?,
        long("inner", inner)?
    ]));
    Ok(plan)
}

/// One line behind the other. Operands: a `[first]`, b `[second]`, y `[first + second]`.
///
/// # Errors
///
/// As [`scale_rows`].
pub fn join(first: usize, second: usize, element: Element) -> Result<Plan> {
    let [a, b, y] = operands();
    let mut plan = Plan::new(3);
    let len = first + second;
    let launch = Launch::elements(Module::Channels, kernel!(element, "join"), len)?;
    plan.launches
        .push(launch.with(args![a, b, y, long("a", first)?, long("y", len)?]));
    Ok(plan)
}
