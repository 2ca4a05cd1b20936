//! The latent space of a generator: which directions it uses, which lie dormant, and how to move.
//!
//! An image generator reacts to few of the directions of its latent space. The others are *dormant*:
//! walking along them hardly changes a picture. Domain expansion gives each new domain such a
//! direction of its own. This crate holds the maths of that, without any network:
//!
//! - [`generator`]: the trait [`Generator`], all that this crate and those above know of a network;
//! - [`basis`]: orthogonal directions ordered by how much the network uses them (two published forms);
//! - [`subspace`]: who has which dimension ([`Layout`](subspace::Layout)), projection on the base,
//!   traversal and composition ([`Subspaces`](subspace::Subspaces));
//! - [`expansion`]: the domains of a model with their basis and mean, and their place in its file;
//! - [`domain_vectors`] and [`matrices`]: domains beside weights that stay as they are;
//! - [`modulation`]: what is done to a generator's layers for each sample, such as the offsets of domains;
//! - [`probe`]: the effect of each direction on pictures, measured; and dormant directions found by trial;
//! - [`distance`] and [`ms_ssim`]: distances between pictures that need no weights;
//! - [`sample`]: drawing latents, their mean, truncation.
//!
//! What it deliberately is not: a network, a trainer, or a reader of files. It does no input or
//! output; reports and layouts serialise with serde, and tensors are the caller's to store.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_latent::{ActingMatrix, basis::{Basis, BasisKind, BasisKinds}, subspace::{Layout, Steps}};
//!
//! // A network whose first layer reacts to two of three latent directions.
//! let weight = Tensor::new(&[[3.0_f32, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 2.0]], &Device::Cpu)?;
//! let layer = ActingMatrix { name: "conv".into(), kinds: BasisKinds::ALL, weight };
//! let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &[layer])?;
//!
//! // A new domain takes the most dormant direction, the last column, at distance 20.
//! let mut layout = Layout::new(basis.count());
//! layout.add("sketch", serde_json::Value::Null, None, 20.0)?;
//! let spaces = layout.subspaces(&basis, &Device::Cpu, DType::F32)?;
//!
//! let w = Tensor::new(&[[1.0_f32, 0.7, -2.0]], &Device::Cpu)?;
//! let mean = Tensor::zeros(3, DType::F32, &Device::Cpu)?;
//! let base = spaces.project(&w, Some(&mean))?;
//! let sketch = spaces.compose(&base, &layout.strengths(&[("sketch", 1.0)])?)?;
//! assert_eq!(base.to_vec2::<f32>()?, [[1.0, 0.0, -2.0]]);
//! assert_eq!(sketch.to_vec2::<f32>()?, [[1.0, 20.0, -2.0]]);
//!
//! // Half a step, and all of it: [steps, domains, n, D].
//! let path = spaces.traverse(&base, &Steps::Each(vec![10.0, 20.0]))?;
//! assert_eq!(path.dims(), [2, 1, 1, 3]);
//! # Ok::<(), domex_latent::Error>(())
//! ```

pub mod basis;
pub mod distance;
pub mod domain_file;
pub mod domain_vectors;
mod error;
pub mod expansion;
pub mod generator;
pub mod mapping;
pub mod matrices;
pub mod modulation;
pub mod ms_ssim;
pub mod probe;
pub mod sample;
mod sparse;
pub mod subspace;
pub mod toy;

pub use distance::{ImageDistance, PixelRms};
pub use error::{Error, Result};
pub use expansion::Expansion;
pub use generator::{ActingMatrix, Generator};
pub use ms_ssim::MsSsim;
