//! Max pooling, and its adjoint.

use super::operands;
use crate::{
    Arg, Element, Launch, Plan, Result,
    launch::{args, int, kernel, long},
    modules::Module,
};

/// Sizes of a max pooling. `out_h` and `out_w` say how many windows there are; the last may hang over the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct MaxPool {
    pub planes: usize,
    pub h: usize,
    pub w: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl MaxPool {
    fn args(&self) -> Result<[Arg; 7]> {
        // The kernels add these up in ints.
        let reach = |out: usize| out.saturating_mul(self.stride).saturating_add(self.kernel);
        int("windows", reach(self.out_h).max(reach(self.out_w)))?;
        int("a plane", self.h.saturating_mul(self.w))?;
        Ok(args![
            int("h", self.h)?,
            int("w", self.w)?,
            int("out_h", self.out_h)?,
            int("out_w", self.out_w)?,
            int("kernel", self.kernel)?,
            int("stride", self.stride)?,
            int("padding", self.padding)?
        ])
    }

    fn windows(&self) -> usize {
        self.planes * self.out_h * self.out_w
    }
}

/// Of `values` those at the largest `keys` of each window. Operands: keys, values `[planes, h, w]` (may be one buffer), y `[planes,
/// out_h, out_w]`.
///
/// # Errors
///
/// Sizes beyond the kernels' counters.
pub fn max_pool(s: &MaxPool, element: Element) -> Result<Plan> {
    let [keys, values, y] = operands();
    let mut plan = Plan::new(3);
    let launch = Launch::elements(Module::Pool, kernel!(element, "max_pool"), s.windows())?
        .with(args![keys, values, y, Arg::Null, long("y", s.windows())?])
        .with(s.args()?);
    plan.launches.push(launch);
    Ok(plan)
}

/// Back: each of gy added where its window's largest key is. Operands: keys `[planes, h, w]`, gy `[planes, out_h, out_w]`, gx
/// `[planes, h, w]`.
///
/// # Errors
///
/// As [`max_pool`].
pub fn max_pool_adjoint(s: &MaxPool, element: Element) -> Result<Plan> {
    let [keys, gy, gx] = operands();
    let mut plan = Plan::new(3);
    let places = plan.scratch(s.windows());
    let len = s.planes * s.h * s.w;
    plan.launches = vec![
        Launch::elements(Module::Pool, kernel!(element, "max_pool"), s.windows())?
            .with(args![
                keys,
                Arg::Null,
                Arg::Null,
                places,
                long("y", s.windows())?
            ])
            .with(s.args()?),
        Launch::elements(Module::Pool, kernel!(element, "max_pool_backward"), len)?
            .with(args![gy, places, gx, long("x", len)?])
            .with(s.args()?),
    ];
    Ok(plan)
}
