//! From a file to a network.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::foreign;

use crate::{Config, Error, Inception, Result};

impl Inception {
    /// Reads the published `pt_inception-2015-12-05-6726825d.pth`, or a safetensors file with the same keys, as `dtype`.
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
        let weights = file.weights(&file.value)?;
        let shapes: BTreeMap<String, Vec<usize>> = weights
            .iter()
            .map(|(name, data)| (name.clone(), data.shape().to_vec()))
            .collect();
        let config = Config::deduce(&shapes).map_err(of_file)?;
        let tensors = weights
            .iter()
            .map(|(name, data)| Ok((name.clone(), data.to_tensor(&Device::Cpu)?)))
            .collect::<Result<HashMap<String, Tensor>>>()?;
        let vb = VarBuilder::from_tensors(tensors, dtype, device);
        Self::new(&vb, &config).map_err(of_file)
    }
}
