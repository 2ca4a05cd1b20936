//! From a generator's picture to an encoder's pixels, differentiable.
//!
//! For `x: [n, 3, h, w]` in `[-1, 1]` of any size: `(x + 1) / 2`, then bicubic resize so that the shorter
//! side fits the encoder, then the centre square, then `(v − mean) / std` for each colour. Nothing is
//! clamped, and a picture of the right size is not resampled. Source: openai/CLIP `clip/clip.py` with
//! torchvision's `Resize` on tensors, as StyleGAN-NADA and Domain Expansion use it.
//!
//! torchvision's `Resize` did not antialias tensors when those programs were published, and does today.
//! Ours is the published one; [`Preprocess::antialias`] switches.

use candle_core::{DType, Device, Tensor};
use domex_data::{picture, pil_resize};
use domex_ops::{Resize, centre_crop, resize_shorter_side};
use image::RgbImage;

use crate::{Error, Result};

/// Mean of each colour in CLIP's training data, for pixels in `[0, 1]`.
pub const MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

/// Standard deviation of each colour.
pub const STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// See the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preprocess {
    /// Height and width that the encoder takes, in pixels.
    pub size: usize,
    /// Whether the kernel of the resize widens when a picture shrinks.
    pub antialias: bool,
}

impl Preprocess {
    /// As published: without antialiasing.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            antialias: false,
        }
    }

    /// Pixels `[n, 3, size, size]` of `pictures: [n, 3, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a size of 0.
    pub fn apply(&self, pictures: &Tensor) -> Result<Tensor> {
        match *pictures.dims() {
            [_, 3, _, _] => {}
            _ => return Err(Error::shape("pictures", pictures.dims(), "[n, 3, h, w]")),
        }
        let unit = ((pictures + 1.0)? * 0.5)?;
        let resized = resize_shorter_side(
            &unit,
            self.size,
            Resize::Bicubic {
                antialias: self.antialias,
            },
        )?;
        normalise(&centre_crop(&resized, self.size)?)
    }
}

impl Preprocess {
    /// Pixels `[n, 3, size, size]`, f32 on the CPU, of pictures in 8 bits, each of its own size: what CLIP's published
    /// preprocessing makes of picture *files*. Pillow resizes their bytes, with antialiasing whatever
    /// [`antialias`](Self::antialias) says of tensors; StyleGAN-NADA sends the pictures of a style through this, and the
    /// generator's through [`apply`](Self::apply).
    ///
    /// # Errors
    ///
    /// No picture, or one without pixels.
    pub fn apply_to_files(&self, pictures: &[RgbImage]) -> Result<Tensor> {
        let size = u32::try_from(self.size)
            .map_err(|_| Error::config("size of the pictures", self.size, "below 2^32"))?;
        let square = |picture: &RgbImage| -> Result<RgbImage> {
            let resized = pil_resize::resize_shorter_side(picture, size)?;
            Ok(pil_resize::centre_crop(&resized, size)?)
        };
        let squares: Vec<RgbImage> = pictures.iter().map(square).collect::<Result<_>>()?;
        let signed = picture::from_rgb(&squares, DType::F32, &Device::Cpu)?;
        normalise(&((signed + 1.0)? * 0.5)?)
    }
}

/// `(v − mean) / std` for each colour of `pixels: [n, 3, h, w]` in `[0, 1]`.
///
/// # Errors
///
/// A wrong shape.
pub fn normalise(pixels: &Tensor) -> Result<Tensor> {
    let colours = |values: [f64; 3]| -> Result<Tensor> {
        let row = Tensor::new(&values, &Device::Cpu)?.reshape((1, 3, 1, 1))?;
        Ok(row.to_dtype(pixels.dtype())?.to_device(pixels.device())?)
    };
    Ok(pixels
        .broadcast_sub(&colours(MEAN)?)?
        .broadcast_div(&colours(STD)?)?)
}
