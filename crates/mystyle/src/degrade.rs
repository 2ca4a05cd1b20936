//! What a picture has lost: a hole to fill (inpainting), or resolution (super-resolution). A generator's picture is
//! degraded in the same way before it is compared with such a picture.

use candle_core::{DType, Tensor};
use domex_ops::{Resize, resize};

use crate::{Error, Result};

/// How pictures were degraded.
#[derive(Debug, Clone)]
pub enum Degradation {
    /// Not at all.
    None,
    /// Multiplied by a mask `[n, 1, h, w]` or `[1, 1, h, w]`, 1 where the picture is known and 0 in the hole.
    Hole(Tensor),
    /// Both sides scaled by this factor, above 0 and at most 1, rounded down to whole pixels; each pixel is the mean of
    /// those it covers.
    Downscale(f64),
}

impl Degradation {
    /// Degrades `pictures: [n, c, h, w]`. Differentiable.
    ///
    /// # Errors
    ///
    /// A mask of another size or with other values than 0 to 1, a factor out of range, or one that leaves no pixel.
    pub fn apply(&self, pictures: &Tensor) -> Result<Tensor> {
        let &[n, _, h, w] = pictures.dims() else {
            return Err(Error::shape("pictures", pictures.dims(), "[n, c, h, w]"));
        };
        match self {
            Self::None => Ok(pictures.clone()),
            Self::Hole(mask) => {
                check_mask(mask, n, h, w)?;
                let mask = mask.to_dtype(pictures.dtype())?;
                Ok(pictures.broadcast_mul(&mask)?)
            }
            Self::Downscale(factor) => {
                let scaled = |size: usize| (size as f64 * factor).floor() as usize;
                let (small_h, small_w) = (scaled(h), scaled(w));
                if !(*factor > 0.0 && *factor <= 1.0) || small_h == 0 || small_w == 0 {
                    let expected = format!("above 0, at most 1, and a pixel left of {w}x{h}");
                    return Err(Error::setting("down-scaling", factor, expected));
                }
                Ok(resize(pictures, small_h, small_w, Resize::Area)?)
            }
        }
    }

    /// What of a given picture a degraded one is compared with: all but the hole. A picture that is to be made larger is
    /// small already.
    pub(crate) fn target(&self, given: &Tensor) -> Result<Tensor> {
        match self {
            Self::Hole(_) => self.apply(given),
            Self::None | Self::Downscale(_) => Ok(given.clone()),
        }
    }
}

pub(crate) fn check_mask(mask: &Tensor, n: usize, h: usize, w: usize) -> Result<()> {
    let fits = match *mask.dims() {
        [masks, 1, mask_h, mask_w] => (masks == n || masks == 1) && (mask_h, mask_w) == (h, w),
        _ => false,
    };
    if !fits {
        let found = format!("shape {:?}", mask.dims());
        let expected = format!("[{n}, 1, {h}, {w}], the size of the pictures");
        return Err(Error::setting("mask", found, expected));
    }
    let values: Vec<f32> = mask.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    match values.iter().find(|v| !(0.0..=1.0).contains(*v)) {
        None => Ok(()),
        Some(value) => Err(Error::setting("mask", value, "values from 0 to 1")),
    }
}
