//! A teacher in one container (kind `teacher`): its tensors, [`Config`] as its configuration, and the features of
//! [`PROBE`] by the text encoder that it learnt with.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Overwrite, network};

use crate::{Config, Network, Result, Teacher};

/// The kind of a teacher's container.
pub const KIND: &str = "teacher";

/// The text whose features a file holds, so that another text encoder is noticed.
pub const PROBE: &str = "a photo of a person";

/// The tensor of those.
const PROBE_FEATURES: &str = "probe_features";

/// Writes a teacher in half precision; `probe: [1, text_dim]` are the features of [`PROBE`].
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(
    path: &Path,
    config: &Config,
    tensors: &BTreeMap<String, Tensor>,
    probe: &Tensor,
    provenance: &serde_json::Value,
) -> Result<()> {
    let mut writer = network::half(KIND, config, tensors, provenance)?;
    writer.tensor(PROBE_FEATURES, &probe.to_dtype(DType::F16)?)?;
    Ok(writer.write(path, Overwrite::Replace)?)
}

impl Teacher {
    /// Reads a teacher's container.
    ///
    /// # Errors
    ///
    /// A file of another kind, NaN or infinity in it, a missing tensor or a wrong shape.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (config, tensors): (Config, _) = network::read(path, KIND, device)?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        let probe = vb.get((1, config.text_dim), PROBE_FEATURES)?;
        Self::new(Network::new(&vb, &config)?, probe)
    }
}
