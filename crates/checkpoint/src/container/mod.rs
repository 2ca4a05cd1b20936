//! The container of this program: one safetensors file per model.
//!
//! Its `__metadata__` holds
//!
//! | key | value |
//! |---|---|
//! | `format` | `domex/1` |
//! | `kind` | what the model is: `stylegan2`, ... |
//! | `config` | JSON: everything needed to build the network |
//! | `expansion` | JSON, for an expanded model: its domains, and where basis and mean are |
//! | `provenance` | JSON: source file and hash, settings, seed, steps, program version |
//! | `checksum` | `crc32:` and eight digits, over all of the above and the tensors |
//!
//! Tensors keep their published `state_dict` keys behind a prefix (`generator_ema.`, `generator.`,
//! `discriminator.`), so any tool that knows the networks can read the file.

mod checksum;
pub mod network;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value as Json;

pub use crate::safetensors::Overwrite;
pub use writer::Writer;

use crate::safetensors::File;
use crate::{Bytes, Problem, Result, TensorData, foreign};

const FORMAT: &str = "domex/1";

const EXPECTED: &str = "a domex/1 container, as this program writes";

/// The keys of the metadata that this program knows.
const KEYS: [&str; 6] = [
    "format",
    "kind",
    "config",
    "expansion",
    "provenance",
    checksum::KEY,
];

/// An open container. Tensors are windows on the mapped file until they are asked for.
#[derive(Debug, Clone)]
pub struct Container {
    path: PathBuf,
    kind: String,
    config: Json,
    expansion: Option<Json>,
    provenance: Option<Json>,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorData>,
}

