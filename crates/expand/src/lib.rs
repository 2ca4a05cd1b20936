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
//! A run is tasks × methods × a parametrisation on a trainee, and names no generator:
//!
//! | | says | stands in |
//! | --- | --- | --- |
//! | [`Trainee`] | what is expanded: pictures, latents, training on the source domain, files | one crate for each kind of generator |
//! | [`Method`] | how a domain is learnt: which latents a step trains on, and the loss of their pictures | [`methods`] |
//! | [`Parametrisation`] | what is trained | [`parametrisation`] |
//! | [`Placement`] | where a domain lies: in the subspace of a direction, or everywhere | [`Config`] |
//!
//! [`tasks`] says how domains are written down, and a [`Recipe`] what suits one generator; [`layers`] which layers a step
//! trains. [`Expand`] is the run, as a job of `domex_train`; [`report`] is the page on what it has made.
//!
//! ```
//! use std::sync::Arc;
//!
//! use candle_core::{DType, Device, Tensor};
//! use domex_expand::{LossPart, Method, Objective, ObjectiveConfig, Place, Samples};
//! use domex_latent::toy::{DIM, Toy};
//! use domex_latent::{Generator, PixelRms, basis::Basis, subspace::Subspaces};
//! use domex_random::{Stream, Streams};
//!
//! /// A domain of dark pictures.
//! struct Darker;
//! impl Method for Darker {
//!     fn name(&self) -> &str {
//!         "darker"
//!     }
//!     fn loss(&self, samples: &Samples<'_>, _: &mut Stream) -> domex_expand::Result<LossPart> {
//!         let brightness = samples.edited.mean((1, 2, 3))?;
//!         Ok(LossPart { total: brightness.sum_all()?, per_sample: brightness })
//!     }
//! }
//!
//! let generator = Toy::new([1.0; DIM], [1.0; DIM])?;
//! let basis = Basis::given(Tensor::eye(DIM, DType::F64, &Device::Cpu)?)?;
//! let subspaces = Subspaces::new(&basis, &[DIM - 1], None, &Device::Cpu, DType::F64)?;
//! let place = Place { method: 0, number: 0, column: 0, distance: 20.0 };
//! let objective = Objective::new(subspaces, vec![place], vec![Box::new(Darker)], ObjectiveConfig::default())?
//!     .with_distance(Arc::new(PixelRms));
//!
//! let w = Tensor::ones((2, DIM), DType::F64, &Device::Cpu)?;
//! let mut stream = Streams::new(0).stream("methods");
//! let (w, targets) = objective.sample(&[0, 0], &w, &mut stream)?;
//! let latents = objective.latents(&w, &generator.mean()?, &[0, 0])?;
//! let pictures = objective.pictures(&latents, |trained, source| {
//!     let make = |latents: &&Tensor| Ok(generator.synthesize(latents)?);
//!     let all = |groups: &[&Tensor]| groups.iter().map(make).collect::<domex_expand::Result<_>>();
//!     Ok((all(trained)?, all(source)?))
//! })?;
//! let losses = objective.loss(&pictures, &[0, 0], &targets, 2, &mut stream)?;
//! assert_eq!(losses.per_sample.len(), 2);
//! # Ok::<(), domex_expand::Error>(())
//! ```

mod aligned;
mod config;
mod domains;
mod error;
mod job;
pub mod layers;
pub mod method;
pub mod methods;
pub mod objective;
pub mod parametrisation;
mod recipe;
pub mod report;
mod source_file;
mod step;
pub mod tasks;
pub mod trainee;
mod validation;

use domex_error::suggest;

pub use config::{Config, Dimensions, Placement};
pub use error::{Error, Result};
pub use job::{Expand, Parts};
pub use layers::AdaptiveLayers;
pub use method::{LossPart, Method, Sampled, Samples, Shown, SourcePictures, Turn};
pub use methods::{Networks, Sets};
pub use objective::{Latents, Losses, Objective, ObjectiveConfig, Pictures, Place};
pub use parametrisation::{Parametrisation, ParametrisationKind, StyleDomainConfig};
pub use recipe::Recipe;
pub use source_file::kept_source;
pub use tasks::{TaskFile, TaskSpec};
pub use trainee::{Noise, Opinion, SourceSettings, SourceStep, Trainee, Weights};
