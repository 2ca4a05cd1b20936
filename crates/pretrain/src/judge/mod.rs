//! The judge, trained: a classifier of a scene's domain and factors (`domex_judge`).
//!
//! Some of the pictures are of [no domain](Nones), which is a class of its own: a classifier that must choose among domains
//! finds one in anything.
//!
//! Training shows it jittered pictures (noise, blur, shifts, colours), so that it judges what a picture shows and not
//! its statistics.

mod job;
mod measure;
mod none;

pub use job::{JudgeConfig, JudgeJob};
pub use measure::{Scores, loss, measure};
pub use none::{KINDS, Kind, Nones};

use domex_judge::{Config, Judge};

use crate::Result;
use crate::init::{Begin, Tensors, draw};

/// First weights.
///
/// # Errors
///
/// A configuration out of range.
pub fn init(config: &Config, seed: u64) -> Result<Tensors> {
    let rule = |name: &str, shape: &[usize]| match (name.ends_with(".bias"), name.contains("norm"))
    {
        (true, _) => Begin::Constant(0.0),
        (false, true) => Begin::Constant(1.0),
        (false, false) => Begin::scaled(1.0, shape),
    };
    draw(seed, rule, |vb| Judge::new(vb, config))
}
