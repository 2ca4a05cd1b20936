//! The Diffusion Autoencoder (Preechakul et al., CVPR 2022, arXiv 2111.15640), from its published checkpoints.
//!
//! A picture is two codes: a semantic one, `z_sem`, that an encoder reads off it, and a stochastic one, the noise `x_T` from which a
//! U-Net conditioned on `z_sem` makes the picture by DDIM. `z_sem` is the latent that the upper floors speak of; a small
//! diffusion of its own makes new ones.
//!
//! - [`Model`] loads a published checkpoint and saves the program's container; it encodes, decodes and generates, and implements
//!   [`domex_latent::Generator`];
//! - [`Autoencoder`] is the networks under their published `state_dict` keys: [`UNet`], [`Encoder`], [`LatentNet`];
//! - [`Config`] is deduced from names and shapes, read from the published keyword arguments, or written by hand;
//! - [`init`] draws random weights as the published code does.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_diffae::{Config, Model};
//!
//! // With a checkpoint: Model::load("last.ckpt", &Device::Cpu)?
//! let model = Model::random(&Config::tiny(), 0, &Device::Cpu)?;
//! let picture = Tensor::zeros((1, 3, 16, 16), DType::F32, &Device::Cpu)?;
//!
//! let z = model.encode(&picture)?; // [1, 32]
//! let x_t = model.encode_noise(&picture, &z, 10)?; // [1, 3, 16, 16]
//! let again = model.decode(&z, &x_t, 10)?;
//! assert_eq!(again.dims(), [1, 3, 16, 16]);
//! # Ok::<(), domex_diffae::Error>(())
//! ```
//!
//! Gradients reach everything: pictures, codes, and the weights where they are variables. Along a chain of sampling steps
//! activations are recomputed step by step ([`domex_ops::recompute()`]), so that its memory hardly grows with its length.
//!
//! Left out on purpose: a training loop; dropout; labels; the classifiers of the publication.

mod autoencoder;
pub mod config;
pub mod deduce;
mod encoder;
mod error;
pub mod init;
mod latent_net;
pub mod model;
mod plan;
mod sequence;
mod unet;
pub mod weights;

pub use autoencoder::Autoencoder;
pub use config::{
    Activation, Config, DiffusionConfig, EncoderConfig, Heads, LatentConfig, Prediction,
    Resampling, UNetConfig,
};
pub use domex_checkpoint::container::Overwrite;
pub use encoder::Encoder;
pub use error::{Error, Result};
pub use latent_net::LatentNet;
pub use model::{Model, Statistics};
pub use unet::UNet;
pub use weights::{Spec, Tensors, Vars};
