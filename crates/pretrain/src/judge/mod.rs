//! The judge, trained: a classifier of a scene's domain and factors (`domex_judge`).
//!
//! Training shows it jittered pictures (noise, blur, shifts, colours), so that it judges what a picture shows and not
//! its statistics.

mod job;
mod measure;

pub use job::{JudgeConfig, JudgeJob};
pub use measure::{Scores, loss, measure};

use domex_judge::{Config, Judge};

use crate::Result;
use crate::init::{Begin, Tensors, draw};

/// First weights.
///
/// # Errors
///
/// A configuration out of range.
pub fn init(config: &Config, seed: u64) -> Result<Tensors> {
    let rule = |name: &str, shape: &[usize]| match name.ends_with(".bias") {
        true => Begin::Constant(0.0),
        false => Begin::scaled(1.0, shape),
    };
    draw(seed, rule, |vb| Judge::new(vb, config))
}
