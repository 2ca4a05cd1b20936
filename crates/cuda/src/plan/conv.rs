//! Convolutions, their gradients, and what modulation adds.

use domex_kernels::{conv::ConvShape, epilogue::EpilogueShape};

use super::{Epilogue, operands};
use crate::{
    Arg, Buffer, Launch, Plan, Result,
    launch::{args, int, long},
    modules::Module,
};

/// Rows and columns of a block's tile: `TILE` of `kernels/conv.cu`.
const TILE: usize = 64;
/// Terms of a slice: `SLICE` there.
const SLICE: usize = 16;
/// Blocks that a card works on at once, about; the terms of a weight's gradient are shared out among as many.
const BLOCKS: usize = 256;
/// Terms that a block of a weight's gradient should have at least, for its own sum to be worth adding up.
const TERMS: usize = 512;
/// Input channels that the demodulation takes at most: their sums stand in the shared memory that every card grants.
pub const MOST_CHANNELS: usize = 12_000;

/// What is done to input and output of a convolution on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused {
    /// Factors of the input `[n, c_in]`: StyleGAN2's modulation.
    pub style: Option<Buffer>,
    /// What follows; its `scale` is the demodulation.
    pub epilogue: Epilogue,
}

impl Fused {
    /// Nothing.
    pub const NONE: Self = Self {
        style: None,
        epilogue: Epilogue::NONE,
    };
}

/// Operands: x, weights, y, then those that `fused` names.
///
/// # Errors
///
/// Sizes that do not fit each other, or the kernels' counters.
pub fn conv_forward(s: &ConvShape, fused: &Fused) -> Result<Plan> {
    let [x, weights, y] = operands();
    let sizes = sizes(s)?;
    let pixels = s.out_h() * s.out_w();
    let shape = EpilogueShape {
        n: s.n,
        channels: s.c_out,
        pixels,
    };
    fused.epilogue.check(&shape, s.y_len())?;
    let mut plan = Plan::new(3 + usize::from(fused.style.is_some()) + fused.epilogue.operands());
    let grid = [(s.n * pixels).div_ceil(TILE), s.c_out.div_ceil(TILE), 1];
    plan.launches.push(
        Launch::new(Module::Conv, "conv_forward", grid)?
            .with(args![x, weights, fused.style, y])
            .with(sizes)
            .with(fused.epilogue.args()),
    );
    Ok(plan)
}

/// The gradient of the input, which is the transposed convolution. Operands: weights, gy, gx.
///
/// # Errors
///
/// As [`conv_forward`].
pub fn conv_grad_input(s: &ConvShape) -> Result<Plan> {
    let [weights, gy, gx] = operands();
    let sizes = sizes(s)?;
    let mut plan = Plan::new(3);
    // The largest phase; see the kernel.
    let columns = s.n * s.h.div_ceil(s.stride) * s.w.div_ceil(s.stride);
    let grid = [
        columns.div_ceil(TILE),
        s.c_in.div_ceil(TILE),
        s.stride.saturating_mul(s.stride),
    ];
    plan.launches.push(
        Launch::new(Module::Conv, "conv_grad_input", grid)?
            .with(args![weights, gy, gx])
            .with(sizes),
    );
    Ok(plan)
}

/// The gradient of the weights. Operands: x, gy, gw.
///
/// # Errors
///
/// As [`conv_forward`].
pub fn conv_grad_weight(s: &ConvShape) -> Result<Plan> {
    let [x, gy, gw] = operands();
    let sizes = sizes(s)?;
    int("columns", s.c_in.saturating_mul(s.kh).saturating_mul(s.kw))?;
    let mut plan = Plan::new(3);
    let terms = s.n * s.out_h() * s.out_w();
    let tiles = [
        (s.c_in * s.kh * s.kw).div_ceil(TILE),
        s.c_out.div_ceil(TILE),
    ];
    // By the sizes alone, so that the same sizes give the same bits on every card.
    let wanted = BLOCKS.div_ceil(tiles[0] * tiles[1]);
    let parts = wanted.min(terms.div_ceil(TERMS));
    let share = terms.div_ceil(parts).next_multiple_of(SLICE);
    let parts = terms.div_ceil(share);
    let sums = if parts > 1 {
        plan.scratch(parts * s.w_len())
    } else {
        gw
    };
    plan.launches.push(
        Launch::new(
            Module::Conv,
            "conv_grad_weight",
            [tiles[0], tiles[1], parts],
        )?
        .with(args![x, gy, sums, long("terms", share)?])
        .with(sizes),
    );
    if parts > 1 {
        let launch = Launch::elements(Module::Conv, "sum_parts", s.w_len())?;
        plan.launches.push(launch.with(args![
            sums,
            gw,
            int("parts", parts)?,
            long("weights", s.w_len())?
        ]));
    }
    Ok(plan)
}

/// The factors of demodulation. Operands: weights `[c_out, c_in, taps]`, style `[n, c_in]`, factors `[n, c_out]`.
///
/// # Errors
///
/// More input channels than [`MOST_CHANNELS`].
pub fn demodulation(n: usize, c_in: usize, c_out: usize, taps: usize) -> Result<Plan> {
    let [weights, style, factors] = operands();
    if c_in > MOST_CHANNELS {
        return Err(crate::Error::Size {
            name: "c_in",
            found: c_in,
            most: MOST_CHANNELS,
        });
    }
    let mut plan = Plan::new(3);
    let mut launch = Launch::new(Module::Conv, "demodulation", [c_out, 1, 1])?
        .with(args![weights, style, factors])
        .with(args![
            int("n", n)?,
            int("c_in", c_in)?,
            int("c_out", c_out)?,
            int("taps", taps)?
        ]);
    launch.shared = 4 * c_in as u32;
    plan.launches.push(launch);
    Ok(plan)
}

fn sizes(s: &ConvShape) -> Result<[Arg; 11]> {
    s.check()?;
    // What the kernels add up in ints: a padded row or column, and a position in a phase.
    let padded = |size: usize, k: usize| {
        size.saturating_add(s.padding.saturating_mul(2))
            .saturating_add(k)
    };
    int("padded h", padded(s.h, s.kh).saturating_add(s.stride))?;
    int("padded w", padded(s.w, s.kw).saturating_add(s.stride))?;
    int("a plane", s.h.saturating_mul(s.w))?;
    int("a plane of y", s.out_h().saturating_mul(s.out_w()))?;
    Ok(args![
        int("n", s.n)?,
        int("c_in", s.c_in)?,
        int("h", s.h)?,
        int("w", s.w)?,
        int("c_out", s.c_out)?,
        int("kh", s.kh)?,
        int("kw", s.kw)?,
        int("stride", s.stride)?,
        int("padding", s.padding)?,
        int("out_h", s.out_h())?,
        int("out_w", s.out_w())?,
    ])
}
