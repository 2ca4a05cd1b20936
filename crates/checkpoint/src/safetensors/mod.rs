//! The safetensors format: a length (`u64`), a JSON header of that many bytes, the tensors.
//!
//! Specification: huggingface/safetensors, README. The crate `safetensors` checks its rules; this reader adds limits and
//! that no name is there twice. The writer is our own: the crate's lists metadata in the order of a hash map, another
//! each time, and the same model must give the same bytes.

mod header;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use write::whole;
pub use write::{Overwrite, write};

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
        let mut tensors = BTreeMap::new();
        for (name, info) in header.tensors {
            let tensor = header::tensor(&name, info, &data)?;
            tensors.insert(name, tensor);
        }
        Ok(Self {
            metadata: header.metadata,
            tensors,
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
