//! Writing containers.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use serde_json::Value as Json;

use super::{FORMAT, Overwrite, checksum};
use crate::{Problem, Result, TensorData, safetensors};

/// Gathers a model, then writes it at once. See [`write`](crate::safetensors::write()) for how.
#[derive(Debug, Clone)]
pub struct Writer {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorData>,
}

impl Writer {
    /// A container of the given kind, with the network's configuration.
    pub fn new(kind: &str, config: &Json) -> Self {
        let entries = [
            ("format", FORMAT.to_owned()),
            ("kind", kind.to_owned()),
            ("config", config.to_string()),
        ];
        let metadata = entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        Self {
            metadata,
            tensors: BTreeMap::new(),
        }
    }

    /// Says which domains the model was expanded with.
    #[must_use]
    pub fn expansion(mut self, expansion: &Json) -> Self {
        self.metadata
            .insert("expansion".to_owned(), expansion.to_string());
        self
    }

    /// Says where the model comes from.
    #[must_use]
    pub fn provenance(mut self, provenance: &Json) -> Self {
        self.metadata
            .insert("provenance".to_owned(), provenance.to_string());
        self
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// A name that is taken, or a type that files do not hold.
    pub fn tensor(&mut self, name: &str, tensor: &Tensor) -> Result<&mut Self> {
        self.data(name, TensorData::from_tensor(tensor)?)
    }

    /// Adds a tensor that is bytes already.
    ///
    /// # Errors
    /// A name that is taken.
    pub fn data(&mut self, name: &str, tensor: TensorData) -> Result<&mut Self> {
        if name == "__metadata__" || self.tensors.contains_key(name) {
            let name = crate::error::clean(name);
            return Err(Problem::Duplicate {
                what: "tensor",
                name,
            }
            .into());
        }
        self.tensors.insert(name.to_owned(), tensor);
        Ok(self)
    }

    /// Writes the file, atomically.
    ///
    /// # Errors
    /// Those of [`write`](crate::safetensors::write()).
    pub fn write(&self, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
        let mut metadata = self.metadata.clone();
        let sum = checksum::of(&metadata, &self.tensors);
        metadata.insert(checksum::KEY.to_owned(), sum);
        safetensors::write(path, &metadata, &self.tensors, overwrite)
    }
}
