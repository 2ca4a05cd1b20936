//! The safetensors format: a length (`u64`), a JSON header of that many bytes, the tensors.
//!
//! Specification: huggingface/safetensors, README. This reader keeps the specification's rules (every byte
//! belongs to exactly one tensor) and adds that no name is there twice.

mod header;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use write::{Overwrite, check_target, write};

use crate::{Bytes, Problem, TensorData, Value};

/// An open file: metadata, and tensors as windows on its bytes.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub metadata: BTreeMap<String, String>,
    pub tensors: BTreeMap<String, TensorData>,
}

impl File {
    /// Reads the header and checks every rule of the format. Reads no element.
    pub fn parse(bytes: &Bytes) -> Result<Self, Problem> {
        let (header, data) = header::split(bytes)?;
        let header::Header { metadata, tensors } = header;
        header::check_coverage(&tensors, data.len())?;
        let mut out = BTreeMap::new();
        for (name, info) in tensors {
            let tensor = info.tensor(&name, &data)?;
            out.insert(name, tensor);
        }
        Ok(Self {
            metadata,
            tensors: out,
        })
    }

    /// The tensors as a dict.
    pub fn to_value(&self) -> Value {
        let entries = self.tensors.iter().map(|(name, tensor)| {
            (
                Value::Str(name.as_str().into()),
                Value::Tensor(Arc::new(tensor.clone())),
            )
        });
        Value::Dict(entries.collect())
    }
}
