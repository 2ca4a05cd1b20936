//! How near a diffusion autoencoder's pictures come to what it encoded, and what the pictures of its latent prior show.

use std::{process::ExitCode, time::Instant};

use candle_core::{D, Device, Tensor};
use domex_data::{folder::OutputFolder, grid::Grid, picture, portraits::Domain};
use domex_diffae::Model;
use domex_diffusion::standard_normal;
use domex_error::Result;
use domex_eval::Evaluators;
use domex_judge::Judge;
use domex_random::{Stream, Streams};
use image::RgbImage;

use super::{
    Args, What,
    nearness::{Row, fresh},
};
use crate::out::{say, write_json};

/// Sampling steps; with noise that was encoded in as many, and with random noise.
const STEPS: [usize; 3] = [5, 10, 20];

/// Pictures at once.
const BATCH: usize = 8;

/// Columns of the grid.
const SHOWN: usize = 8;

/// Measures the autoencoder, and writes figures and a grid.
pub fn measure(args: &Args) -> Result<ExitCode> {
    let file = args.generator.clone();
    let model = Model::load(file.unwrap_or_else(|| args.network("diffae")), &Device::Cpu)?;
    let perceptual = args.perceptual()?;
    let judge = Judge::load(args.network("judge"), &Device::Cpu)?;
    let by = Evaluators {
        judge: &judge,
        perceptual: &perceptual,
    };
    let folder = OutputFolder::create(args.folder(What::Reconstruction)?, args.force)?;
    let count = args.pictures.unwrap_or(32);
    let rendered = fresh(count, model.config().unet.image_size as u32, args.seed);
    let wanted = picture::from_rgb(&rendered, model.dtype(), model.device())?;
    let mut noise = Streams::new(args.seed).stream("noise of reconstructions");
    let (mut scores, mut labels) = (serde_json::Map::new(), vec!["given".to_owned()]);
    let mut rows = vec![rendered];
    for encoded in [true, false] {
        for steps in STEPS {
            let start = Instant::now();
            let noise = (!encoded).then_some(&mut noise);
            let made = reconstructed(&model, &wanted, noise, steps)?;
            let row = Row::between(
                &made,
                &wanted,
                by,
                start.elapsed().as_secs_f64() / count as f64,
            )?;
            let kind = if encoded { "encoded" } else { "random" };
            let name = format!("{kind} noise, {steps} steps");
            say!("{name:24} {row}");
            scores.insert(name.clone(), serde_json::to_value(row)?);
            labels.push(name);
            rows.push(picture::to_rgb(&made)?);
        }
    }
    let samples = samples(&model, count, &mut noise)?;
    let photographs = photographs(&judge, &samples)?;
    say!("samples judged photographs {photographs:.3}");
    scores.insert("samples judged photographs".into(), photographs.into());
    scores.insert("pictures".into(), count.into());
    labels.push("samples".to_owned());
    rows.push(picture::to_rgb(&samples)?);
    write_json(&folder.file("scores.json"), &scores.into())?;
    let shown = count.min(SHOWN);
    let cells = rows.iter().flat_map(|row| &row[..shown]).cloned();
    let cells: Vec<RgbImage> = cells.collect();
    let grid = Grid::new(shown).row_labels(labels);
    picture::write_png(&folder.file("grid.png"), &grid.draw(&cells)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Encoded and decoded in so many steps, with noise of the stream or that of the pictures themselves.
fn reconstructed(
    model: &Model,
    pictures: &Tensor,
    mut noise: Option<&mut Stream>,
    steps: usize,
) -> Result<Tensor> {
    let (count, mut made) = (pictures.dim(0)?, Vec::new());
    for first in (0..count).step_by(BATCH) {
        let part = pictures.narrow(0, first, BATCH.min(count - first))?;
        let codes = model.encode(&part)?;
        let noise = match &mut noise {
            Some(stream) => standard_normal(stream, part.dims(), model.dtype(), model.device())?,
            None => model.encode_noise(&part, &codes, steps)?,
        };
        made.push(model.decode(&codes, &noise, steps)?);
    }
    Ok(Tensor::cat(&made, 0)?)
}

/// Pictures of new codes of the latent prior.
fn samples(model: &Model, count: usize, noise: &mut Stream) -> Result<Tensor> {
    let unet = &model.config().unet;
    let (side, mut made) = (unet.image_size, Vec::new());
    for first in (0..count).step_by(BATCH) {
        let n = BATCH.min(count - first);
        let mut normal =
            |dims: &[usize]| standard_normal(noise, dims, model.dtype(), model.device());
        let codes = model.sample_codes(&normal(&[n, unet.cond_channels])?, model.latent_steps)?;
        let x_t = normal(&[n, unet.in_channels, side, side])?;
        made.push(model.decode(&codes, &x_t, model.steps)?);
    }
    Ok(Tensor::cat(&made, 0)?)
}

/// The share that the judge takes for photographs.
fn photographs(judge: &Judge, pictures: &Tensor) -> Result<f64> {
    let classes = &judge.config().factors[0].classes;
    let photo = classes
        .iter()
        .position(|class| class == Domain::Photo.name());
    let seen = judge.forward(&pictures.clamp(-1.0, 1.0)?)?.swap_remove(0);
    let seen = seen.argmax(D::Minus1)?.to_vec1::<u32>()?;
    let right = seen.iter().filter(|&&class| Some(class as usize) == photo);
    Ok(right.count() as f64 / seen.len().max(1) as f64)
}
