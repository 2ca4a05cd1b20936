//! Sampling at any positions, and its adjoint.

use super::operands;
use crate::{
    Arg, Element, Launch, Plan, Result,
    launch::{args, int, kernel, long},
    modules::Module,
};

/// Sizes of a sampling: `samples` positions in each of n pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct GridSample {
    pub n: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub samples: usize,
}

/// Blocks that look for the largest gradient; each leaves one number.
const PARTS: usize = 64;

impl GridSample {
    fn args(&self) -> Result<[Arg; 5]> {
        int("a plane", self.h.saturating_mul(self.w))?;
        Ok(args![
            int("n", self.n)?,
            int("c", self.c)?,
            int("h", self.h)?,
            int("w", self.w)?,
            int("samples", self.samples)?
        ])
    }
}

/// Operands: x `[n, c, h, w]`, points `[n, samples, 2]` in pixels, x first, which are float32, y `[n, c, samples]`.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn grid_sample(s: &GridSample, element: Element) -> Result<Plan> {
    let [x, points, y] = operands();
    let mut plan = Plan::new(3);
    let launch = Launch::elements(
        Module::GridSample,
        kernel!(element, "grid_sample"),
        s.n * s.samples,
    )?;
    plan.launches
        .push(launch.with(args![x, points, y]).with(s.args()?));
    Ok(plan)
}

/// Operands: gy `[n, c, samples]`, points as above, gx `[n, c, h, w]`. The sums are of whole numbers, so their order does not show;
/// each part is rounded to 2⁻³⁰ of the largest gradient.
///
/// # Errors
///
/// As [`grid_sample`].
pub fn grid_sample_adjoint(s: &GridSample, element: Element) -> Result<Plan> {
    let [gy, points, gx] = operands();
    let mut plan = Plan::new(3);
    let (from, to) = (s.n * s.c * s.samples, s.n * s.c * s.h * s.w);
    let (parts, sums) = (plan.scratch(PARTS), plan.scratch_bytes(8 * to));
    let (count, to_len) = (int("parts", PARTS)?, long("x", to)?);
    let step = |kernel, len| Launch::elements(Module::GridSample, kernel, len);
    let largest = Launch::new(
        Module::GridSample,
        kernel!(element, "largest_magnitude"),
        [PARTS, 1, 1],
    )?;
    plan.launches = vec![
        largest.with(args![gy, parts, long("y", from)?]),
        step("clear", to)?.with(args![sums, to_len]),
        step(kernel!(element, "grid_sample_scatter"), s.n * s.samples)?
            .with(args![gy, points, parts, count, sums])
            .with(s.args()?),
        step(kernel!(element, "grid_sample_finish"), to)?
            .with(args![sums, parts, count, gx, to_len]),
    ];
    Ok(plan)
}
