//! MyStyle: a person, or any one thing, by a few pictures of it (Nitzan et al. 2022, arXiv 2203.17272).
//!
//! Each picture of a person is brought into the latent space of a generator once; those latents are the person's
//! [`Anchors`]. The generator is then tuned until each anchor gives its picture ([`reconstruction`]), and the space between
//! the anchors shows the person as no picture did:
//!
//! - [`hull`]: points between the anchors, P₀;
//! - [`alpha`]: coordinates in the personal space, and its dilation P_β;
//! - [`project`]: where a picture of the person lies in it, also one with a hole or of few pixels ([`degrade`]), and the hole filled ([`blend`](mod@blend));
//! - [`nearest`](mod@nearest): the point of it nearest to a latent;
//! - [`edit`](mod@edit): steps along a direction that stay in it.
//!
//! What this crate deliberately is not: it knows no generator and no perceptual network, and it trains nothing.
//!
//! ```
//! use candle_core::{DType, Device, Tensor, Var};
//! use domex_latent::PixelRms;
//! use domex_mystyle::{Anchors, reconstruction};
//!
//! // Two pictures' latents, in W+ with equal rows as programs for inversion write them.
//! let codes = Tensor::new(&[[0.0_f32, 1.0], [2.0, 0.5]], &Device::Cpu)?;
//! let codes = codes.unsqueeze(1)?.repeat((1, 4, 1))?;
//! let anchors = Anchors::new(&codes)?.for_pictures(&["anna", "anna at sea"])?;
//! assert_eq!(anchors.latents().dims(), [2, 2]);
//!
//! // What a generator makes of them, and the pictures.
//! let edited = Var::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu)?;
//! let targets = Tensor::full(0.5_f32, (2, 3, 8, 8), &Device::Cpu)?;
//! let loss = reconstruction(&edited, &targets, &PixelRms, 1.0)?;
//! // For each: a distance of 0.5 and a squared difference of 0.25.
//! assert_eq!(loss.per_sample.to_vec1::<f32>()?, [0.75, 0.75]);
//! assert!(loss.total.backward()?.get(&edited).is_some());
//! # Ok::<(), domex_mystyle::Error>(())
//! ```

pub mod alpha;
pub mod anchors;
pub mod blend;
pub mod degrade;
pub mod edit;
mod error;
pub mod hull;
pub mod loss;
pub mod nearest;
pub mod project;

pub use anchors::Anchors;
pub use degrade::Degradation;
pub use error::{Error, Result};
pub use loss::{Loss, reconstruction};
