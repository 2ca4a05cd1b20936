//! Layer, group and pixel norm.

use super::operands;
use crate::{
    Arg, Buffer, Element, Launch, Plan, Result,
    launch::{args, kernel, long},
    modules::Module,
};

/// The lines that are normalised, in a tensor seen as `[outer, len, inner]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Lines before, so to speak.
    pub outer: usize,
    /// Elements of a line.
    pub len: usize,
    /// Elements between two of a line.
    pub inner: usize,
    /// Whether the mean is subtracted.
    pub centre: bool,
    /// Added to the variance.
    pub eps: f64,
}

/// Weight and bias `[channels]`: element e has those of channel `e / repeat % channels`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affine {
    /// Their length.
    pub channels: usize,
    /// Neighbouring elements that share one.
    pub repeat: usize,
}

impl Line {
    fn len(&self) -> usize {
        self.outer * self.len * self.inner
    }

    fn args(
        &self,
        x: Buffer,
        affine: Option<(Affine, Option<Buffer>, Option<Buffer>)>,
    ) -> Result<[Arg; 9]> {
        let (affine, weight, bias) = affine.unwrap_or((
            Affine {
                channels: 1,
                repeat: 1,
            },
            None,
            None,
        ));
        Ok(args![
            x,
            weight,
            bias,
            long("a line", self.len)?,
            long("inner", self.inner)?,
            long("repeat", affine.repeat)?,
            long("channels", affine.channels)?,
            self.eps as f32,
            i32::from(self.centre)
        ])
    }

    /// One block for each line, or one thread where lines lie side by side.
    fn launch(&self, rows: &'static str, lines: &'static str, first: &[Arg]) -> Result<Launch> {
        let count = self.outer * self.inner;
        if self.inner == 1 {
            let launch = Launch::new(Module::Norm, rows, [count, 1, 1])?;
            return Ok(launch.with(first.iter().copied()));
        }
        let launch = Launch::elements(Module::Norm, lines, count)?;
        Ok(launch
            .with(first.iter().copied())
            .with(args![long("lines", count)?]))
    }
}

/// Operands: x, y, and with `affine` weight and bias.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn norm(line: &Line, affine: Option<Affine>, element: Element) -> Result<Plan> {
    let [x, y, weight, bias] = operands();
    let mut plan = Plan::new(if affine.is_some() { 4 } else { 2 });
    let affine = affine.map(|affine| (affine, Some(weight), Some(bias)));
    let launch = line.launch(
        kernel!(element, "norm_rows"),
        kernel!(element, "norm_lines"),
        &args![y],
    )?;
    plan.launches.push(launch.with(line.args(x, affine)?));
    Ok(plan)
}

/// Operands: x, gy, gx, with `affine` the weight, and where `wanted` the gradients of weight and of bias.
///
/// # Errors
///
/// As [`norm`].
pub fn norm_backward(
    line: &Line,
    affine: Option<Affine>,
    wanted: bool,
    element: Element,
) -> Result<Plan> {
    let [x, gy, gx, weight, g_weight, g_bias] = operands();
    let wanted = affine.filter(|_| wanted);
    let mut plan = Plan::new(match (affine, wanted) {
        (None, _) => 3,
        (Some(_), None) => 4,
        (Some(_), Some(_)) => 6,
    });
    let normal = wanted.map(|_| plan.scratch(line.len()));
    let launch = line.launch(
        kernel!(element, "norm_rows_backward"),
        kernel!(element, "norm_lines_backward"),
        &args![gy, gx, normal],
    )?;
    let with = affine.map(|affine| (affine, Some(weight), None));
    plan.launches.push(launch.with(line.args(x, with)?));
    if let (Some(affine), Some(normal)) = (wanted, normal) {
        let outer = line.len() / (affine.channels * affine.repeat);
        let kernel = kernel!(element, "norm_affine_grad");
        let launch = Launch::new(Module::Norm, kernel, [affine.channels, 1, 1])?;
        plan.launches.push(launch.with(args![
            gy,
            normal,
            g_weight,
            g_bias,
            long("outer", outer)?,
            long("channels", affine.channels)?,
            long("repeat", affine.repeat)?
        ]));
    }
    Ok(plan)
}
