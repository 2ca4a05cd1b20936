//! What follows a convolution: demodulation, noise, bias, activation, gain, clamp.

use domex_kernels::{Activation, epilogue::EpilogueShape};

use super::operands;
use crate::{
    Arg, Buffer, Element, Launch, Plan, Result,
    launch::{args, int, kernel, long},
    modules::Module,
};

/// Blocks that keep a card busy, about, among which a backward pass shares out large planes.
const BLOCKS: usize = 1024;
/// Pixels that such a block should have at least.
const PIXELS: usize = 4096;

/// The noise of an epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// `[n, pixels]`.
    Each(Buffer),
    /// `[pixels]`, for all images.
    Shared(Buffer),
}

/// What is done, and where its small operands are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epilogue {
    /// Demodulation factors `[n, channels]`.
    pub scale: Option<Buffer>,
    /// Noise, with its strength already in it.
    pub noise: Option<Noise>,
    /// Bias `[channels]`.
    pub bias: Option<Buffer>,
    /// The activation.
    pub act: Activation,
    /// Factor after the activation.
    pub gain: f64,
    /// The result stays within ± this.
    pub clamp: Option<f64>,
}

impl Epilogue {
    /// Nothing.
    pub const NONE: Self = Self {
        scale: None,
        noise: None,
        bias: None,
        act: Activation::Linear,
        gain: 1.0,
        clamp: None,
    };

    /// How many operands it names.
    pub(crate) fn operands(&self) -> usize {
        usize::from(self.scale.is_some())
            + usize::from(self.noise.is_some())
            + usize::from(self.bias.is_some())
    }

    /// Refuses planes that do not make up `len` elements, and counts that the kernels cannot hold.
    pub(crate) fn check(&self, s: &EpilogueShape, len: usize) -> Result<()> {
        s.check()?;
        int("channels", s.channels)?;
        int("planes", s.n.saturating_mul(s.channels))?;
        if s.n * s.channels * s.pixels != len {
            return Err(crate::Error::Shape(domex_kernels::Error::Length {
                operator: "epilogue",
                name: "x",
                shape: format!("{s:?}"),
                expected: s.n * s.channels * s.pixels,
                found: len,
            }));
        }
        Ok(())
    }

    pub(crate) fn args(&self) -> [Arg; 8] {
        let (noise, shared) = match self.noise {
            None => (None, 0),
            Some(Noise::Each(buffer)) => (Some(buffer), 0),
            Some(Noise::Shared(buffer)) => (Some(buffer), 1),
        };
        let (act, alpha) = number(self.act);
        let limit = self.clamp.map_or(f32::INFINITY, |limit| limit as f32);
        args![
            self.scale,
            noise,
            self.bias,
            shared,
            act,
            alpha,
            self.gain as f32,
            limit
        ]
    }
}

/// The activation's number in `kernels/epilogue.cuh`, and its slope below zero.
fn number(act: Activation) -> (i32, f32) {
    match act {
        Activation::Linear => (0, 0.0),
        Activation::Lrelu { alpha } => (1, alpha as f32),
        Activation::Swish => (2, 0.0),
        Activation::Gelu => (3, 0.0),
        Activation::QuickGelu => (4, 0.0),
    }
}

/// Operands: x and y `[n, channels, pixels]`, then those that `epilogue` names.
///
/// # Errors
///
/// Sizes of zero, or beyond the kernels' counters.
pub fn epilogue_forward(s: &EpilogueShape, epilogue: &Epilogue, element: Element) -> Result<Plan> {
    let [x, y] = operands();
    let len = s.n * s.channels * s.pixels;
    epilogue.check(s, len)?;
    let mut plan = Plan::new(2 + epilogue.operands());
    let launch = Launch::elements(Module::Epilogue, kernel!(element, "epilogue_forward"), len)?;
    plan.launches.push(
        launch
            .with(args![
                x,
                y,
                long("x", len)?,
                int("channels", s.channels)?,
                long("pixels", s.pixels)?
            ])
            .with(epilogue.args()),
    );
    Ok(plan)
}

