//! Networks trained from pictures.
//!
//! [`stylegan2`] trains a generator and its discriminator, [`diffae`] a diffusion autoencoder and its latent prior, [`encoder`] what finds a generator's
//! latents again. The others learn from [`scenes`], pictures whose contents
//! are known: [`judge`] tells domain and factors, [`mod@clip`] matches pictures and words, [`perceptual`] tells how
//! different two pictures look, [`teacher`] draws what a text says, [`hyperdomain`] makes domains of texts for a frozen generator, [`degan`] of pictures. [`portraits`] has the world and the recipes that ship, and tries contrastive models out.
//!
//! Deliberately not here: the networks of the generator, CLIP, LPIPS and the judge themselves, the engine of a run
//! (`domex_train`), the adversarial losses (`domex_gan`), what a generator makes, measured (`domex_eval`).

pub mod clip;
pub mod degan;
pub mod diffae;
mod domains;
pub mod encoder;
mod error;
pub mod feed;
pub mod hyperdomain;
pub mod init;
pub mod jitter;
pub mod judge;
pub mod losses;
mod order;
pub mod perceptual;
pub mod portraits;
pub mod scenes;
pub mod stylegan2;
pub mod teacher;
mod trainer;

pub use error::{Error, Result};
pub use trainer::Learning;
