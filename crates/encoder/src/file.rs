//! An encoder in one container (kind `encoder`): its tensors, and [`Config`] as its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Container, Overwrite, Writer};

use crate::{Config, Encoder, Error, Result};

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
    let config = serde_json::to_value(config)
        .map_err(|error| Error::config("configuration of the encoder", error, "serializable"))?;
    let mut writer = Writer::new(KIND, &config).provenance(provenance);
    for (name, tensor) in tensors {
        writer.tensor(name, &tensor.to_dtype(DType::F16)?)?;
    }
    Ok(writer.write(path, Overwrite::Replace)?)
}

impl Encoder {
    /// Reads an encoder's container, in f32.
    ///
    /// # Errors
    ///
    /// A file of another kind, NaN or infinity in it, a missing tensor or a wrong shape.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let container = Container::open(path)?;
        if container.kind() != KIND {
            let what = format!("kind of {}", container.path().display());
            return Err(Error::config(what, container.kind(), KIND));
        }
        container.check_finite()?;
        let config: Config = container.config_as()?;
        let names = container.names();
        let tensors = names.map(|name| Ok((name.to_owned(), container.tensor(name, device)?)));
        let tensors = tensors.collect::<Result<_>>()?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        Self::new(&vb, &config)
    }
}
