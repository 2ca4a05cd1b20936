//! A diffusion model as teacher: translate, then teach.
//!
//! A picture that a generator makes is changed from what the source text says to what the target text says
//! ([`Translator::translate`]). What comes out keeps the person and is in the domain: a *target* for the edited latent of the
//! same base latent. [`targets`] makes them for a batch of pictures, leaves out those that are least in the domain, and keeps
//! them on disk, since they are dear and the same in every run. The teacher is a model of this project or Stable Diffusion.
//!
//! Deliberately not here: the networks ([`domex_teacher`], [`domex_stable_diffusion`], [`domex_clip`]), latents, and the loss that holds edited pictures to
//! their targets.

mod error;
mod targets;
mod translator;

pub use domex_stable_diffusion::Folder;
pub use domex_teacher::{KIND, Translation, Way};
pub use error::{Error, Result};
pub use targets::{Request, Targets, targets};
pub use translator::{Pace, Stopped, Translator};
