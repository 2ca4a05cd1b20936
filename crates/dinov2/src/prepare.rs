//! From pictures to what the network is shown, as the program of FD-DINOv2 (layer6ai-labs/dgm-eval) does it: Pillow's bicubic resizing of
//! 8-bit pictures to 224 × 224 whatever their shape, with antialiasing, then ImageNet's mean and deviation.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::pil_resize::resize_bicubic;
use image::RgbImage;

use crate::Result;

/// Pixels on a side: 16 × 16 patches.
pub const SIDE: usize = 224;

/// Of red, green and blue in ImageNet's pictures, from 0 to 1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// And their standard deviation.
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Pixels `[n, 3, 224, 224]`, float32 on the CPU, of pictures, each of its own size.
///
/// # Errors
///
/// No picture, or one without pixels.
pub fn prepare(pictures: &[RgbImage]) -> Result<Tensor> {
    let side = SIDE as u32;
    let resize = |picture: &RgbImage| Ok(resize_bicubic(picture, side, side)?);
    let resized = pictures.iter().map(resize).collect::<Result<Vec<_>>>()?;
    let signed = picture::from_rgb(&resized, DType::F32, &Device::Cpu)?;
    let shape = (1, 3, 1, 1);
    let mean = Tensor::new(&MEAN, &Device::Cpu)?.reshape(shape)?;
    let deviation = Tensor::new(&DEVIATION, &Device::Cpu)?.reshape(shape)?;
    let pixels = signed.affine(0.5, 0.5)?.broadcast_sub(&mean)?;
    Ok(pixels.broadcast_div(&deviation)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn pictures_of_all_shapes_become_squares_around_the_mean() {
        // ImageNet's mean, in 8 bits, and white.
        let mean = RgbImage::from_pixel(300, 40, Rgb([124, 116, 104]));
        let white = RgbImage::from_pixel(10, 10, Rgb([255; 3]));
        let pixels = prepare(&[mean, white]).unwrap();
        assert_eq!(pixels.dims(), [2, 3, SIDE, SIDE]);
        let values: Vec<f32> = pixels.flatten_all().unwrap().to_vec1().unwrap();
        let (mean, white) = values.split_at(values.len() / 2);
        assert!(mean.iter().all(|value| value.abs() < 0.02));
        let plane = SIDE * SIDE;
        for (channel, expected) in [2.248_908, 2.428_571_4, 2.64].into_iter().enumerate() {
            let found = white[channel * plane + 7];
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        assert!(prepare(&[]).is_err());
    }
}
