//! An encoder in one container (kind `encoder`): its tensors, and [`Config`] as its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Overwrite, network};

use crate::{Config, Encoder, Result};

/// The kind of an encoder's container.
pub const KIND: &str = "encoder";

/// Writes an encoder in half precision.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(
    path: &Path,
    config: &Config,
    tensors: &BTreeMap<String, Tensor>,
    provenance: &serde_json::Value,
) -> Result<()> {
    let writer = network::half(KIND, config, tensors, provenance)?;
    Ok(writer.write(path, Overwrite::Replace)?)
}

impl Encoder {
    /// Reads an encoder's container, in f32.
    ///
    /// # Errors
    ///
    /// A file of another kind, NaN or infinity in it, a missing tensor or a wrong shape.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (config, tensors): (Config, _) = network::read(path, KIND, device)?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        Self::new(&vb, &config)
    }
}