/// The gradient of the activation's argument. Operands: x, gy, gz `[n, channels, pixels]`, then those that `epilogue` names.
///
/// # Errors
///
/// As [`epilogue_forward`].
pub fn epilogue_slope(s: &EpilogueShape, epilogue: &Epilogue, element: Element) -> Result<Plan> {
    let [x, gy, gz] = operands();
    let len = s.n * s.channels * s.pixels;
    epilogue.check(s, len)?;
    let mut plan = Plan::new(3 + epilogue.operands());
    let launch = Launch::elements(Module::Epilogue, kernel!(element, "epilogue_slope"), len)?;
    plan.launches.push(
        launch
            .with(args![
                x,
                gy,
                gz,
                long("x", len)?,
                int("channels", s.channels)?,
                long("pixels", s.pixels)?
            ])
            .with(epilogue.args()),
    );
    Ok(plan)
}

/// Operands: x, gy, gx `[n, channels, pixels]`; of the gradients of scale `[n, channels]`, of bias `[channels]` and of noise (as the
/// noise) those that `wanted` asks for, in this order; then those that `epilogue` names. A gradient can be had of a part that is absent:
/// of a bias of zeros, say.
///
/// # Errors
///
/// As [`epilogue_forward`].
pub fn epilogue_backward(
    s: &EpilogueShape,
    epilogue: &Epilogue,
    wanted: [bool; 3],
    element: Element,
) -> Result<Plan> {
    let [x, gy, gx] = operands();
    let mut count = 3;
    let [g_scale, g_bias, g_noise] = wanted.map(|wanted| {
        count += usize::from(wanted);
        wanted.then(|| Buffer(count - 1))
    });
    epilogue.check(s, s.n * s.channels * s.pixels)?;
    let mut plan = Plan::new(count + epilogue.operands());
    let (n, channels) = (int("n", s.n)?, int("channels", s.channels)?);
    let pixels = long("pixels", s.pixels)?;
    // By the sizes alone, so that the same sizes give the same bits on every card.
    let planes = s.n * s.channels;
    let parts = BLOCKS.div_ceil(planes).min(s.pixels.div_ceil(PIXELS));
    let share = s.pixels.div_ceil(parts);
    // Rows of sums, [planes] or [channels] each, of which a gradient is made.
    let rows = [parts, parts * s.n];
    let at_once = |rows: usize| rows == 1 && element == Element::F32;
    let mut sums = |grad: Option<Buffer>, rows: usize| match at_once(rows) {
        true => grad,
        false => grad.map(|_| plan.scratch(parts * planes)),
    };
    let (scale_sums, bias_sums) = (sums(g_scale, rows[0]), sums(g_bias, rows[1]));
    let blocks = kernel!(element, "epilogue_backward");
    let blocks = Launch::new(Module::Epilogue, blocks, [planes, parts, 1])?;
    plan.launches.push(
        blocks
            .with(args![x, gy, gx, scale_sums, bias_sums])
            .with(args![long("share", share)?, channels, pixels])
            .with(epilogue.args()),
    );
    for (sums, grad, rows, len) in [
        (scale_sums, g_scale, rows[0], planes),
        (bias_sums, g_bias, rows[1], s.channels),
    ] {
        if grad.is_some() && !at_once(rows) {
            let kernel = kernel!(element, "epilogue_sum_grad");
            let launch = Launch::elements(Module::Epilogue, kernel, len)?;
            plan.launches.push(launch.with(args![
                sums,
                grad,
                int("rows", rows)?,
                int("sums", len)?
            ]));
        }
    }
    if let Some(g_noise) = g_noise {
        let len = match epilogue.noise {
            Some(Noise::Shared(_)) => s.pixels,
            _ => s.n * s.pixels,
        };
        let kernel = kernel!(element, "epilogue_noise_grad");
        let launch = Launch::elements(Module::Epilogue, kernel, len)?;
        plan.launches.push(
            launch
                .with(args![x, gy, g_noise, n, channels, pixels])
                .with(epilogue.args()),
        );
    }
    Ok(plan)
}
