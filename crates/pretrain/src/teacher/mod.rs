//! The teacher, trained: a text-conditional diffusion model of scenes (`domex_teacher`).
//!
//! Its texts are those of the shown domains, each in many sentences; some samples go without one, so that the difference which
//! a text makes is known (classifier-free guidance, Ho and Salimans 2022, arXiv 2207.12598). It predicts the velocity, whose
//! mean square is the loss.

mod job;
mod texts;

pub use job::{TeacherConfig, TeacherJob};
pub use texts::Texts;

use domex_teacher::{Config, Network};

use crate::Result;
use crate::init::{Begin, Tensors, draw};

/// First weights: norms are 1 and 0, and what ends a residual block, an attention and the network is 0, so that a fresh network
/// predicts 0.
///
/// # Errors
///
/// A configuration out of range.
pub fn init(config: &Config, seed: u64) -> Result<Tensors> {
    const NORMS: [&str; 4] = ["in_layers.0", "out_layers.0", "norm", "out.0"];
    const ENDS: [&str; 3] = ["out_layers.3", "proj_out", "out.2"];
    let rule = |name: &str, shape: &[usize]| {
        let (layer, part) = name.rsplit_once('.').unwrap_or((name, ""));
        let is = |places: &[&str]| {
            let same = |place: &str| layer == place || layer.ends_with(&format!(".{place}"));
            places.iter().any(|place| same(place))
        };
        match part {
            "weight" if is(&NORMS) => Begin::Constant(1.0),
            "weight" if !is(&ENDS) => Begin::scaled(1.0, shape),
            _ => Begin::Constant(0.0),
        }
    };
    draw(seed, rule, |vb| Network::new(vb, config))
}
