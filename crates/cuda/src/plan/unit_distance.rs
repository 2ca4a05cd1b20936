//! The distance of two maps with their channels at unit length.

use domex_kernels::unit_distance::UnitDistance;

use super::operands;
use crate::{
    Arg, Buffer, Element, Launch, Plan, Result,
    launch::{args, kernel, long},
    modules::Module,
};

/// Pixels that a block takes: a warp's width.
const PIXELS: usize = 32;

/// A launch over all pixels, with operands that come before the maps.
fn launch(s: &UnitDistance, kernel: &'static str, first: &[Arg], maps: [Arg; 3]) -> Result<Launch> {
    let count = s.n * s.pixels;
    let blocks = count.div_ceil(PIXELS);
    let launch = Launch::new(Module::UnitDistance, kernel, [blocks, 1, 1])?;
    Ok(launch.with(first.iter().copied()).with(maps).with(args![
        long("channels", s.channels)?,
        long("pixels", s.pixels)?,
        long("pixels of all", count)?,
        s.eps as f32,
        s.floor as f32
    ]))
}

/// Operands: a, b `[n, channels, pixels]`, y `[n, pixels]`, and where `weighted` the weights `[channels]`.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn unit_distance(s: &UnitDistance, weighted: bool, element: Element) -> Result<Plan> {
    let [a, b, y, weight] = operands();
    let mut plan = Plan::new(3 + usize::from(weighted));
    let maps = args![a, b, weighted.then_some(weight)];
    let kernel = kernel!(element, "unit_distance");
    plan.launches.push(launch(s, kernel, &args![y], maps)?);
    Ok(plan)
}

/// Operands: a, b, gy `[n, pixels]`, of ga and gb those that `wanted` asks for, and where `weighted` the weights.
///
/// # Errors
///
/// As [`unit_distance`].
pub fn unit_distance_backward(
    s: &UnitDistance,
    weighted: bool,
    wanted: [bool; 2],
    element: Element,
) -> Result<Plan> {
    let [a, b, gy] = operands();
    let mut count = 3;
    let [ga, gb, weight] = [wanted[0], wanted[1], weighted].map(|there| {
        count += usize::from(there);
        there.then(|| Buffer(count - 1))
    });
    let mut plan = Plan::new(count);
    let kernel = kernel!(element, "unit_distance_backward");
    let launch = launch(s, kernel, &args![gy, ga, gb], args![a, b, weight])?;
    plan.launches.push(launch);
    Ok(plan)
}
