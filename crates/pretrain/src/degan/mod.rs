//! A domain encoder: pictures of styles in, domains of a frozen generator out, in one pass (MACderRu/gan-domain-adaptation).
//!
//! ```text
//! step    pictures of a few domains → offsets, faded in → other latents of the generator with them → losses
//! tick    how far edits go the way of their pictures, trained and unseen; styles{kimg}.png
//! export  the encoder (domex_degan::file)
//! ```
//!
//! A batch has several pictures of each of its domains ([`Styles`]). Where it is known which latent shows the same as a picture,
//! the offsets of one picture are given to the latent of another one of its domain, and that other picture is what should come
//! out. Where it is not, the latents are drawn, and the losses are those by CLIP and by the features of a VGG.

mod config;
mod job;
mod measure;
mod styles;

pub use config::{DeganConfig, Weights};
pub use job::{DeganJob, Networks};
pub use styles::{PictureStyles, Style, Styles};
