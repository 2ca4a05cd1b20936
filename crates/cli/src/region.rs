//! A region of a picture: where domains show, as a grey picture says.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_data::file;
use domex_data::picture::{self, Background};
use domex_error::user_error;
use image::imageops::{self, FilterType};

use crate::kinds::Model;

/// The region `[1, 1, side, side]` of a file for a model's pictures: 1 where it is white, 0 where it is black or
/// transparent.
pub fn read(path: &Path, model: &Model) -> domex_error::Result<Tensor> {
    let Model::StyleGan2(model) = model else {
        return Err(user_error(format!(
            "--region: {} has no layers in which two pictures could be blended; leave it out",
            model.what()
        )));
    };
    let generator = model.generator();
    let side = generator.config().synthesis.img_resolution as u32;
    // Where nothing was painted on a transparent layer, the base shows.
    let bytes = file::read(path, file::LARGEST_PICTURE)?;
    let decoded = picture::decode_on(&bytes, path, Background([0; 3]))?;
    if decoded.turned {
        tracing::warn!("{}: is turned upright, as its EXIF says", path.display());
    }
    let (width, height) = decoded.picture.dimensions();
    if width != height {
        return Err(user_error(format!(
            "--region {}: is {width} × {height}; give a square picture, white where domains are to show",
            path.display()
        )));
    }
    let grey = imageops::grayscale(&decoded.picture);
    let grey = imageops::resize(&grey, side, side, FilterType::Triangle);
    let shares: Vec<f32> = grey
        .into_raw()
        .into_iter()
        .map(|level| f32::from(level) / 255.0)
        .collect();
    of(
        &shares,
        side as usize,
        generator.synthesis().device(),
        generator.synthesis().dtype(),
    )
}

/// The same of shares from 0 to 1, row by row.
pub fn of(
    shares: &[f32],
    side: usize,
    device: &Device,
    dtype: DType,
) -> domex_error::Result<Tensor> {
    Ok(Tensor::from_slice(shares, (1, 1, side, side), device)?.to_dtype(dtype)?)
}
