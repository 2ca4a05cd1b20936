//! An encoder, trained on what its generator makes.
//!
//! Latents are drawn, the generator makes their pictures, and the encoder learns to find the latents again:
//! `mean (ĉ − c)² + perceptual · d(G(ŵ), x) + squares · mean (G(ŵ) − x)²` with coordinates `c` of the latents in standard deviations,
//! the predicted latents `ŵ` and the pictures `x = G(w)`. The two terms of pictures are of a share of a batch: they cost a pass
//! through the generator and back. Of an expanded model the latents are those of the base subspace.
//!
//! A run's ticks write `found….png`: pictures of latents that training has not seen, and of what is found of them.

mod job;
mod latents;

pub use job::{EncoderConfig, EncoderJob};
