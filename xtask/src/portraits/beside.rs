//! Samples of the generator, each beside the rendering that its latent was learnt from.

use candle_core::{Device, Tensor};
use domex_data::{grid::Grid, picture};
use domex_error::Result;
use domex_pretrain::{portraits::Painter, stylegan2::Teacher};
use domex_random::Streams;
use domex_stylegan2::{Generator, Noise, mapping::broadcast};
use image::RgbImage;

/// Pictures in a row.
const COLUMNS: usize = 8;

/// Rows of each kind.
const ROWS: usize = 2;

/// Rows of samples and of renderings by turns.
///
/// # Errors
///
/// A generator that makes no finite pictures.
pub fn grid(generator: &Generator, seed: u64) -> Result<RgbImage> {
    let side = generator.config().synthesis.img_resolution as u32;
    let (painter, z_dim) = (Painter { side }, generator.config().z_dim());
    let mut stream = Streams::new(seed).stream("samples beside renderings");
    let mut pictures = Vec::new();
    for _ in 0..ROWS {
        let mut numbers = vec![0f32; COLUMNS * z_dim];
        stream.fill_normal(&mut numbers);
        let z = Tensor::from_slice(&numbers, (COLUMNS, z_dim), &Device::Cpu)?;
        let w = generator.mapping().forward(Some(&z), None)?;
        let ws = broadcast(&w, generator.config().num_ws())?;
        let samples = generator.synthesis().forward(&ws, Noise::Const)?;
        pictures.extend(picture::to_rgb(&samples)?);
        pictures.extend(numbers.chunks(z_dim).map(|z| painter.picture(z)));
    }
    let labels = ["generated", "rendered"].into_iter().cycle().take(2 * ROWS);
    let grid = Grid::new(COLUMNS).row_labels(labels.map(str::to_owned));
    Ok(grid.draw(&pictures)?)
}
