//! Bilinear resize: `out.{input}_to_{size}` with half-pixel centres, `..._tf1` as TensorFlow 1.

use domex_ops::{Resize, resize};

use crate::{Case, Result, computed::Computed};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for (name, _) in case.with_prefix("out.") {
        let (job, mode) = match name.strip_suffix("_tf1") {
            Some(job) => (job, Resize::BilinearTf1),
            None => (name, Resize::Bilinear),
        };
        // An output with another sort of name is left unanswered, which the report says.
        let Some((input, size)) = job.rsplit_once("_to_") else {
            continue;
        };
        let Some((height, width)) = parse_size(size) else {
            continue;
        };
        computed.out(name, resize(case.input(input)?, height, width, mode)?);
    }
    Ok(computed)
}

/// `61` or `61x40` (height first).
fn parse_size(text: &str) -> Option<(usize, usize)> {
    match text.split_once('x') {
        Some((h, w)) => Some((h.parse().ok()?, w.parse().ok()?)),
        None => text.parse().ok().map(|n| (n, n)),
    }
}
