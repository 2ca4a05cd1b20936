//! `golden/clip/resize_pil.safetensors`: CLIP's preprocessing of 8-bit pictures by Pillow and torchvision.
//! The resized bytes must be equal; the pixel values after them agree to 1e-6.

use candle_core::{DType, Device, Tensor};
use domex_data::pil_resize::{centre_crop, resize_bicubic, resize_shorter_side};
use image::RgbImage;

/// Mean and standard deviation of the channels, as published with CLIP.
const MEAN: [f64; 3] = [0.48145466, 0.4578275, 0.40821073];
const STD: [f64; 3] = [0.26862954, 0.26130258, 0.27577711];

fn picture(t: &Tensor) -> RgbImage {
    let (height, width, _) = t.dims3().expect("[h, w, 3]");
    let bytes = t
        .to_dtype(DType::U8)
        .and_then(|t| t.flatten_all()?.to_vec1())
        .expect("bytes");
    RgbImage::from_raw(width as u32, height as u32, bytes).expect("as many bytes as pixels")
}

#[test]
fn bytes_equal_pillows() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/clip/resize_pil.safetensors"
    );
    let gold = candle_core::safetensors::load(path, &Device::Cpu).expect("the golden file");
    let mut cases = 0;
    for (name, input) in &gold {
        let Some(case) = name.strip_prefix("in.rgb_") else {
            continue;
        };
        let expected = picture(&gold[&format!("out.rgb_resized_{case}")]);
        let (width, height) = expected.dimensions();
        let input = picture(input);
        let resized = resize_shorter_side(&input, width.min(height)).expect("a resized picture");
        assert!(resized == expected, "{case}");
        assert!(
            resize_bicubic(&input, width, height).expect("a resized picture") == expected,
            "{case}"
        );

        let crop = centre_crop(&resized, width.min(height)).expect("a crop");
        let values = gold[&format!("out.pixel_values_{case}")]
            .flatten_all()
            .expect("a tensor");
        let values: Vec<f32> = values.to_vec1().expect("f32");
        let pixels = (crop.width() * crop.height()) as usize;
        assert_eq!(values.len(), 3 * pixels, "{case}");
        for (i, pixel) in crop.pixels().enumerate() {
            for c in 0..3 {
                let value = (f64::from(pixel.0[c]) / 255.0 - MEAN[c]) / STD[c];
                assert!(
                    (value - f64::from(values[c * pixels + i])).abs() <= 1e-6,
                    "{case}"
                );
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 7);
}