impl Container {
    /// Maps a file and reads its header. No tensor is read yet.
    ///
    /// # Errors
    /// The file cannot be opened, is no safetensors file, or is not of this format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path, &Bytes::map(path)?)
    }

    /// The container in a file, or `None` where the file is something else, such as a published checkpoint.
    ///
    /// # Errors
    /// The file cannot be opened, or is a container that cannot be read.
    pub fn find(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = path.as_ref();
        let bytes = Bytes::map(path)?;
        if !foreign::may_be_safetensors(&bytes) {
            return Ok(None);
        }
        let file = File::parse(&bytes).map_err(|problem| problem.in_file(path))?;
        match is_ours(&file.metadata).map_err(|problem| problem.in_file(path))? {
            true => Ok(Some(Self::from_bytes(path, &bytes)?)),
            false => Ok(None),
        }
    }

    /// Reads a container that is already in memory; `path` is for messages only.
    ///
    /// # Errors
    /// Those of [`Self::open`], except opening the file.
    pub fn from_bytes(path: &Path, bytes: &Bytes) -> Result<Self> {
        Self::parse(path, bytes).map_err(|problem| problem.in_file(path))
    }

    fn parse(path: &Path, bytes: &Bytes) -> std::result::Result<Self, Problem> {
        if let Some(found) = foreign::other_format(bytes)? {
            return Err(Problem::Type {
                expected: EXPECTED,
                found: found.to_owned(),
            });
        }
        let File { metadata, tensors } = File::parse(bytes)?;
        if !is_ours(&metadata)? {
            let found = match metadata.get("format") {
                Some(format) => format!(
                    "a safetensors file of format {:?}",
                    crate::error::clean(format)
                ),
                None => "a safetensors file without a format".to_owned(),
            };
            return Err(Problem::Type {
                expected: EXPECTED,
                found,
            });
        }
        let json = |key: &str| {
            let parse = |text: &String| {
                serde_json::from_str::<Json>(text).map_err(|error| {
                    Problem::malformed(
                        format!("metadata {key}"),
                        crate::error::clean(&error.to_string()),
                    )
                })
            };
            metadata.get(key).map(parse).transpose()
        };
        let provenance = json("provenance")?;
        let unknown = metadata.keys().find(|key| !KEYS.contains(&key.as_str()));
        if let Some(key) = unknown {
            return Err(Problem::NotKnown {
                what: format!("metadata {:?} is not known", crate::error::clean(key)),
                programs: programs(provenance.as_ref()),
            });
        }
        let missing = |name: &str| {
            let hint = "the container's metadata must hold it".to_owned();
            Problem::Missing {
                what: "metadata",
                name: name.to_owned(),
                hint,
            }
        };
        Ok(Self {
            path: path.to_owned(),
            kind: metadata
                .get("kind")
                .cloned()
                .ok_or_else(|| missing("kind"))?,
            config: json("config")?.ok_or_else(|| missing("config"))?,
            expansion: json("expansion")?,
            provenance,
            metadata,
            tensors,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the model is.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Everything needed to build the network.
    pub fn config(&self) -> &Json {
        &self.config
    }

    /// The same as the type that the kind has for it.
    ///
    /// # Errors
    /// A configuration that does not fit, with the reason; of a file of another version of this program, with both
    /// versions.
    pub fn config_as<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.config).map_err(|error| {
            let reason = crate::error::clean(&error.to_string());
            let problem = Problem::NotKnown {
                what: format!(
                    "configuration of the {}: {reason}",
                    crate::error::clean(&self.kind)
                ),
                programs: programs(self.provenance.as_ref()),
            };
            problem.in_file(&self.path)
        })
    }

    /// The domains of an expanded model.
    pub fn expansion(&self) -> Option<&Json> {
        self.expansion.as_ref()
    }

    /// Where the model comes from.
    pub fn provenance(&self) -> Option<&Json> {
        self.provenance.as_ref()
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// All tensors, as they lie in the file.
    pub fn tensors(&self) -> &BTreeMap<String, TensorData> {
        &self.tensors
    }

    /// The tensors whose name begins with `prefix`, under the rest of their name.
    pub fn under(&self, prefix: &str) -> BTreeMap<String, TensorData> {
        let pairs = self.tensors.iter().filter_map(|(name, tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        });
        pairs.collect()
    }

    /// A tensor as it lies in the file: its values are not looked at.
    ///
    /// # Errors
    /// No tensor of that name.
    pub fn data(&self, name: &str) -> Result<&TensorData> {
        self.tensors.get(name).ok_or_else(|| {
            let hint = format!("the file holds {} other tensors", self.tensors.len());
            let name = crate::error::clean(name);
            Problem::Missing {
                what: "tensor",
                name,
                hint,
            }
            .in_file(&self.path)
        })
    }

    /// Loads a tensor for use.
    ///
    /// # Errors
    /// No tensor of that name, NaN or infinity in it, or no room on the device.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let data = self.data(name)?;
        if let Some((index, found)) = data.first_not_finite() {
            let tensor = name.to_owned();
            return Err(Problem::NotFinite {
                tensor,
                index,
                found,
            }
            .in_file(&self.path));
        }
        data.to_tensor(device)
            .map_err(|error| error.of_file(&self.path))
    }

    /// Refuses the file if it is not as it was written. Reads all of it; a file without a checksum passes.
    ///
    /// # Errors
    /// [`Problem::Damaged`].
    pub fn check_whole(&self) -> Result<()> {
        let Some(written) = self.metadata.get(checksum::KEY) else {
            return Ok(());
        };
        let found = checksum::of(&self.metadata, &self.tensors);
        if found == *written {
            return Ok(());
        }
        let written = crate::error::clean(written);
        Err(Problem::Damaged { found, written }.in_file(&self.path))
    }

    /// Refuses the file if it is not as it was written, or if any tensor holds NaN or infinity.
    ///
    /// # Errors
    /// [`Problem::Damaged`], or [`Problem::NotFinite`], naming the first such tensor.
    pub fn check_finite(&self) -> Result<()> {
        self.check_whole()?;
        crate::check_finite(&self.path, &self.tensors)
    }
}

/// Who wrote a file and who reads it, where these are not the same: the end of a message.
fn programs(provenance: Option<&Json>) -> String {
    const OWN: &str = concat!("domex ", env!("CARGO_PKG_VERSION"));
    match provenance.and_then(|json| json["program"].as_str()) {
        Some(other) if other != OWN => format!(
            "; {} wrote the file and this is {OWN}: take the program that wrote it, or a newer one",
            crate::error::clean(other)
        ),
        _ => String::new(),
    }
}

/// Whether a safetensors file says that it is a container. One of another version is refused: what its
/// configuration means is not known here.
pub(crate) fn is_ours(metadata: &BTreeMap<String, String>) -> std::result::Result<bool, Problem> {
    match metadata.get("format") {
        Some(format) if format == FORMAT => Ok(true),
        Some(format) if format.starts_with("domex/") => Err(Problem::Version {
            found: crate::error::clean(format),
            known: FORMAT,
        }),
        _ => Ok(false),
    }
}
