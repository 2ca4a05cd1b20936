//! The tensors that a network asks for, and those of a file, which must be the same.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use domex_checkpoint::{TensorData, asked, check_finite, foreign};

use crate::{Error, Result};

/// Shapes by name.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// What a network asks for when it is built. No memory is taken for it.
pub(crate) fn shapes<T>(build: impl FnOnce(&VarBuilder<'static>) -> Result<T>) -> Result<Shapes> {
    Ok(asked(|vb| build(&vb))?.into_iter().collect())
}

/// A file of weights whose header was compared with what a network asks for.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf,
    data: BTreeMap<String, TensorData>,
}

impl Weights {
    /// The tensors of a file, by their names after `rename`, which are to be `expected` and no others. Only the header is read.
    pub fn open(path: &Path, expected: &Shapes, rename: impl Fn(&str) -> String) -> Result<Self> {
        let file = foreign::read(path)?;
        let data = foreign::state_dict(&file.value).map_err(|error| error.of_file(path))?;
        // Numbers of places, which old files hold as if they were weights.
        let data = data
            .into_iter()
            .filter(|(name, _)| !name.ends_with("position_ids"));
        let data: BTreeMap<_, _> = data.map(|(name, data)| (rename(&name), data)).collect();
        for (name, shape) in expected {
            let problem = match data.get(name) {
                Some(data) if data.shape() == shape => continue,
                Some(data) => format!("has shape {:?}, expected {shape:?}", data.shape()),
                None => format!("is not there, expected one of shape {shape:?}"),
            };
            let reason = format!("tensor {name} {problem} as config.json says");
            return Err(Error::file(path, reason));
        }
        if let Some(name) = data.keys().find(|name| !expected.contains_key(*name)) {
            let reason = format!("tensor {name} has no place in the network of config.json");
            return Err(Error::file(path, reason));
        }
        Ok(Self {
            path: path.to_owned(),
            data,
        })
    }

    /// All of them in float32.
    pub fn load(self, device: &Device) -> Result<VarBuilder<'static>> {
        check_finite(&self.path, &self.data)?;
        let tensor = |(name, data): (String, TensorData)| -> Result<_> {
            Ok((name, data.to_tensor(device)?.to_dtype(DType::F32)?))
        };
        let tensors: HashMap<_, _> = self.data.into_iter().map(tensor).collect::<Result<_>>()?;
        Ok(VarBuilder::from_tensors(tensors, DType::F32, device))
    }
}
