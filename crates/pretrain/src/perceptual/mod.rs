//! A perceptual distance in LPIPS form (`domex_lpips`), trained on a world of known contents.
//!
//! Two things are learnt side by side:
//! - the *backbone*, by telling domain and factors of jittered scenes, as published backbones are
//!   trained to classify;
//! - the *heads*, non-negative weights of its channels, by ordering triplets whose order is known
//!   ([`triplets`]): of a reference, a nearer and a farther picture,
//!   `L = mean softplus(−k log(d_far / d_near))` (Zhang et al. 2018 train a small network on people's choices
//!   here; the ratio needs none). No gradient of it reaches the backbone.
//!
//! A distance of which only the order is given has no unit, so unrelated scenes are held at 0.6 on
//! average, where published distances of unrelated photographs lie; weights of losses carry over.

mod job;
mod measure;
pub mod triplets;

pub use job::{PerceptualConfig, PerceptualJob};
pub use measure::ordered;
