//! Attention of several heads.

use domex_kernels::attention::AttentionShape;

use super::operands;
use crate::{
    Arg, Buffer, Element, Launch, Plan, Result,
    launch::{args, int, kernel},
    modules::Module,
};

/// Channels of a head that the kernels take at most: `DEEPEST` of `kernels/attention.cu`.
pub const DEEPEST: usize = 128;
/// Warps of a block there, and queries or keys that a block takes.
const WARPS: usize = 4;

/// Operands: q, k, v, y.
///
/// # Errors
///
/// Sizes that do not fit each other; heads deeper than [`DEEPEST`].
pub fn attention(s: &AttentionShape, element: Element) -> Result<Plan> {
    let [q, k, v, y] = operands();
    let mut plan = Plan::new(4);
    let level = plan.scratch(s.n * s.heads * s.queries);
    plan.launches
        .push(forward(s, [q, k, v, y, level], element)?);
    Ok(plan)
}

/// Operands: q, k, v, gy, gq, gk, gv. y is computed anew.
///
/// # Errors
///
/// As [`attention`].
pub fn attention_backward(s: &AttentionShape, element: Element) -> Result<Plan> {
    let [q, k, v, gy, gq, gk, gv] = operands();
    let mut plan = Plan::new(7);
    let lines = s.n * s.heads * s.queries;
    let y = plan.scratch_bytes(element.bytes() * s.q_len());
    let [level, slope] = [(); 2].map(|()| plan.scratch(lines));
    plan.launches
        .push(forward(s, [q, k, v, y, level], element)?);
    plan.launches.push(launch(
        s,
        kernel!(element, "attention_grad_queries"),
        s.queries,
        &args![q, k, v, y, gy, level, gq, slope],
    )?);
    plan.launches.push(launch(
        s,
        kernel!(element, "attention_grad_keys"),
        s.keys,
        &args![q, k, v, gy, level, slope, gk, gv],
    )?);
    Ok(plan)
}

fn forward(s: &AttentionShape, buffers: [Buffer; 5], element: Element) -> Result<Launch> {
    let kernel = kernel!(element, "attention_forward");
    launch(s, kernel, s.queries, &buffers.map(Arg::from))
}

fn launch(
    s: &AttentionShape,
    kernel: &'static str,
    tokens: usize,
    first: &[Arg],
) -> Result<Launch> {
    s.check()?;
    if s.depth > DEEPEST {
        return Err(crate::Error::Size {
            name: "the depth of a head",
            found: s.depth,
            most: DEEPEST,
        });
    }
    let grid = [tokens.div_ceil(WARPS), s.n * s.heads, 1];
    let mut launch = Launch::new(Module::Attention, kernel, grid)?
        .with(first.iter().copied())
        .with(args![
            int("queries", s.queries)?,
            int("keys", s.keys)?,
            int("heads", s.heads)?,
            int("depth", s.depth)?,
            i32::from(s.causal),
            (s.depth as f64).sqrt().recip() as f32
        ]);
    launch.threads = 32 * WARPS as u32;
    Ok(launch)
}
