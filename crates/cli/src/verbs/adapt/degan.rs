//! A domain by the encoder: offsets of styles, from a picture.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::{DType, Device};
use domex_data::picture;
use domex_degan::{file, stylespace};
use domex_error::user_error;
use domex_latent::expansion::Rows;
use domex_stylegan2::Model as StyleGan2;
use serde_json::json;

use super::{Adapt, Network, Vectors};
use crate::context::Context;
use crate::crop::Cropper;

/// The domain of each picture.
pub fn vectors(
    context: &Context,
    args: &Adapt,
    network: &Network,
    model: &StyleGan2,
    cropper: &Cropper,
) -> domex_error::Result<Vec<Vectors>> {
    let (encoder, purpose) = file::read(&network.path, &context.device)?;
    let synthesis = model.g_ema.synthesis();
    let (given, wanted) = (
        &encoder.config().domain_dims_per_resolution,
        stylespace::dims(synthesis),
    );
    if *given != wanted {
        let numbers = |dims: &[Vec<usize>]| {
            let styles = dims.iter().flatten();
            (styles.clone().sum::<usize>(), styles.count())
        };
        let ((numbers, styles), (own, layers)) = (numbers(given), numbers(&wanted));
        return Err(user_error(format!(
            "{}: moves {numbers} numbers of {styles} styles, and the generator has {own} of {layers}, or in other places; an encoder serves generators of its own widths only",
            network.shown()
        )));
    }
    network.check_generator(args, model, &purpose.generator)?;
    let side = synthesis.config().img_resolution as u32;
    let one = |image: &PathBuf| -> domex_error::Result<Vectors> {
        // Training saw the square in the middle, as large as the generator's pictures.
        let seen = cropper.read(image, side)?;
        let begin = Instant::now();
        let pixels = picture::from_rgb(std::slice::from_ref(&seen), DType::F32, &context.device)?;
        let made = encoder.forward(&encoder.preprocess(&pixels)?)?;
        let mut offsets = Rows::new();
        for (name, offset) in synthesis.style_names().into_iter().zip(made) {
            let offset = (offset.flatten_all()? * purpose.multiplier)?;
            offsets.insert(name, offset.to_device(&Device::Cpu)?);
        }
        Ok(Vectors {
            offsets,
            factors: Rows::new(),
            picture: Some(seen),
            seconds: begin.elapsed().as_secs_f64(),
            task: json!({ "picture": image.file_name().unwrap_or_default().to_string_lossy() }),
        })
    };
    args.image.iter().map(one).collect()
}
