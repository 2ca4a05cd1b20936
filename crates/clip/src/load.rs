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

use crate::config::HEAD_WIDTH;
use crate::layout::{self, Layout, Tensors};
use crate::{Clip, Config, Error, Result, beside};

/// The tensors of a checkpoint under our names, on the CPU in the file's types, and the network that
/// they are. What shapes do not tell can then be added to it: [`Config::with_hugging_face`],
/// [`Config::with_heads`].
///
/// # Errors
///
/// A file that cannot be read, holds no CLIP network, or holds NaN or infinity.
pub fn read(path: impl AsRef<Path>) -> Result<(Tensors, Config)> {
    let (tensors, config, _) = open(path.as_ref())?;
    Ok((tensors, config))
}

/// [`read`], and the rest of the configuration from the file beside the weights (`config.json`,
/// `open_clip_config.json`). Without such a file OpenAI's values are taken, which is told where the weights are not
/// certainly OpenAI's.
///
/// # Errors
///
/// Those of [`read`]; a file beside the weights that does not fit them.
pub fn read_published(path: impl AsRef<Path>) -> Result<(Tensors, Config)> {
    let path = path.as_ref();
    let (tensors, config, origin) = open(path)?;
    if let Some(config) = beside::config(path, origin.layout, &config)? {
        return Ok((tensors, config));
    }
    if !origin.is_openai {
        tracing::warn!(
            path = %path.display(),
            "no config.json or open_clip_config.json lies beside the weights: attention heads of {HEAD_WIDTH} channels and \
             quick GELU are assumed, as OpenAI's networks have; a network with others gives wrong features"
        );
    }
    Ok((tensors, config))
}

/// An entry that OpenAI's archives alone have beside the weights.
const OPENAI: &str = "input_resolution";

/// Where weights come from.
struct Origin {
    layout: Layout,
    /// OpenAI's own archives need no configuration.
    is_openai: bool,
}

fn open(path: &Path) -> Result<(Tensors, Config, Origin)> {
    let file = foreign::read(path)?;
    // A training run's file has the network inside.
    let value = file.value.get("state_dict").unwrap_or(&file.value);
    let mut data = foreign::state_dict(value)?;
    // Masks hold infinities; they are not weights.
    data.retain(|name, _| !name.ends_with("attn_mask"));
    check_finite(path, &data)?;
    let tensors = to_tensors(&data)?;
    let layout = Layout::of(&tensors).unwrap_or(Layout::HuggingFace);
    let is_openai = data.contains_key(OPENAI);
    let tensors = layout::to_hugging_face(tensors)?;
    let config = Config::deduce(&shapes(&tensors))?;
    Ok((tensors, config, Origin { layout, is_openai }))
}

pub(crate) fn to_tensors(data: &BTreeMap<String, TensorData>) -> Result<Tensors> {
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
    /// [`read_published`], then [`from_tensors`](Self::from_tensors).
    ///
    /// # Errors
    ///
    /// Those of both.
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let (tensors, config) = read_published(path)?;
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
