//! StyleGAN3 generators (configurations T and R), from their published checkpoints.
//!
//! The networks of *Alias-Free Generative Adversarial Networks* (Karras et al. 2021, arXiv 2106.12423), in numeric agreement with stylegan3, in float32 on
//! every device, with gradients for all operands:
//!
//! - [`Model`] loads a checkpoint of any published kind and saves the program's container;
//! - [`Generator`] is the [mapping network](domex_stylegan2::Mapping) of a StyleGAN2 with fewer layers, and [`Synthesis`] (w to a picture), and implements
//!   [`domex_latent::Generator`];
//! - [`Transform`] shifts and turns pictures;
//! - [`filter`] computes the low-pass filters, [`config`] the layers that follow from the hyper-parameters;
//! - [`init`] draws random weights as the published code does.
//!
//! ```
//! use domex_stylegan2::Truncation;
//! use domex_stylegan3::{GeneratorConfig, Model, Transform};
//! # use candle_core::{DType, Device, Tensor};
//! // With a checkpoint: Model::load("stylegan3-t-ffhq-1024x1024.pkl", &Device::Cpu)?
//! let model = Model::random(&GeneratorConfig::tiny(), 0, &Device::Cpu)?;
//! let mut generator = model.g_ema;
//!
//! let z = Tensor::ones((1, 48), DType::F32, &Device::Cpu)?;
//! let ws = generator.latents(&z, None, Truncation::psi(0.7))?; // one row per layer
//! generator.set_transform(&Transform { translate: [0.1, 0.0], rotate: 10.0 })?;
//! let picture = generator.synthesis().forward(&ws)?; // [n, c, h, w] in [-1, 1]
//! assert_eq!(picture.dims(), [1, 3, 64, 64]);
//! # Ok::<(), domex_stylegan3::Error>(())
//! ```
//!
//! Tensors have the published `state_dict` keys. Weights are scaled in the forward pass, so a network built on variables follows an optimizer.
//!
//! Deliberately not here: the discriminator, which is that of a StyleGAN2 and read by it; a training loop, so nothing moves the magnitudes and the
//! mean; float16.

pub mod config;
mod deduce;
mod derived;
mod error;
pub mod filter;
mod generator;
pub mod init;
mod input;
mod layer;
pub mod model;
mod synthesis;
mod transform;

pub use config::{GeneratorConfig, SynthesisConfig};
pub use domex_checkpoint::container::Overwrite;
pub use error::{Error, Result};
pub use generator::Generator;
pub use model::Model;
pub use synthesis::Synthesis;
pub use transform::Transform;
