//! On which features sets of pictures are compared: those of the perceptual network, of Inception-v3 as FID has them, of DINOv2
//! as FD-DINOv2 has them, or of a CLIP model as CMMD has them.

use candle_core::Tensor;
use domex_clip::{Clip, Preprocess};
use domex_data::picture;
use domex_dinov2::Dinov2;
use domex_inception::{Inception, Pipeline, prepare};
use domex_lpips::Lpips;

use crate::Result;

/// Pictures that go through a network of 224² or 299² at once: a bound for memory.
const CHUNK: usize = 8;

/// The network whose features a set is reduced to.
#[derive(Debug, Clone)]
pub enum Features {
    /// The perceptual network's last depth, averaged over the picture.
    Perceptual,
    /// The 2048 numbers of FID, prepared as pytorch-fid does.
    Inception(Box<Inception>),
    /// DINOv2's class token, of pictures in 8 bits, prepared as FD-DINOv2's program does.
    Dinov2(Box<Dinov2>),
    /// A CLIP model's picture features, of pictures in 8 bits, prepared as CMMD's program does.
    Clip(Box<Clip>),
}

impl Features {
    /// What the network is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Perceptual => "perceptual",
            Self::Inception(_) => "inception",
            Self::Dinov2(_) => "dinov2",
            Self::Clip(_) => "clip",
        }
    }

    /// Features `[n, d]` of `pictures: [n, 3, h, w]` in `[-1, 1]`.
    pub(crate) fn of(&self, perceptual: &Lpips, pictures: &Tensor) -> Result<Tensor> {
        match self {
            Self::Perceptual => Ok(perceptual.pooled(pictures)?),
            Self::Inception(network) => in_chunks(pictures, |x| {
                let levels = ((x + 1.0)? * 127.5)?;
                Ok(network.features(&prepare(&levels, Pipeline::PytorchFid)?)?)
            }),
            Self::Dinov2(network) => in_chunks(pictures, |x| {
                let pixels = domex_dinov2::prepare(&picture::to_rgb(x)?)?;
                Ok(network.features(&pixels.to_device(network.device())?)?)
            }),
            Self::Clip(clip) => in_chunks(pictures, |x| by_clip(clip, x)),
        }
    }
}

/// Features `[n, d]`, of any length, of `pictures: [n, 3, h, w]` in `[-1, 1]` and 8 bits, prepared as CLIP's published program does
/// it with picture files. CMMD's does the same.
pub(crate) fn by_clip(clip: &Clip, pictures: &Tensor) -> Result<Tensor> {
    let pixels = Preprocess::new(clip.image_size()).apply_to_files(&picture::to_rgb(pictures)?)?;
    let like = clip.logit_scale();
    let pixels = pixels.to_device(like.device())?.to_dtype(like.dtype())?;
    Ok(clip.image_features(&pixels)?)
}

fn in_chunks(pictures: &Tensor, see: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let n = pictures.dim(0)?;
    let chunks = (0..n).step_by(CHUNK);
    let chunks = chunks.map(|start| see(&pictures.narrow(0, start, CHUNK.min(n - start))?));
    Ok(Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)?)
}
