//! DEGAN: a domain from one picture in one pass, as offsets in StyleSpace (MACderRu/gan-domain-adaptation), and StyleDomain,
//! the directions and parametrisations it builds on (Alanov et al. 2023, arXiv 2212.10229).
//!
//! - [`Encoder`]: a vision transformer whose last blocks each give the offsets of one resolution, 9088 numbers at 1024²;
//!   [`layout`] reads published weights of its backbone, [`mod@file`] reads and writes a trained one;
//! - [`stylespace`]: which styles there are, and offsets to them;
//! - [`styledomain`]: a generator with what StyleDomain trains for a domain in its weights;
//! - [`VggLoss`]: likeness of features and of styles; [`FadeIn`]: offsets that come in slowly.
//!
//! What this crate deliberately is not: it knows no CLIP model and no loss on its embeddings (`domex_nada` has them), and
//! trains nothing.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_degan::{Config, Encoder};
//!
//! let config = Config { image_size: 32, patch_size: 8, num_layers: 3, num_heads: 2, hidden_dim: 16, mlp_dim: 32,
//!     domain_dims_per_resolution: vec![vec![6, 6], vec![6, 4, 4]] };
//! // Zeros stand in for weights.
//! let encoder = Encoder::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), &config)?;
//! let pictures = Tensor::zeros((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! let offsets = encoder.forward(&encoder.preprocess(&pictures)?)?;
//! assert_eq!(offsets.len(), 5);
//! assert_eq!(offsets[4].dims(), [2, 4]);
//! # Ok::<(), domex_degan::Error>(())
//! ```

mod encoder;
mod error;
mod fade_in;
pub mod file;
pub mod layout;
pub mod styledomain;
pub mod stylespace;
mod vgg;

pub use encoder::{Config, Encoder};
pub use error::{Error, Result};
pub use fade_in::FadeIn;
pub use vgg::{VggConfig, VggLoss};
