//! HyperDomainNet: a domain as a few thousand numbers, and a network that makes them of an embedding
//! (Alanov et al. 2022, arXiv 2210.08884).
//!
//! - [`modulation`]: what a domain does to the convolutions of a StyleGAN2, in all published forms. Best known is a factor
//!   for each input channel of each 3×3 convolution, 6048 numbers at 1024²;
//! - [`Hypernetwork`]: from the embedding of a text or a picture, of length 1, to such a domain;
//! - [`augment`]: embeddings between and around those of the domains it is trained on, so that it serves others too;
//! - [`file`](mod@file): the network in a container, with the hash of the generator it is for.
//!
//! What this crate deliberately is not: it knows no CLIP model and no loss (`domex_nada` has them), and trains nothing.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_hyperdomain::{Config, Hypernetwork, init, modulation::{self, ModulationKind}};
//! use domex_random::Streams;
//! use domex_stylegan2::{Generator, GeneratorConfig, Noise, Truncation, init as stylegan2};
//!
//! let config = GeneratorConfig::with_defaults(8, 16, 16, 64, 8)?;
//! let weights = stylegan2::generator(&config, 1, DType::F32, &Device::Cpu)?;
//! let generator = Generator::from_tensors(&weights, &config)?;
//! let convolutions = modulation::convolutions(&generator);
//!
//! let config = Config::new(ModulationKind::CinMult, 8, &convolutions);
//! let tensors = init(&config, &mut Streams::new(0).stream("hypernetwork"))?;
//! let vb = VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu);
//! let network = Hypernetwork::new(&vb, &config)?;
//!
//! // The domains of two embeddings, and a picture in each.
//! let embeddings = Tensor::ones((2, 8), DType::F32, &Device::Cpu)?;
//! let domains = network.forward(&embeddings)?;
//! let modulations = modulation::modulations(config.modulation, &convolutions, &domains)?;
//! let z = Tensor::ones((2, 8), DType::F32, &Device::Cpu)?;
//! let ws = generator.latents(&z, None, Truncation::NONE)?;
//! let pictures = generator.synthesis().forward_modulated(&ws, &modulations, Noise::Const)?;
//! assert_eq!(pictures.dims(), [2, 3, 16, 16]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod augment;
mod batch_norm;
mod error;
pub mod file;
pub mod modulation;
mod network;

pub use batch_norm::{Statistics, is_statistic};
pub use error::{Error, Result};
pub use modulation::{Convolution, ModulationKind, Offsets};
pub use network::{Config, Hypernetwork, Tensors, init};
