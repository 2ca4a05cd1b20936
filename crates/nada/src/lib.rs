//! NADA: what CLIP asks of an edit (Gal et al. 2021, arXiv 2108.00946).
//!
//! A generator's picture before an edit and the same picture after it should differ, to CLIP, as the text
//! "photo" differs from the text "sketch". [`Nada`] makes a scalar loss of that, by one or several
//! networks ([`Guide`]), for a batch in which each pair may be of another [`Task`]:
//!
//! - [`Nada::prepare`] turns tasks (in words, or a few pictures) into directions, once before a run;
//! - [`Nada::loss`] compares base and edited pictures with them, at each step;
//! - [`choose_layers`] finds the layers of a generator that a task should change.
//!
//! A task may be looked at by some of the networks only. The formulas stand alone, on features, in [`direction`], [`terms`],
//! [`pairs`] and [`offsets`], which is for generators that a domain changes by a few offsets;
//! [`augment`] and [`patches`] hold what is random, drawn from the caller's stream.
//!
//! What this crate deliberately is not: it knows no generator, no optimizer and no file of pictures, and it
//! does not train CLIP.
//!
//! ```
//! # use candle_core::{DType, Device, Tensor, Var};
//! # use domex_clip::{Clip, Config as ClipConfig, Tokenizer};
//! # use candle_nn::VarBuilder;
//! use std::sync::Arc;
//! use domex_nada::{Config, Guide, Nada, Task};
//! use domex_random::Streams;
//!
//! # let tokenizer = Tokenizer::with_merges("")?;
//! # let block = serde_json::json!({ "width": 16, "layers": 1, "heads": 2, "mlp_width": 32,
//! #     "activation": "quick_gelu", "eps": 1e-5 });
//! # let config: ClipConfig = serde_json::from_value(serde_json::json!({
//! #     "embed_dim": 8,
//! #     "vision": { "kind": "vit", "image_size": 16, "patch_size": 8, "transformer": block },
//! #     "text": { "vocab_size": 514, "context_length": 64, "end_token": null, "transformer": block }
//! # }))?;
//! # let map = candle_nn::VarMap::new();
//! # let clip = Clip::new(&VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu), &config)?;
//! # for (i, var) in map.all_vars().iter().enumerate() {
//! #     var.set(&domex_ops::testing::randn(var.dims(), i as u64).to_dtype(DType::F32)?)?;
//! # }
//! # let clip = Clip::new(&VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu), &config)?;
//! // `clip` and `tokenizer` are a network's, say `Clip::load("ViT-B-32.pt", ..)?` and `Tokenizer::new()?`.
//! let nada = Nada::new(vec![Guide::new("small", clip, Arc::new(tokenizer))], Config::default())?;
//! let tasks = nada.prepare(&[Task::texts("photo", "sketch"), Task::texts("photo", "zombie")], None)?;
//!
//! # let base = domex_ops::testing::randn(&[2, 3, 24, 24], 7).to_dtype(DType::F32)?;
//! # let edited = Var::from_tensor(&domex_ops::testing::randn(&[2, 3, 24, 24], 8).to_dtype(DType::F32)?)?;
//! let mut draws = Streams::new(0).stream("nada");
//! // The first pair is a sketch, the second a zombie. The caller divides by the batch.
//! let loss = nada.loss(&tasks, &base, &edited, &[0, 1], &mut draws)?;
//! assert_eq!(loss.per_sample.dims(), [2]);
//! let gradients = (loss.total / 2.0)?.backward()?;
//! assert!(gradients.get(&edited).is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod augment;
pub mod config;
pub mod direction;
mod error;
pub mod guide;
pub mod layers;
pub mod loss;
pub mod offsets;
pub mod pairs;
mod part;
pub mod patches;
mod sum;
pub mod task;
pub mod terms;

pub use augment::Augment;
pub use config::{Config, Weights};
pub use error::{Error, Result};
pub use guide::Guide;
pub use layers::{LayerChoice, Layers, choose_layers};
pub use loss::{Loss, Nada};
pub use patches::Patches;
pub use task::{Goal, Prepared, Task};
