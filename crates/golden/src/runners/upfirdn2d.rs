//! Upsample, FIR filter, downsample: outputs, and the gradient for the input.

use domex_ops::{UpFirDn, downsample2d, filter2d, upfirdn2d, upsample2d};
use serde::Deserialize;

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

#[derive(Deserialize)]
struct Config {
    cases: Vec<Sub>,
}

#[derive(Deserialize)]
struct Sub {
    op: String,
    filter: Option<String>,
    up: Factors<usize>,
    down: Factors<usize>,
    padding: Factors<i64>,
    #[serde(default)]
    flip_filter: bool,
    gain: f64,
}

/// One number for all, or a list in the order x, y (x0, x1, y0, y1 for the padding).
#[derive(Deserialize)]
#[serde(untagged)]
enum Factors<T> {
    One(T),
    Many(Vec<T>),
}

impl<T: Copy> Factors<T> {
    /// The factors for x and y.
    fn pair(&self) -> Option<[T; 2]> {
        match self {
            Self::One(n) => Some([*n; 2]),
            Self::Many(list) => match list[..] {
                [n] => Some([n; 2]),
                [x, y] => Some([x, y]),
                _ => None,
            },
        }
    }

    /// The padding on each side: one number, one per direction, or one per side.
    fn sides(&self) -> Option<[T; 4]> {
        match self {
            Self::Many(list) if list.len() == 4 => Some([list[0], list[1], list[2], list[3]]),
            _ => self.pair().map(|[x, y]| [x, x, y, y]),
        }
    }
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for (i, sub) in case.config::<Config>()?.cases.iter().enumerate() {
        let malformed = |what: &str| case.malformed(format!("cases[{i}].{what}"));
        let filter = match &sub.filter {
            Some(name) => Some(case.input(&format!("filter.{name}"))?),
            None => None,
        };
        let [up_x, up_y] = sub.up.pair().ok_or_else(|| malformed("up"))?;
        let [down_x, down_y] = sub.down.pair().ok_or_else(|| malformed("down"))?;
        let padding = sub.padding.sides().ok_or_else(|| malformed("padding"))?;
        let (flip, gain) = (sub.flip_filter, sub.gain);
        let x = var(case.input(&format!("{i}.x"))?)?;
        let y = match (sub.op.as_str(), filter) {
            ("upfirdn2d", filter) => upfirdn2d(
                &x,
                filter,
                &UpFirDn {
                    up: [up_x, up_y],
                    down: [down_x, down_y],
                    padding,
                    flip_filter: flip,
                    gain,
                },
            )?,
            ("upsample2d", Some(_)) if up_x == up_y => {
                upsample2d(&x, filter, up_x, padding, flip, gain)?
            }
            ("downsample2d", Some(_)) if down_x == down_y => {
                downsample2d(&x, filter, down_x, padding, flip, gain)?
            }
            ("filter2d", Some(_)) => filter2d(&x, filter, padding, flip, gain)?,
            (op, _) => {
                return Err(malformed(&format!(
                    "op: {op:?} with this filter and these factors is not known"
                )));
            }
        };
        let grads = dot(&y, case.input(&format!("{i}.R"))?)?.backward()?;
        computed.out(format_args!("{i}.y"), y);
        computed.grad(format_args!("{i}.x"), &grads, &x)?;
    }
    Ok(computed)
}
