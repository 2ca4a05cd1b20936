//! A judge in one container (kind `judge`): its tensors, and [`Config`] as its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Container, Overwrite, Writer};

use crate::{Config, Error, Judge, Result};

/// The kind of a judge's container.
pub const KIND: &str = "judge";

/// Writes a judge in half precision.
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
        .map_err(|error| Error::config("configuration of the judge", error, "serializable"))?;
    let mut writer = Writer::new(KIND, &config).provenance(provenance);
    for (name, tensor) in tensors {
        writer.tensor(name, &tensor.to_dtype(DType::F16)?)?;
    }
    Ok(writer.write(path, Overwrite::Replace)?)
}

impl Judge {
    /// Reads a judge's container.
    ///
    /// # Errors
    ///
    /// A file of another kind, NaN or infinity in it, a missing tensor or a wrong shape.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let container = Container::open(path)?;
        if container.kind() != KIND {
            return Err(Error::config(
                format!("kind of {}", container.path().display()),
                container.kind(),
                KIND,
            ));
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

#[cfg(test)]
mod tests {
    use domex_checkpoint::container::{Overwrite, Writer};

    use super::*;

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        let writer = Writer::new("clip", &serde_json::Value::Null);
        writer.write(&path, Overwrite::Refuse).unwrap();
        let message = Judge::load(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(
            message.contains("clip") && message.contains("judge"),
            "{message}"
        );
    }
}
