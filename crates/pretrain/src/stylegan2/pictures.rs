//! Pictures for people: a grid of real ones, and one of fakes at each tick.

use std::path::Path;

use candle_core::{Device, Tensor};
use domex_data::grid::Grid;
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_random::Streams;
use domex_stylegan2::{Generator, Noise, Truncation};

use super::phases::normal;
use crate::Result;

/// Pictures of a grid.
const COLUMNS: usize = 8;
const ROWS: usize = 4;

/// Pictures that are computed at once.
const CHUNK: usize = 8;

/// What all grids of a run show: the same latents and labels.
pub(super) struct Samples {
    z: Tensor,
    labels: Option<Tensor>,
}

impl Samples {
    /// Draws latents, and labels from the pictures where they have any.
    pub fn new(
        seed: u64,
        z_dim: usize,
        source: &dyn PictureSource,
        device: &Device,
    ) -> Result<Self> {
        let n = COLUMNS * ROWS;
        let mut stream = Streams::new(seed).stream("sample grid");
        let z = normal(&mut stream, &[n, z_dim], device)?;
        let labels = if source.label_dim() > 0 {
            let indices = first(source, n);
            let mut values = Vec::with_capacity(n * source.label_dim());
            for at in 0..n {
                values.extend(source.label(indices[at % indices.len()])?);
            }
            Some(Tensor::from_vec(values, (n, source.label_dim()), device)?)
        } else {
            None
        };
        Ok(Self { z, labels })
    }

    /// The generator's pictures of these latents, with the noise of the model itself.
    pub fn draw(&self, generator: &Generator, path: &Path) -> Result<()> {
        let n = self.z.dim(0)?;
        let mut pictures = Vec::with_capacity(n);
        for at in (0..n).step_by(CHUNK) {
            let part = CHUNK.min(n - at);
            let z = self.z.narrow(0, at, part)?;
            let labels = self.labels.as_ref().map(|l| l.narrow(0, at, part));
            let labels = labels.transpose()?;
            let made = generator.forward(&z, labels.as_ref(), Truncation::NONE, Noise::Const)?;
            pictures.extend(picture::to_rgb(&made)?);
        }
        Ok(picture::write_png(path, &grid().draw(&pictures)?)?)
    }
}

/// A grid of real pictures, spread over the set.
pub(super) fn draw_reals(source: &dyn PictureSource, path: &Path) -> Result<()> {
    let (pictures, _) = source::batch(source, &first(source, COLUMNS * ROWS))?;
    Ok(picture::write_png(path, &grid().draw(&pictures)?)?)
}

fn grid() -> Grid {
    Grid::new(COLUMNS)
}

/// At most `n` indices, at even distances.
fn first(source: &dyn PictureSource, n: usize) -> Vec<u64> {
    let n = (n as u64).min(source.len()).max(1);
    (0..n).map(|i| i * (source.len() / n)).collect()
}
