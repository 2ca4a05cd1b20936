//! The domex container, and every foreign checkpoint format it reads.
//!
//! * [`container`] reads and writes our own files: safetensors with a few metadata entries,
//!   mapped into memory, written all or nothing.
//! * [`foreign`] reads what other programs wrote (pickled networks, torch files of both kinds,
//!   TensorFlow pickles, NumPy's files, safetensors) into a tree of plain [`Value`]s, and
//!   [`foreign::state_dict`] finds a network's tensors in it.
//! * [`safetensors`] writes plain files for other programs, [`pickle`] writes pickles of plain values, tensors and
//!   torch modules.
//! * [`asked`] notes which tensors a network would read, to compare a file with it.
//!
//! Files are told apart by their content. They are not trusted: no code named in a pickle is ever
//! run, every length is checked before it is used, and damaged or hostile files give a one-line
//! [`Error`] that names the file, with memory use bounded by a small multiple of its size.
//!
//! This crate deliberately knows nothing of networks: which names a StyleGAN2 has, and how one
//! naming turns into another, is the business of the crate that builds it.
//!
//! # Example
//!
//! ```
//! use domex_checkpoint::container::{Container, Overwrite, Writer};
//! use domex_checkpoint::{TensorData, foreign};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("model.safetensors");
//!
//! let mut writer = Writer::new("stylegan2", &serde_json::json!({ "z_dim": 2 }));
//! writer.data("generator_ema.mapping.w_avg", TensorData::from_f32(vec![2], &[0.5, -1.0])?)?;
//! writer.write(&path, Overwrite::Refuse)?;
//!
//! let file = Container::open(&path)?;
//! assert_eq!(file.config()["z_dim"], 2);
//! let mean = file.tensor("generator_ema.mapping.w_avg", &candle_core::Device::Cpu)?;
//! assert_eq!(mean.to_vec1::<f32>()?, [0.5, -1.0]);
//!
//! // Any other checkpoint opens the same way, whatever its name.
//! let file = foreign::read(&path)?;
//! assert_eq!(file.format, foreign::Format::Domex);
//! assert_eq!(file.weights(&file.value)?.len(), 1);
//! # Ok(())
//! # }
//! ```

#[cfg(target_endian = "big")]
compile_error!("tensors are read in place, which needs a little-endian machine");

mod asked;
mod budget;
mod bytes;
pub mod container;
mod dtype;
mod error;
pub mod foreign;
mod hash;
pub mod pickle;
pub mod safetensors;
mod tensor;
mod value;
mod view;

pub use asked::{Asked, asked};
pub use bytes::Bytes;
pub use dtype::Dtype;
pub use error::{Error, Problem, Result};
pub use hash::sha256_file;
pub use tensor::{TensorData, check_finite};
pub use value::{Object, Value};
