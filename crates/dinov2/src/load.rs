//! From a file to a network.

use std::path::Path;

use candle_core::{DType, Device};
use domex_checkpoint::foreign;

use crate::{Config, Dinov2, Error, Result, Tensors, layout};

impl Dinov2 {
    /// Reads a published file in one of the [`layout`]s, as torch or safetensors, to compute as `dtype`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds another network, NaN or infinity.
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let of_file = |error: Error| Error::File {
            file: path.display().to_string(),
            problem: error.to_string(),
        };
        let file = foreign::read(path)?;
        let tensors = file
            .weights(&file.value)?
            .iter()
            .map(|(name, data)| Ok((name.clone(), data.to_tensor(&Device::Cpu)?)))
            .collect::<Result<Tensors>>()?;
        let tensors = layout::renamed(&tensors).map_err(of_file)?;
        let config = Config::deduce(&tensors).map_err(of_file)?;
        Self::new(&tensors, &config, dtype, device).map_err(of_file)
    }
}
