//! How different two pictures are: the trait, and pixel distances.

use candle_core::{D, Device, Tensor};

use crate::{Error, Result};

/// A distance between pictures, 0 for equal ones.
///
/// The ones in this crate need no weights ([`PixelRms`], [`MsSsim`](crate::ms_ssim::MsSsim)); a
/// learned one, such as LPIPS, implements this trait in its own crate.
pub trait ImageDistance {
    /// Short name for reports, such as `ms_ssim`.
    fn name(&self) -> &str;

    /// Distances `[n]` of pictures `a` and `b`, both `[n, c, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// When the shapes differ or the pictures are too small for the measure.
    fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// Distances `[m]` of `m` pairs among `pictures: [n, c, h, w]`, each pair two rows. A distance of features looks at each
    /// picture once, in however many pairs it is.
    ///
    /// # Errors
    ///
    /// Those of [`distance`](Self::distance), or a row that is not there.
    fn among(&self, pictures: &Tensor, pairs: &[(usize, usize)]) -> Result<Tensor> {
        let [first, second] = sides(pairs, pictures.device())?;
        let (a, b) = (
            pictures.index_select(&first, 0)?,
            pictures.index_select(&second, 0)?,
        );
        self.distance(&a, &b)
    }
}

/// The first rows of pairs and their second ones, as indices `[m]`.
///
/// # Errors
///
/// A device without memory.
pub fn sides(pairs: &[(usize, usize)], device: &Device) -> Result<[Tensor; 2]> {
    let (first, second): (Vec<u32>, Vec<u32>) =
        pairs.iter().map(|&(i, j)| (i as u32, j as u32)).unzip();
    Ok([Tensor::new(first, device)?, Tensor::new(second, device)?])
}

/// Root mean square difference over all pixels and channels, in units of `[-1, 1]`: 2 is the
/// largest, `2/255` one grey level.
#[derive(Debug, Clone, Copy, Default)]
pub struct PixelRms;

impl ImageDistance for PixelRms {
    fn name(&self) -> &str {
        "pixel_rms"
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        Ok(mean_square(a, b)?.sqrt()?)
    }
}

/// Mean square difference per picture, `[n]`.
pub(crate) fn mean_square(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_pair(a, b)?;
    Ok((a - b)?.sqr()?.flatten_from(1)?.mean(D::Minus1)?)
}

/// Cosine similarity per picture, `[n]`, of the raw pixel values in `[-1, 1]`.
///
/// # Errors
///
/// When the shapes differ.
pub fn cosine_similarity(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_pair(a, b)?;
    let dot = |x: &Tensor, y: &Tensor| (x * y)?.flatten_from(1)?.sum(D::Minus1);
    let norms = (dot(a, a)? * dot(b, b)?)?.sqrt()?.maximum(1e-12)?;
    Ok((dot(a, b)? / norms)?)
}

pub(crate) fn check_pair(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.rank() != 4 || a.elem_count() == 0 {
        return Err(Error::shape(
            "picture",
            "[n, channels, height, width]",
            a.dims(),
        ));
    }
    if a.dims() != b.dims() {
        return Err(Error::shape(
            "second picture",
            format!("{:?}", a.dims()),
            b.dims(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn pixel_distance_and_cosine_of_known_pictures() -> Result<()> {
        let a = Tensor::full(0.5_f64, (2, 3, 4, 4), &Device::Cpu)?;
        let b = Tensor::cat(&[&a.narrow(0, 0, 1)?, &(a.narrow(0, 1, 1)? * -0.5)?], 0)?;
        let rms: Vec<f64> = PixelRms.distance(&a, &b)?.to_vec1()?;
        assert!(rms[0] == 0.0 && (rms[1] - 0.75).abs() < 1e-12, "{rms:?}");
        let cosine: Vec<f64> = cosine_similarity(&a, &b)?.to_vec1()?;
        assert!(
            (cosine[0] - 1.0).abs() < 1e-12 && (cosine[1] + 1.0).abs() < 1e-12,
            "{cosine:?}"
        );
        assert!(PixelRms.distance(&a, &a.narrow(0, 0, 1)?).is_err());
        Ok(())
    }
}
