//! One reference case: a safetensors file whose tensor names carry a prefix.
//!
//! | prefix | holds |
//! | --- | --- |
//! | `param.` | parameters and buffers of the network, under the published names |
//! | `in.` | inputs, and whatever else the computation needs |
//! | `out.` | expected outputs |
//! | `out64.` | the same from a run in double precision |
//! | `grad.` | expected gradients of the case's scalar loss |
//! | `grad_expand.`, `grad_recon.` | expected gradients of its two parts |
//!
//! The file's metadata carries `config` (JSON with every hyper-parameter), `describes`, `loss`
//! and `source`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor, safetensors::Load};
use domex_error::{Context as _, user_error};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// What a tensor of a case is expected to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `out.`: an output.
    Out,
    /// `out64.`: an output of the run in double precision.
    Out64,
    /// `grad.`: a gradient of the case's loss.
    Grad,
    /// `grad_expand.`: a gradient of the expansion's part of it.
    GradExpand,
    /// `grad_recon.`: a gradient of the reconstruction's part of it.
    GradRecon,
}

impl Kind {
    /// All kinds, in the order in which a report counts them.
    pub const ALL: [Self; 5] = [
        Self::Out,
        Self::Out64,
        Self::Grad,
        Self::GradExpand,
        Self::GradRecon,
    ];

    /// Whether it is a gradient, of whatever part of the loss.
    #[must_use]
    pub const fn is_gradient(self) -> bool {
        matches!(self, Self::Grad | Self::GradExpand | Self::GradRecon)
    }

    /// The prefix with its dot.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Out => "out.",
            Self::Out64 => "out64.",
            Self::Grad => "grad.",
            Self::GradExpand => "grad_expand.",
            Self::GradRecon => "grad_recon.",
        }
    }

    /// The kind of a full tensor name, `None` for parameters and inputs.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| name.starts_with(kind.prefix()))
    }
}

/// A reference case in memory, its tensors on one device.
#[derive(Debug, Clone)]
pub struct Case {
    /// Where it was read from.
    pub path: PathBuf,
    /// The file's name without its extension.
    pub stem: String,
    /// The hyper-parameters; `null` where the file has none.
    pub config: Value,
    /// One sentence on what the case pins down.
    pub describes: String,
    /// The formula of the scalar whose gradients are stored; empty where there are none.
    pub loss: String,
    /// The public project and file that computed the numbers.
    pub source: String,
    device: Device,
    tensors: BTreeMap<String, Tensor>,
}

impl Case {
    /// Reads a case, whose tensors go to `device`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no safetensors file, or whose `config` is not JSON; a device without room.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display())?;
        let unreadable = |reason: String| {
            user_error(format!(
                "{}: not a readable safetensors file: {reason}",
                path.display()
            ))
        };
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)
            .map_err(|e| unreadable(e.to_string()))?;
        let file =
            safetensors::SafeTensors::deserialize(&bytes).map_err(|e| unreadable(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let tensor = view
                .load(device)
                .map_err(|e| unreadable(format!("tensor `{name}`: {e}")))?;
            tensors.insert(name.to_owned(), tensor);
        }
        let metadata = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| metadata.get(key).cloned().unwrap_or_default();
        let config = match metadata.get("config") {
            None => Value::Null,
            Some(json) => serde_json::from_str(json).map_err(|e| {
                user_error(format!(
                    "{}: metadata `config` is not JSON: {e}",
                    path.display()
                ))
            })?,
        };
        let stem = path
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Self {
            path: path.into(),
            stem,
            config,
            describes: text("describes"),
            loss: text("loss"),
            source: text("source"),
            device: device.clone(),
            tensors,
        })
    }

    /// Where its tensors are, and its networks belong.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The config read as `T`.
    ///
    /// # Errors
    ///
    /// A config that lacks a field of `T` or holds something else there.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(&self.config)
            .map_err(|e| self.malformed(format!("metadata `config` does not fit: {e}")))
    }

    /// An entry of the config by JSON pointer (`/mapping_kwargs/num_layers`), `None` when it is
    /// absent or null.
    #[must_use]
    pub fn setting(&self, pointer: &str) -> Option<&Value> {
        self.config
            .pointer(pointer)
            .filter(|value| !value.is_null())
    }

    /// A number of the config by JSON pointer.
    #[must_use]
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.setting(pointer).and_then(Value::as_f64)
    }

    /// A count of the config by JSON pointer.
    #[must_use]
    pub fn count(&self, pointer: &str) -> Option<usize> {
        self.setting(pointer)
            .and_then(Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
    }

    /// A tensor by its full name, `None` when the file has none such.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// A tensor by its full name.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let tensor = self.get(name);
        tensor.ok_or_else(|| self.malformed(format!("tensor `{name}` is missing")))
    }

    /// The input `in.{name}`.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn input(&self, name: &str) -> Result<&Tensor> {
        self.tensor(&format!("in.{name}"))
    }

    /// The parameter `param.{name}`.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn param(&self, name: &str) -> Result<&Tensor> {
        self.tensor(&format!("param.{name}"))
    }

    /// Whether the output `out.{name}` is expected.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.tensors.contains_key(&format!("out.{name}"))
    }

    /// Whether any tensor's full name starts with `prefix`.
    #[must_use]
    pub fn any(&self, prefix: &str) -> bool {
        self.with_prefix(prefix).next().is_some()
    }

    /// All tensors whose full name starts with `prefix`, by the rest of their name, sorted.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Tensor)> + 'a {
        self.tensors
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(move |(name, tensor)| (&name[prefix.len()..], tensor))
    }

    /// The expected tensors of a kind, by full name.
    pub fn expected(&self, kind: Kind) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .filter(move |(name, _)| Kind::of(name) == Some(kind))
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// An error on this case's file.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        user_error(format!("{}: {}", self.path.display(), reason.into()))
    }
}
