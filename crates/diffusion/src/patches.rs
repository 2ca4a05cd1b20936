//! Pictures as patches: the pixels of each square of `patch × patch` become channels, so that a network works at a fraction of
//! the size (pixel unshuffling, and back).

use candle_core::Tensor;

use crate::{Error, Result};

/// Pictures `[n, c, h, w]` to `[n, c patch², h / patch, w / patch]`.
///
/// # Errors
///
/// [`Error::Shape`] when the sides are no multiples of `patch`.
pub fn split(pictures: &Tensor, patch: usize) -> Result<Tensor> {
    if patch == 1 {
        return Ok(pictures.clone());
    }
    let (n, c, h, w) = pictures.dims4()?;
    if patch == 0 || !h.is_multiple_of(patch) || !w.is_multiple_of(patch) {
        let expected = format!("sides that are multiples of {patch}, the side of a patch");
        return Err(Error::shape("pictures", pictures.dims(), expected));
    }
    let (rows, columns) = (h / patch, w / patch);
    Ok(pictures
        .reshape(&[n, c, rows, patch, columns, patch][..])?
        .permute(vec![0, 1, 3, 5, 2, 4])?
        .contiguous()?
        .reshape((n, c * patch * patch, rows, columns))?)
}

/// The inverse of [`split`].
///
/// # Errors
///
/// [`Error::Shape`] when the channels are no multiple of `patch²`.
pub fn join(patches: &Tensor, patch: usize) -> Result<Tensor> {
    if patch == 1 {
        return Ok(patches.clone());
    }
    let (n, c, h, w) = patches.dims4()?;
    let area = patch * patch;
    if area == 0 || !c.is_multiple_of(area) {
        let expected = format!("channels that are a multiple of {area}, the pixels of a patch");
        return Err(Error::shape("patches", patches.dims(), expected));
    }
    let colours = c / area;
    Ok(patches
        .reshape(&[n, colours, patch, patch, h, w][..])?
        .permute(vec![0, 1, 4, 2, 5, 3])?
        .contiguous()?
        .reshape((n, colours, h * patch, w * patch))?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_patch_becomes_the_channels_of_one_place() {
        let pictures = Tensor::arange(0f32, 2.0 * 3.0 * 4.0 * 6.0, &Device::Cpu).unwrap();
        let pictures = pictures.reshape((2, 3, 4, 6)).unwrap();
        let patches = split(&pictures, 2).unwrap();
        assert_eq!(patches.dims(), [2, 12, 2, 3]);
        let place = patches.narrow(0, 0, 1).unwrap().narrow(2, 1, 1).unwrap();
        let place = place.narrow(3, 2, 1).unwrap().narrow(1, 0, 4).unwrap();
        let place = place.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(place, [16.0, 17.0, 22.0, 23.0]);
        let back = join(&patches, 2).unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&back), values(&pictures));
    }

    #[test]
    fn sides_and_channels_that_make_no_patches_are_refused() {
        let odd = Tensor::zeros((1, 3, 4, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(split(&odd, 2).is_err() && join(&odd, 2).is_err());
        assert!(split(&odd, 0).is_err() && join(&odd, 0).is_err());
    }
}
