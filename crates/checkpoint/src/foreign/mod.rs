//! Checkpoints of other programs.
//!
//! [`read`] looks at a file's content, never at its name, and gives a tree of plain data. Formats:
//!
//! | [`Format`] | written by | begins with |
//! |---|---|---|
//! | `Domex` | this program ([`container`](crate::container)) | a safetensors header with our mark |
//! | `SafeTensors` | many | a header length and `{` |
//! | `TorchZip` | `torch.save` since 1.6, TorchScript | `PK` |
//! | `TorchLegacy` | `torch.save` before 1.6 | a pickled magic number |
//! | `Pickle` | stylegan2-ada-pytorch, Domain Expansion, any `pickle.dump` | an opcode |
//! | `NumPy` | `numpy.save` and `numpy.savez`, the projector of stylegan2-ada-pytorch | `\x93NUMPY`, or `PK` |
//! | `TensorFlow` | the original StyleGAN2 (a pickle of `dnnlib.tflib.network.Network`) | an opcode |
//!
//! Tensors are windows on the mapped file wherever the file holds their elements one after the
//! other.

mod calls;
mod detect;
mod graph;
mod legacy;
mod modules;
mod npy;
mod numpy;
mod resolve;
mod state_dict;
mod tensorflow;
mod torch;
mod zip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use state_dict::{state_dict, unwrapped, without_wrappers};
pub use tensorflow::{TensorFlowNetwork, tensorflow_networks};

use crate::budget::Budget;
use crate::{Bytes, Problem, Result, TensorData, Value, pickle, safetensors};

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Our own container.
    Domex,
    /// A safetensors file of another program.
    SafeTensors,
    /// A torch zip archive.
    TorchZip,
    /// A torch file of the older kind.
    TorchLegacy,
    /// A plain pickle.
    Pickle,
    /// A pickle of TensorFlow networks.
    TensorFlow,
    /// One NumPy array, or a zip archive of them by name.
    NumPy,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Domex => "domex container",
            Self::SafeTensors => "safetensors",
            Self::TorchZip => "torch zip",
            Self::TorchLegacy => "torch legacy",
            Self::Pickle => "pickle",
            Self::TensorFlow => "TensorFlow network pickle",
            Self::NumPy => "NumPy",
        })
    }
}

/// What a file holds.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The file, for messages.
    pub path: PathBuf,
    /// How it was laid out.
    pub format: Format,
    /// Its content. For safetensors and NumPy's archives a dict of tensors.
    pub value: Value,
    /// The header's `__metadata__`, where the format has one.
    pub metadata: BTreeMap<String, String>,
}

impl Foreign {
    /// The tensors of a network inside this file, checked for use: see [`state_dict`] and
    /// [`check_finite`](crate::check_finite).
    ///
    /// # Errors
    /// `value` is no network or dict of tensors, or a tensor holds NaN or infinity. The file is
    /// named.
    pub fn weights(&self, value: &Value) -> Result<BTreeMap<String, TensorData>> {
        let tensors = state_dict(value).map_err(|error| error.of_file(&self.path))?;
        crate::check_finite(&self.path, &tensors)?;
        Ok(tensors)
    }

    /// The value under a top-level name.
    ///
    /// # Errors
    /// The name is not there; the message lists those that are.
    pub fn get(&self, name: &str) -> Result<&Value> {
        self.value.get(name).ok_or_else(|| {
            let names = self.value.as_dict().unwrap_or_default().iter().take(12);
            let names: Vec<&str> = names.filter_map(|(key, _)| key.as_str()).collect();
            let hint = format!("the file holds {}", crate::error::clean(&names.join(", ")));
            Problem::Missing {
                what: "entry",
                name: name.to_owned(),
                hint,
            }
            .in_file(&self.path)
        })
    }
}

/// What a file looks like by its first bytes, in words, where it is no safetensors file: for readers that take those
/// alone. Nothing more is read.
///
/// # Errors
/// An empty file, or one of no known format.
pub(crate) fn other_format(bytes: &Bytes) -> std::result::Result<Option<&'static str>, Problem> {
    Ok(match detect::guess(bytes)? {
        detect::Guess::SafeTensors => None,
        detect::Guess::NumPy => Some("a NumPy array"),
        detect::Guess::Zip => Some("a zip archive, as torch files and NumPy's .npz are"),
        detect::Guess::Pickle => {
            Some("a pickle (a torch file of the older kind, or a network pickle)")
        }
    })
}

/// Reads a checkpoint of any known format.
///
/// # Errors
/// The file cannot be opened, its format is not known, or its content breaks the format's rules.
/// Damaged and hostile files are refused without taking more than a small multiple of their
/// size in memory.
pub fn read(path: impl AsRef<Path>) -> Result<Foreign> {
    let path = path.as_ref();
    read_bytes(path, &Bytes::map(path)?)
}

/// Whether the first bytes are those of a safetensors file.
pub(crate) fn may_be_safetensors(bytes: &Bytes) -> bool {
    matches!(detect::guess(bytes), Ok(detect::Guess::SafeTensors))
}

/// Reads a checkpoint that is already in memory; `path` is for messages only.
///
/// # Errors
/// Those of [`read`], except opening the file.
pub fn read_bytes(path: &Path, bytes: &Bytes) -> Result<Foreign> {
    let (format, value, metadata) = content(bytes).map_err(|problem| problem.in_file(path))?;
    Ok(Foreign {
        path: path.to_owned(),
        format,
        value,
        metadata,
    })
}

type Content = (Format, Value, BTreeMap<String, String>);

fn content(bytes: &Bytes) -> std::result::Result<Content, Problem> {
    let mut budget = Budget::new(bytes.len());
    let none = BTreeMap::new();
    match detect::guess(bytes)? {
        detect::Guess::SafeTensors => {
            let file = safetensors::File::parse(bytes)?;
            let format = if crate::container::is_ours(&file.metadata)? {
                Format::Domex
            } else {
                Format::SafeTensors
            };
            Ok((format, file.to_value(), file.metadata))
        }
        detect::Guess::Zip => {
            let (format, value) = zip::read(bytes, &mut budget)?;
            Ok((format, value, none))
        }
        detect::Guess::NumPy => Ok((Format::NumPy, npy::read(bytes, &mut budget)?, none)),
        detect::Guess::Pickle => {
            let program = pickle::run(bytes, &mut budget)?;
            if legacy::is_magic(&program) {
                drop(program);
                return Ok((Format::TorchLegacy, legacy::read(bytes, &mut budget)?, none));
            }
            let value = resolve::value(bytes, &program, &mut resolve::NoStorages, &mut budget)?;
            let tensorflow = tensorflow::is_networks(&value);
            let format = if tensorflow {
                Format::TensorFlow
            } else {
                Format::Pickle
            };
            Ok((format, value, none))
        }
    }
}
