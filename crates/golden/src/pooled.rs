//! Parameters after many steps of training, compared all together.
//!
//! Adam moves every parameter by about the learning rate, whatever the size of its gradient. Where
//! a gradient is next to nothing, rounding decides its sign, and a parameter ends up elsewhere. So
//! the page of the trajectory asks that of all entries together at most one in a hundred is off by
//! more than 1e-4, and of each entry only that it is where so many steps can have taken it.

use crate::{
    Case, CaseKind, Kind, Result,
    compare::{Bound, values},
    computed::Computed,
};

/// The share of entries that may be off by more than [`CLOSE`].
const SHARE: f64 = 0.01;
const CLOSE: f64 = 1e-4;

/// Whether a tensor is pooled.
pub(crate) fn holds(name: &str) -> bool {
    let parts = ["out.final.", "out.ema.", "out64.final.", "out64.ema."];
    parts.iter().any(|part| name.starts_with(part))
}

/// The bound of each pooled entry; `None` for a case whose tensors are compared one by one.
pub(crate) fn bound(case: &Case, kind: CaseKind, computed: &Computed) -> Result<Option<Bound>> {
    if kind != CaseKind::ExpansionTrajectory {
        return Ok(None);
    }
    let (mut entries, mut off) = (0usize, 0usize);
    for group in Kind::ALL {
        for (name, want) in case.expected(group).filter(|(name, _)| holds(name)) {
            let want = values(want)?;
            entries += want.len();
            let got = match computed.tensor(name) {
                Some(got) => values(got)?,
                None => Vec::new(),
            };
            let close = got
                .iter()
                .zip(&want)
                .filter(|(g, w)| (*g - *w).abs() <= CLOSE);
            off += want.len() - close.count();
        }
    }
    if off as f64 > SHARE * entries as f64 {
        return Ok(Some(Bound::abs(CLOSE)));
    }
    let number = |name: &str| case.number(name).unwrap_or_default();
    // Without a first moment a step is about lr long; the two sides may part at the first.
    Ok(Some(Bound::abs(
        2.0 * number("/adam/lr") * number("/steps"),
    )))
}
