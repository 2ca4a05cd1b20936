//! From a file to a network.
//!
//! Reads what openai/CLIP and huggingface/transformers publish, and open_clip's files of the same
//! networks: TorchScript archives, `torch.save` files and safetensors (see
//! [`domex_checkpoint::foreign`]), in either [`layout`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use domex_checkpoint::{TensorData, check_finite, foreign};

use crate::layout::{self, Tensors};
use crate::{Clip, Config, Error, Result};

/// The tensors of a checkpoint under our names, on the CPU in the file's types, and the network that
/// they are. What shapes do not tell can then be added to it: [`Config::with_hugging_face`],
/// [`Config::with_heads`].
///
/// # Errors
///
/// A file that cannot be read, holds no CLIP network, or holds NaN or infinity.
pub fn read(path: impl AsRef<Path>) -> Result<(Tensors, Config)> {
    let path = path.as_ref();
    let file = foreign::read(path)?;
    // A training run's file has the network inside, perhaps with a wrapper's prefix on each name.
    let value = file.value.get("state_dict").unwrap_or(&file.value);
    let mut data = foreign::state_dict(value)?;
    if data.keys().all(|name| name.starts_with("module.")) {
        data = data
            .into_iter()
            .map(|(name, tensor)| (name["module.".len()..].to_owned(), tensor))
            .collect();
    }
    // Masks hold infinities; they are not weights.
    data.retain(|name, _| !name.ends_with("attn_mask"));
    check_finite(path, &data)?;
    let tensors = to_tensors(&data)?;
    let tensors = layout::to_hugging_face(tensors)?;
    let config = Config::deduce(&shapes(&tensors))?;
    Ok((tensors, config))
}

fn to_tensors(data: &BTreeMap<String, TensorData>) -> Result<Tensors> {
    data.iter()
        .map(|(name, data)| Ok((name.clone(), data.to_tensor(&Device::Cpu)?)))
        .collect()
}

/// Shapes by name, for [`Config::deduce`].
pub fn shapes(tensors: &Tensors) -> BTreeMap<String, Vec<usize>> {
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.dims().to_vec()))
        .collect()
}

impl Clip {
    /// [`read`], then [`from_tensors`](Self::from_tensors): enough for all that OpenAI published.
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let (tensors, config) = read(path)?;
        Self::from_tensors(tensors, &config, dtype, device)
    }

    /// A network of tensors in either layout, brought to `dtype` and `device`.
    ///
    /// # Errors
    ///
    /// A tensor that is missing, has another shape than `config` gives it, or is not the network's.
    pub fn from_tensors(
        tensors: Tensors,
        config: &Config,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let tensors: HashMap<String, Tensor> =
            layout::to_hugging_face(tensors)?.into_iter().collect();
        let mut unused: BTreeSet<String> = tensors.keys().cloned().collect();
        let asked = Arc::new(Mutex::new(BTreeSet::new()));
        let backend = Recorder {
            tensors,
            asked: Arc::clone(&asked),
        };
        let vb = VarBuilder::from_backend(Box::new(backend), dtype, device.clone());
        let clip = Self::new(&vb, config)?;
        let asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain(|name| !asked.contains(name));
        if unused.is_empty() {
            return Ok(clip);
        }
        Err(Error::Unexpected {
            names: unused.into_iter().collect(),
        })
    }
}

/// Tensors by name, and which of them were asked for: the others are not the network's.
struct Recorder {
    tensors: HashMap<String, Tensor>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl SimpleBackend for Recorder {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
        SimpleBackend::get(&self.tensors, shape, name, init, dtype, device)
    }

    fn get_unchecked(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned());
        SimpleBackend::get_unchecked(&self.tensors, name, dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}
