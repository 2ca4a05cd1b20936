//! StyleGAN2 as a generator that can be expanded.
//!
//! [`StyleGan2`] implements [`domex_expand::Trainee`]. Three generators stand side by side: the live one, its moving average
//! and the source. The synthesis network is what can be trained: the mapping network decides which latents occur, and stays.
//! Everything begins at the averaged weights, the ones that people make pictures with, so those are what is preserved.
//!
//! With a discriminator and pictures of the source domain, each step also trains on that domain ([`SourceConfig`]), on the
//! base subspace as published:
//!
//! | phase | when | what moves |
//! | --- | --- | --- |
//! | generator, on the base subspace | at every step | what the expansion trains |
//! | path length, on plain latents with style mixing | every k-th step, k times as strong | the same |
//! | discriminator, on the base subspace | at every step | the discriminator |
//! | R1 | every k-th step, k times as strong | the discriminator |
//!
//! Noise is fresh for base, edited and source pictures, as published.

pub mod adversarial;
mod networks;
mod phase;
mod phases;
mod settings;
mod trainee;

pub use networks::{Adversary, Reals, activations};
pub use phase::Phase;
pub use settings::{SETTINGS, SourceConfig};
pub use trainee::{DISTANCE, StyleGan2};
