//! CLIP's preprocessing of an 8-bit picture: Pillow's bicubic resize, centre crop, `/ 255`,
//! `(v - mean) / std`. Inputs are `in.rgb_{name}: [h, w, 3]` with values 0 to 255.

use candle_core::{DType, Device, Tensor};
use domex_data::pil_resize::{centre_crop, resize_shorter_side};
use image::RgbImage;
use serde::Deserialize;

use super::clip_preprocess::normalise;
use crate::{Case, Result, compare::values, computed::Computed};

#[derive(Deserialize)]
struct Config {
    cases: Vec<Sub>,
    mean: Option<[f64; 3]>,
    std: Option<[f64; 3]>,
}

#[derive(Deserialize)]
struct Sub {
    name: String,
    n_px: u32,
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let config: Config = case.config()?;
    let mut computed = Computed::default();
    for Sub { name, n_px } in &config.cases {
        let picture = picture(case, &format!("rgb_{name}"))?;
        let resized = resize_shorter_side(&picture, *n_px)?;
        let cropped = tensor(&centre_crop(&resized, *n_px)?)?;
        let unit = (cropped.permute((2, 0, 1))?.unsqueeze(0)? / 255.0)?;
        let pixels = normalise(&unit, config.mean, config.std)?.squeeze(0)?;
        computed.out(format_args!("rgb_resized_{name}"), tensor(&resized)?);
        computed.out(format_args!("pixel_values_{name}"), pixels);
    }
    Ok(computed)
}

fn picture(case: &Case, name: &str) -> Result<RgbImage> {
    let input = case.input(name)?;
    let bytes = values(input)?
        .into_iter()
        .map(|v| {
            if (0.0..=255.0).contains(&v) {
                Some(v as u8)
            } else {
                None
            }
        })
        .collect::<Option<Vec<u8>>>();
    let size = match input.dims() {
        [h, w, 3] => u32::try_from(*w).ok().zip(u32::try_from(*h).ok()),
        _ => None,
    };
    size.zip(bytes)
        .and_then(|((w, h), bytes)| RgbImage::from_raw(w, h, bytes))
        .ok_or_else(|| case.malformed(format!("in.{name} is no picture [h, w, 3] of 0 to 255")))
}

/// `[h, w, 3]`.
fn tensor(picture: &RgbImage) -> Result<Tensor> {
    let (w, h) = picture.dimensions();
    let shape = (h as usize, w as usize, 3);
    Ok(Tensor::from_slice(picture.as_raw(), shape, &Device::Cpu)?.to_dtype(DType::F32)?)
}
