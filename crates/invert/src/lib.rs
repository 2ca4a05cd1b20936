//! From a real picture to a latent.
//!
//! [`Projector`] looks for the latents whose pictures are nearest to given ones, by gradient descent as the projector of
//! stylegan2-ada-pytorch does it: in W or W+, on the whole latent space or on a [`Place`] in that of an expanded model.
//! [`tune`] then fine-tunes the generator until the latents give the pictures themselves (pivotal tuning, Roich et al.
//! 2021, arXiv 2106.05744).
//!
//! What this crate deliberately is not: it finds no face, crops nothing, and knows no encoder.
//!
//! ```
//! # use candle_core::{DType, Device, Tensor};
//! # use candle_nn::{VarBuilder, VarMap};
//! use domex_invert::{Config, Projector};
//! # use domex_lpips::{Backbone, Config as LpipsConfig, Lpips};
//! use domex_random::Streams;
//! # use domex_stylegan2::{GeneratorConfig, Model};
//!
//! # let config = GeneratorConfig::with_defaults(8, 16, 16, 64, 8)?;
//! # let model = Model::random(&config, 1, &Device::Cpu)?;
//! # let map = VarMap::new();
//! # let lpips = Lpips::new(&VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu), &LpipsConfig::new(Backbone::Small))?;
//! # let pictures = Tensor::zeros((2, 3, 16, 16), DType::F32, &Device::Cpu)?;
//! // `model` and `lpips` come from files, `pictures: [2, 3, 16, 16]` in [-1, 1] from anywhere.
//! let projector = Projector {
//!     generator: model.generator().into(),
//!     perceptual: &lpips,
//!     place: None,
//!     config: Config { steps: 2, ..Config::default() },
//! };
//! let found = projector.invert(&pictures, &Streams::new(0), &mut |_, _| {})?;
//! assert_eq!(found.latents.dims(), [2, 6, 16]); // W+
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod config;
mod error;
pub mod file;
mod likeness;
mod noise;
pub mod place;
pub mod projector;
pub mod tuning;

pub use config::{Config, Space};
pub use error::{Error, Result};
pub use file::Code;
pub use likeness::Likeness;
pub use place::Place;
pub use projector::{Inversion, Projector, Subject};
pub use tuning::{TuneConfig, tune};
