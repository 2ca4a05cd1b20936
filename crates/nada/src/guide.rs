//! A CLIP network that guides a generator.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_clip::{Bundle, Clip, Preprocess, Tokenizer};
use domex_ops::half;
use image::RgbImage;

use crate::{Error, Result};

/// Pictures that go through the image encoder at once where there may be many: a bound for memory.
const CHUNK: usize = 16;

/// A network with what it needs to look at pictures and texts, and its say.
#[derive(Debug, Clone)]
pub struct Guide {
    /// For messages and records.
    pub name: String,
    /// The network. Frozen: see [`Clip::new`].
    pub clip: Clip,
    /// What cuts texts for it.
    pub tokenizer: Arc<Tokenizer>,
    /// Its factor in the sum over networks. Factors are summed, not averaged.
    pub weight: f64,
    /// Whether pictures are made smaller with antialiasing. The published programs do not.
    pub antialias: bool,
}

impl Guide {
    /// A network of weight 1 that sees pictures as published.
    pub fn new(name: impl Into<String>, clip: Clip, tokenizer: Arc<Tokenizer>) -> Self {
        Self {
            name: name.into(),
            clip,
            tokenizer,
            weight: 1.0,
            antialias: false,
        }
    }

    /// A network from its file, called after it, that sees pictures as published. `weight` is its factor in the sum over
    /// networks.
    ///
    /// # Errors
    ///
    /// A file that holds no CLIP network, with its name; a weight that is not above 0.
    pub fn load(path: &Path, weight: f64, device: &Device) -> Result<Self> {
        Self::load_as(path, weight, DType::F32, device)
    }

    /// The same held as numbers of `dtype`. Those of a half type take half the memory; pictures and features are float32 all the
    /// same.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_as(path: &Path, weight: f64, dtype: DType, device: &Device) -> Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if !(weight.is_finite() && weight > 0.0) {
            let what = format!("weight of CLIP network {}", path.display());
            return Err(Error::config(what, weight, "a number above 0"));
        }
        let bundle = Bundle::load(path, dtype, device);
        let bundle = bundle.map_err(|error| Error::file(path, &error))?;
        let mut guide = Self::new(name, bundle.clip, Arc::new(bundle.tokenizer));
        guide.weight = weight;
        Ok(guide)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.weight.is_finite() && self.weight > 0.0 {
            return Ok(());
        }
        Err(Error::config(
            format!("weight of CLIP network {:?}", self.name),
            self.weight,
            "a number above 0",
        ))
    }

    /// Features `[n, d]`, of any length, of `pictures: [n, 3, h, w]` in `[-1, 1]`, in the pictures' type
    /// whatever that of the network is. Differentiable.
    ///
    /// # Errors
    ///
    /// A wrong shape or type.
    pub fn features(&self, pictures: &Tensor) -> Result<Tensor> {
        let pixels = self.preprocess().apply(pictures)?;
        let pixels = half::enter(&pixels, self.clip.logit_scale().dtype())?;
        let features = self.clip.image_features(&pixels)?;
        Ok(half::leave(&features, pictures.dtype())?)
    }

    /// [`features`](Self::features) of as many pictures as there are, some after the other, without a graph.
    ///
    /// # Errors
    ///
    /// A wrong shape or type; no picture.
    pub fn features_of_many(&self, pictures: &[Tensor]) -> Result<Tensor> {
        let mut features = Vec::new();
        for pictures in pictures {
            let n = pictures.dim(0)?;
            for start in (0..n).step_by(CHUNK) {
                let chunk = pictures.narrow(0, start, CHUNK.min(n - start))?;
                features.push(self.features(&chunk.detach())?.detach());
            }
        }
        joined(&features)
    }

    /// Features `[n, d]`, of any length, of pictures as files hold them, each of its own size, without a graph. They are
    /// resized in 8 bits and with antialiasing, as CLIP's own program does: a large one would alias otherwise.
    ///
    /// # Errors
    ///
    /// No picture, or one without pixels.
    pub fn features_of_files(&self, pictures: &[RgbImage]) -> Result<Tensor> {
        let mut features = Vec::new();
        for pictures in pictures.chunks(CHUNK) {
            let pixels = self.bring(&self.preprocess().apply_to_files(pictures)?)?;
            let pixels = pixels.to_dtype(self.clip.logit_scale().dtype())?;
            features.push(self.clip.image_features(&pixels)?.detach());
        }
        joined(&features)
    }

    fn preprocess(&self) -> Preprocess {
        Preprocess {
            size: self.clip.image_size(),
            antialias: self.antialias,
        }
    }

    /// Brings numbers from elsewhere to the network's device.
    pub(crate) fn bring(&self, tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.to_device(self.clip.logit_scale().device())?)
    }
}

/// Rows one below the other.
fn joined(features: &[Tensor]) -> Result<Tensor> {
    match features.is_empty() {
        false => Ok(Tensor::cat(features, 0)?),
        true => Err(Error::config("number of pictures", 0, "at least 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_network_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.safetensors");
        std::fs::write(&path, "no network").unwrap();
        let shown = path.display().to_string();
        for weight in [1.0, 0.0] {
            let error = Guide::load(&path, weight, &Device::Cpu).unwrap_err();
            assert_eq!(error.to_string().matches(&shown).count(), 1, "{error}");
        }
    }
}
