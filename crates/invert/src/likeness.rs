//! How near a picture is to another: what an inversion makes small, and what it reports.

use candle_core::{DType, Tensor};
use domex_lpips::{Features, Lpips};
use domex_ops::{Resize, resize};

use crate::{Error, Result};

/// Larger pictures are compared at this side, as the published programs do.
const LARGEST: usize = 256;

/// Given pictures, looked at once.
pub(crate) struct Target<'a> {
    perceptual: &'a Lpips,
    l2: f64,
    pictures: Tensor, // [n, 3, h, w], at most LARGEST on a side
    features: Features,
}

impl<'a> Target<'a> {
    /// Pictures `[n, 3, h, w]` in `[-1, 1]`.
    pub fn new(perceptual: &'a Lpips, l2: f64, pictures: &Tensor) -> Result<Self> {
        let pictures = shrunk(&pictures.detach())?;
        Ok(Self {
            features: perceptual.features(&pictures)?.detach(),
            perceptual,
            l2,
            pictures,
        })
    }

    /// The distance `[n]` of `pictures` from the given ones, with its graph.
    pub fn distance(&self, pictures: &Tensor) -> Result<Tensor> {
        let pictures = shrunk(pictures)?;
        let perceptual = self.perceptual.features(&pictures)?;
        let perceptual = self.perceptual.between(&self.features, &perceptual)?;
        if self.l2 == 0.0 {
            return Ok(perceptual);
        }
        let square = (&self.pictures - &pictures)?.sqr()?.mean((1, 2, 3))?;
        Ok((perceptual + (square * self.l2)?)?)
    }
}

fn shrunk(pictures: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = pictures.dims4()?;
    if h.max(w) <= LARGEST {
        return Ok(pictures.clone());
    }
    Ok(resize(
        pictures,
        LARGEST.min(h),
        LARGEST.min(w),
        Resize::Area,
    )?)
}

/// How near found pictures came, one entry for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    /// The perceptual distance.
    pub distance: Vec<f64>,
    /// Peak signal-to-noise ratio in decibels, of pictures clamped to `[-1, 1]`.
    pub psnr: Vec<f64>,
}

impl Likeness {
    /// Of `found` and `given` pictures, both `[n, 3, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// Shapes that differ, or pictures too small for the network.
    pub fn between(perceptual: &Lpips, found: &Tensor, given: &Tensor) -> Result<Self> {
        let found = found.detach().clamp(-1.0, 1.0)?;
        let distance = Target::new(perceptual, 0.0, given)?.distance(&found)?;
        let square = (&found - given)?.sqr()?.mean((1, 2, 3))?;
        let numbers = |x: &Tensor| x.to_dtype(DType::F64)?.to_vec1::<f64>();
        // The span of values is 2.
        let psnr = |square: f64| 10.0 * (4.0 / square.max(1e-12)).log10();
        Ok(Self {
            distance: numbers(&distance)?,
            psnr: numbers(&square)?.into_iter().map(psnr).collect(),
        })
    }
}

/// Checks pictures against what a generator makes.
pub(crate) fn check(pictures: &Tensor, side: usize, channels: usize) -> Result<usize> {
    if channels != 3 {
        let expected = "a generator of colour pictures (3)";
        return Err(Error::setting(
            "channels of the generator's pictures",
            channels,
            expected,
        ));
    }
    match *pictures.dims() {
        [n, 3, h, w] if n > 0 && (h, w) == (side, side) => {}
        _ => {
            let expected = format!("[n, 3, {side}, {side}], the size of the generator's");
            return Err(Error::shape("pictures", pictures.dims(), expected));
        }
    }
    let sum = pictures
        .sum_all()?
        .to_dtype(DType::F64)?
        .to_scalar::<f64>()?;
    if !sum.is_finite() {
        return Err(Error::setting(
            "pictures",
            "NaN or infinity",
            "finite numbers",
        ));
    }
    Ok(pictures.dims()[0])
}
