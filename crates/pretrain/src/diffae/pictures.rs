//! Pictures in, and pictures for people.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_data::grid::Grid;
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_diffae::{Config, Model};
use domex_diffusion::{Spacing, standard_normal};
use domex_ops::upload;
use domex_random::Streams;

use crate::losses::psnr;
use crate::{Error, Result};

/// Pictures of a grid.
const COLUMNS: usize = 8;

/// Refuses pictures that the networks cannot be trained on.
pub(super) fn check(network: &Config, source: &dyn PictureSource) -> Result<()> {
    if source.is_empty() {
        return Err(Error::config("pictures to train on", 0, "at least one"));
    }
    let (found, side) = (source.resolution() as usize, network.unet.image_size);
    if found != side {
        let expected = format!("{side} × {side}, as the settings say");
        let found = format!("{found} × {found}");
        return Err(Error::config("size of the pictures", found, expected));
    }
    let (found, channels) = (source.channels(), network.unet.in_channels);
    if ![1, 3].contains(&channels) || found > channels {
        let expected = format!("pictures of {found} colours need at least as many, 1 or 3");
        return Err(Error::config("colours of the networks", channels, expected));
    }
    Ok(())
}

/// Pictures `[n, channels, h, w]` in `[-1, 1]`.
pub(super) fn batch(
    source: &dyn PictureSource,
    indices: &[u64],
    channels: usize,
    device: &Device,
) -> Result<Tensor> {
    let (pictures, _) = source::batch(source, indices)?;
    let pictures = match channels {
        1 => picture::from_grey(&pictures, DType::F32, &Device::Cpu)?,
        _ => picture::from_rgb(&pictures, DType::F32, &Device::Cpu)?,
    };
    Ok(upload(&pictures, device)?)
}

/// At most `n` indices, at even distances.
pub(super) fn spread(source: &dyn PictureSource, n: usize) -> Vec<u64> {
    let n = (n as u64).min(source.len()).max(1);
    (0..n).map(|i| i * (source.len() / n)).collect()
}

/// The same pictures and the same noise at every tick.
pub(super) struct Samples {
    pictures: Tensor,
    noise: Tensor,
    steps: usize,
}

impl Samples {
    /// Refuses a number of sampling steps that `network` cannot take.
    pub fn new(
        source: &dyn PictureSource,
        network: &Config,
        steps: usize,
        device: &Device,
    ) -> Result<Self> {
        let process = network.diffusion.pictures()?;
        process.spaced(steps, Spacing::Ddim)?;
        let channels = network.unet.in_channels;
        let pictures = batch(source, &spread(source, COLUMNS), channels, device)?;
        let mut stream = Streams::new(0).stream("noise of samples");
        let noise = standard_normal(&mut stream, pictures.dims(), DType::F32, device)?;
        Ok(Self {
            pictures,
            noise,
            steps,
        })
    }

    pub fn name(stamp: &str) -> String {
        format!("decoded{stamp}.png")
    }

    pub fn writes(name: &str) -> bool {
        name.starts_with("decoded") && name.ends_with(".png")
    }

    /// A row of the pictures, one of what their codes are decoded to from noise that knows nothing of them, and, if the model can
    /// make codes, one of new ones. The result is the peak signal-to-noise ratio of the second row in decibels.
    pub fn draw(&self, model: &Model, path: &Path) -> Result<f64> {
        let codes = model.encode(&self.pictures)?;
        let decoded = model.decode(&codes, &self.noise, self.steps)?;
        let mut rows = picture::to_rgb(&self.pictures)?;
        rows.extend(picture::to_rgb(&decoded)?);
        let mut labels = vec!["real", "decoded"];
        if model.networks.latent_net.is_some() {
            let mut stream = Streams::new(0).stream("noise of codes");
            let noise = standard_normal(&mut stream, codes.dims(), DType::F32, codes.device())?;
            let new = model.sample_codes(&noise, model.latent_steps)?;
            rows.extend(picture::to_rgb(&model.decode(
                &new,
                &self.noise,
                self.steps,
            )?)?);
            labels.push("new");
        }
        let grid = Grid::new(self.pictures.dim(0)?).row_labels(labels);
        picture::write_png(path, &grid.draw(&rows)?)?;
        psnr(&self.pictures, &decoded)
    }
}
