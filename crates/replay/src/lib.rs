//! Replay: what keeps a generator what it was while it learns something new.
//!
//! Replay alignment ([`alignment()`]) holds the pictures of the base subspace where a frozen source
//! has them, [`diversity()`] keeps the pictures of a domain apart, and [`correspondence()`] keeps them as unlike each other as
//! those of the source. All work on pictures, of any
//! generator.
//!
//! Deliberately not here: the generators, random draws, what a domain is trained towards. The
//! adversarial phases of the source domain are `domex_gan`.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_latent::PixelRms;
//! use domex_replay::{AlignmentConfig, alignment};
//!
//! let source = Tensor::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu)?;
//! let pictures = (&source + 0.5)?;
//! let config = AlignmentConfig { l2: 10.0, lpips: 1.0 };
//! let found = alignment(&pictures, &source, Some(&PixelRms), &config)?;
//! assert_eq!(found.loss.to_scalar::<f32>()?, 10.0 * 0.25 + 0.5);
//! # Ok::<(), domex_replay::Error>(())
//! ```

pub mod alignment;
pub mod correspondence;
pub mod diversity;
mod error;

pub use alignment::{Alignment, AlignmentConfig, Perceptual, Recomputed, alignment};
pub use correspondence::correspondence;
pub use diversity::diversity;
pub use error::{Error, Result};
