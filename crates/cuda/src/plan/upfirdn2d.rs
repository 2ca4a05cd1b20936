//! Resampling with a filter, alone or with an epilogue.

use domex_kernels::{epilogue::EpilogueShape, upfirdn::UpFirDnShape};

use super::{Epilogue, operands};
use crate::{
    Arg, Element, Launch, Plan, Result,
    launch::{args, int, kernel, long},
    modules::Module,
};

/// The taps `[fh, fw]` as the kernels take them, from the filter `[fh, fw]`: in the order of a correlation, with the gain in them.
#[must_use]
pub fn taps(s: &UpFirDnShape, filter: &[f64]) -> Vec<f32> {
    let mut taps: Vec<f32> = filter.iter().map(|f| (f * s.gain) as f32).collect();
    if !s.flip {
        taps.reverse();
    }
    taps
}

/// Operands: x `[planes, h, w]`, [`taps`], which are float32, y `[planes, out_h, out_w]`.
///
/// # Errors
///
/// Sizes that do not fit each other, or the kernels' counters.
pub fn upfirdn2d(s: &UpFirDnShape, element: Element) -> Result<Plan> {
    let [x, taps, y] = operands();
    let mut plan = Plan::new(3);
    let (first, rest) = common(s)?;
    let kernel = kernel!(element, "upfirdn2d");
    let launch = Launch::elements(Module::Upfirdn2d, kernel, len(s))?;
    plan.launches
        .push(launch.with(args![x, taps, y]).with(first).with(rest));
    Ok(plan)
}

/// The same, and the epilogue of planes `[n, channels]`. Operands: x, taps, y, then those that `epilogue` names. With `floats` x and the
/// latter are float32 whatever y is.
///
/// # Errors
///
/// As [`upfirdn2d`]; planes of another number or size.
pub fn upfirdn2d_epilogue(
    s: &UpFirDnShape,
    e: &EpilogueShape,
    epilogue: &Epilogue,
    element: Element,
    floats: bool,
) -> Result<Plan> {
    let [x, taps, y] = operands();
    let (first, rest) = common(s)?;
    epilogue.check(e, len(s))?;
    let mut plan = Plan::new(3 + epilogue.operands());
    let kernel = match floats {
        false => kernel!(element, "upfirdn2d_epilogue"),
        true => element.of([
            "upfirdn2d_epilogue_f32",
            "upfirdn2d_epilogue_f32_f16",
            "upfirdn2d_epilogue_f32_bf16",
        ]),
    };
    let launch = Launch::elements(Module::Upfirdn2d, kernel, len(s))?;
    plan.launches.push(
        launch
            .with(args![x, taps, y])
            .with(first)
            .with(rest)
            .with(args![int("channels", e.channels)?])
            .with(epilogue.args()),
    );
    Ok(plan)
}

fn len(s: &UpFirDnShape) -> usize {
    s.planes * s.out_h() * s.out_w()
}

fn common(s: &UpFirDnShape) -> Result<([Arg; 3], [Arg; 10])> {
    s.check()?;
    let of = |name, size| int(name, size);
    // The kernels add rows, taps and paddings in ints.
    of("h · up", s.h.saturating_mul(s.up[1]))?;
    of("w · up", s.w.saturating_mul(s.up[0]))?;
    of(
        "out_h · down",
        s.out_h().saturating_mul(s.down[1]).saturating_add(s.fh),
    )?;
    of(
        "out_w · down",
        s.out_w().saturating_mul(s.down[0]).saturating_add(s.fw),
    )?;
    let pad = |p: i64| of("padding", p.unsigned_abs() as usize).map(|_| p as i32);
    Ok((
        args![
            long("y", len(s))?,
            of("out_h", s.out_h())?,
            of("out_w", s.out_w())?
        ],
        args![
            of("h", s.h)?,
            of("w", s.w)?,
            of("fh", s.fh)?,
            of("fw", s.fw)?,
            of("up", s.up[0])?,
            of("up", s.up[1])?,
            of("down", s.down[0])?,
            of("down", s.down[1])?,
            pad(s.padding[0])?,
            pad(s.padding[2])?,
        ],
    ))
}
