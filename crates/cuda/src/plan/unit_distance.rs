//! The distance of two maps with their channels at unit length.

use super::operands;
use crate::{
    Arg, Buffer, Element, Launch, Plan, Result,
    launch::{args, kernel, long},
    modules::Module,
};

/// Pixels that a block takes: a warp's width.
const PIXELS: usize = 32;

/// Sizes, and the two small numbers: what is added to a length before it divides, and the least squared length.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct UnitDistance {
    pub n: usize,
    pub channels: usize,
    pub pixels: usize,
    pub eps: f64,
    pub floor: f64,
}

impl UnitDistance {
    fn launch(&self, kernel: &'static str, first: &[Arg], maps: [Arg; 3]) -> Result<Launch> {
        let count = self.n * self.pixels;
        let blocks = count.div_ceil(PIXELS);
        let launch = Launch::new(Module::UnitDistance, kernel, [blocks, 1, 1])?;
        Ok(launch.with(first.iter().copied()).with(maps).with(args![
            long("channels", self.channels)?,
            long("pixels", self.pixels)?,
            long("pixels of all", count)?,
            self.eps as f32,
            self.floor as f32
        ]))
    }
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
    plan.launches.push(s.launch(kernel, &args![y], maps)?);
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
    let launch = s.launch(kernel, &args![gy, ga, gb], args![a, b, weight])?;
    plan.launches.push(launch);
    Ok(plan)
}
