//! Networks trained from pictures.
//!
//! [`stylegan2`] trains a generator and its discriminator. The others learn from [`scenes`], pictures whose contents
//! are known: [`judge`] tells domain and factors, [`mod@clip`] matches pictures and words, [`perceptual`] tells how
//! different two pictures look. [`portraits`] has the world and the recipes that ship, and
//! measures with them what a generator makes, before and after an expansion; [`fn@likeness::likeness`] measures any
//! generator against any set of pictures.
//!
//! Deliberately not here: the networks of the generator, CLIP and LPIPS themselves, the engine of a run
//! (`domex_train`), the adversarial losses (`domex_replay`).

pub mod augment;
pub mod clip;
mod error;
pub mod feed;
pub mod init;
pub mod jitter;
pub mod judge;
pub mod likeness;
pub mod losses;
pub mod perceptual;
pub mod portraits;
mod samples;
pub mod scenes;
pub mod stylegan2;
mod trainer;

pub use error::{Error, Result};
pub use trainer::Learning;
