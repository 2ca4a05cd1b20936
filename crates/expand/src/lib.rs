//! Domain expansion: new domains in directions of the latent space that a generator does not use
//! (Nitzan et al., CVPR 2023, arXiv 2301.05225).
//!
//! Each task has a dormant direction of its own. Moved along it, the generator's pictures are
//! drawn into the task's domain by a [`Method`]; not moved, they are held where the source
//! generator has them. [`objective`] is the loss of one step:
//!
//! ```text
//! L = expand · (Σ over samples L_task(base, edited)) / batch + L_recon(base, source's base)
//! ```
//!
//! [`method`] holds the methods by which a domain is learnt; [`tasks`] how domains are written
//! down, and a [`Recipe`] what suits one generator; [`layers`] which layers a step trains. [`report`] is the page on what a run has made, and [`files`] reads the networks that judge.
//! [`Expand`] is the run: objective, adversarial phases on the base subspace (from
//! `domex_replay`), snapshots and pictures, as a job of `domex_train`. [`Adapt`] is what it is compared with: a whole
//! generator for one domain.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_expand::{Method, Objective, ObjectiveConfig, Place, Samples, Share};
//! use domex_latent::{PixelRms, basis::Basis, subspace::Subspaces};
//! use domex_random::{Stream, Streams};
//! use domex_stylegan2::{GeneratorConfig, Model, Noise};
//!
//! /// A domain of dark pictures.
//! struct Darker;
//! impl Method for Darker {
//!     fn name(&self) -> &str {
//!         "darker"
//!     }
//!     fn loss(&self, samples: &Samples<'_>, _: &mut Stream) -> domex_expand::Result<Share> {
//!         let brightness = samples.edited.mean((1, 2, 3))?;
//!         Ok(Share { total: brightness.sum_all()?, per_sample: brightness })
//!     }
//! }
//!
//! let model = Model::random(&GeneratorConfig::tiny(), 0, &Device::Cpu)?;
//! let generator = model.generator();
//! let dim = generator.config().w_dim();
//! let basis = Basis::given(Tensor::eye(dim, DType::F32, &Device::Cpu)?)?;
//! let subspaces = Subspaces::new(&basis, &[dim - 1], None, &Device::Cpu, DType::F32)?;
//! let place = Place { method: 0, number: 0, column: 0, distance: 20.0 };
//! let objective = Objective::new(subspaces, vec![place], vec![Box::new(Darker)], ObjectiveConfig::default())?
//!     .with_distance(Box::new(PixelRms));
//!
//! let w = Tensor::ones((2, dim), DType::F32, &Device::Cpu)?;
//! let latents = objective.latents(&w, &generator.mean_w()?, &[0, 0])?;
//! let pictures = objective.pictures(generator, Some(generator), &latents, Noise::Const, Noise::Const)?;
//! let mut stream = Streams::new(0).stream("methods");
//! let losses = objective.loss(&pictures, &[0, 0], None, 2, &mut stream)?;
//! assert_eq!(losses.per_sample.len(), 2);
//! # Ok::<(), domex_expand::Error>(())
//! ```

mod adapt;
mod aligned;
mod config;
mod domains;
mod error;
pub mod files;
mod job;
pub mod layers;
pub mod method;
mod networks;
pub mod objective;
mod phases;
mod recipe;
pub mod report;
mod source_file;
mod suggest;
pub mod tasks;
mod validation;

pub use adapt::Adapt;
pub use config::{Config, Dimensions};
pub use error::{Error, Result};
pub use job::{Expand, Parts};
pub use layers::AdaptiveLayers;
pub use method::{Method, NadaMethod, Reconstruction, Samples, Share};
pub use objective::{Latents, Losses, Objective, ObjectiveConfig, Pictures, Place};
pub use recipe::Recipe;
pub use source_file::kept_source;
pub use tasks::{TaskFile, TaskSpec};
