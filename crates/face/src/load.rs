//! From a file to a network.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::foreign;

use crate::{Config, Error, Result, YuNet};

impl YuNet {
    /// Reads the published `yunet_n.pth` or `yunet_s.pth`, or a safetensors file with the same keys.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds another network, NaN or infinity.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let of_file = |error: Error| Error::File {
            file: path.display().to_string(),
            problem: error.to_string(),
        };
        let file = foreign::read(path)?;
        // A training checkpoint has the optimizer's numbers beside the weights.
        let value = file.value.get("state_dict").unwrap_or(&file.value);
        let weights = file.weights(value)?;
        let shapes: BTreeMap<String, Vec<usize>> = weights
            .iter()
            .map(|(name, data)| (name.clone(), data.shape().to_vec()))
            .collect();
        let config = Config::deduce(&shapes).map_err(of_file)?;
        let tensors = weights
            .iter()
            .map(|(name, data)| Ok((name.clone(), data.to_tensor(&Device::Cpu)?)))
            .collect::<Result<HashMap<String, Tensor>>>()?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        Self::new(&vb, &config).map_err(of_file)
    }
}
