//! `golden/clip/resize_pil.safetensors`: what CLIP's published preprocessing makes of picture files.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy.toml's leave ends at its helper functions"
)]

use candle_core::{DType, Device, Tensor};
use domex_clip::Preprocess;
use domex_ops::testing::max_difference;
use image::RgbImage;

fn picture(bytes: &Tensor) -> RgbImage {
    let (height, width, _) = bytes.dims3().unwrap();
    let bytes = bytes.to_dtype(DType::U8).unwrap();
    let bytes = bytes.flatten_all().unwrap().to_vec1().unwrap();
    RgbImage::from_raw(width as u32, height as u32, bytes).unwrap()
}

#[test]
fn pictures_of_files_are_what_pillow_makes_of_them() {
    let golden = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../data/tests/golden/clip/resize_pil.safetensors"
    );
    let golden = candle_core::safetensors::load(golden, &Device::Cpu).unwrap();
    let mut cases = 0;
    for (name, input) in &golden {
        let Some(case) = name.strip_prefix("in.rgb_") else {
            continue;
        };
        let expected = &golden[&format!("out.pixel_values_{case}")];
        let size = *expected.dims().last().unwrap();
        let found = Preprocess::new(size)
            .apply_to_files(&[picture(input)])
            .unwrap();
        let expected = expected.reshape(found.shape()).unwrap();
        assert!(max_difference(&found, &expected) < 1e-5, "{case}");
        cases += 1;
    }
    assert_eq!(cases, 7);
}
