//! StyleGAN2 generator and discriminator, from their published checkpoints.
//!
//! The networks of *Analyzing and Improving the Image Quality of StyleGAN* (Karras et al. 2020,
//! arXiv 1912.04958), in numeric agreement with stylegan2-ada-pytorch, at any resolution from 4²
//! to 1024² and beyond, for inference and for training:
//!
//! - [`Model`] loads a checkpoint of any published kind and saves the program's container;
//! - [`Generator`] is [`Mapping`] (noise and label to w, truncation, running mean) and
//!   [`Synthesis`] (w to a picture; noise; StyleSpace codes out and in; changes of single layers by
//!   [modulators](domex_latent::modulation)), and implements [`domex_latent::Generator`];
//! - [`Discriminator`] in all three architectures, conditional too;
//! - [`init`] draws random weights as the published code does;
//! - [`GeneratorConfig`] and [`DiscriminatorConfig`] are deduced from names and shapes, read from
//!   published keyword arguments, or written by hand.
//!
//! ```
//! use domex_stylegan2::{GeneratorConfig, Model, Noise, Truncation};
//! # use candle_core::{DType, Device, Tensor};
//! // With a checkpoint: Model::load("ffhq.pkl", &Device::Cpu)?
//! let model = Model::random(&GeneratorConfig::tiny(), 0, &Device::Cpu)?;
//! let generator = model.generator();
//!
//! let z = Tensor::ones((1, 64), DType::F32, &Device::Cpu)?;
//! let ws = generator.latents(&z, None, Truncation::psi(0.7))?; // one row per layer
//! let picture = generator.synthesis().forward(&ws, Noise::Const)?; // [n, c, h, w] in [-1, 1]
//! assert_eq!(picture.dims(), [1, 3, 64, 64]);
//!
//! // The same picture, by way of its StyleSpace code.
//! let styles = generator.synthesis().styles(&ws)?;
//! assert_eq!(styles[0].0, "b4.conv1");
//! let again = generator.synthesis().forward_styles(&styles, Noise::Const)?;
//! assert_eq!((picture - again)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
//! # Ok::<(), domex_stylegan2::Error>(())
//! ```
//!
//! Tensors have the published `state_dict` keys of stylegan2-ada-pytorch. Weights are stored as
//! trained and scaled in the forward pass, so a network built on variables follows an optimizer,
//! and no gradient is computed for a weight that is none. See [`weights`] for how names are
//! checked and parameters become variables.
//!
//! Deliberately not here: a training loop, losses and augmentation; the maths of the latent space
//! (`domex_latent`); the reading of file formats (`domex_checkpoint`); pictures as files
//! (`domex_data`).

mod activations;
mod block;
pub mod config;
mod conv;
mod deduce;
pub mod dense;
mod discriminator;
mod epilogue;
mod error;
mod generator;
pub mod init;
pub mod kwargs;
mod layer;
pub mod layout;
pub mod mapping;
pub mod model;
mod modulation;
pub mod noise;
mod precision;
mod region;
mod resample;
mod style_mixing;
pub mod synthesis;
pub mod weights;

pub use activations::Activations;
pub use config::{
    Architecture, Demodulation, DiscriminatorConfig, GeneratorConfig, MappingConfig,
    SynthesisConfig,
};
pub use discriminator::Discriminator;
pub use domex_checkpoint::container::Overwrite;
pub use error::{Error, Result, expect_dims};
pub use generator::{Generator, MEAN_SAMPLES};
pub use mapping::{Mapping, Truncation};
pub use model::{Model, Program};
pub use modulation::normalised_kernels;
pub use noise::{Noise, NoiseMode};
pub use precision::Precision;
pub use style_mixing::{replace_rows, style_mixing};
pub use synthesis::{BlockOutput, Synthesis};
pub use weights::{Kind, Spec, Tensors, Vars};
