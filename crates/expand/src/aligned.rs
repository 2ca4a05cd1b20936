//! The same latents in the base subspace and in every domain, side by side.

use std::path::Path;

use candle_core::{Device, Tensor};
use domex_data::grid::Grid;
use domex_data::picture;
use domex_latent::subspace::{Layout, Subspaces};
use domex_random::Streams;
use domex_stylegan2::{Generator, Noise, mapping::broadcast};
use image::RgbImage;

use crate::Result;
use crate::phases::normal;

/// Columns of the grid.
const PEOPLE: usize = 8;

/// Domains that a grid shows; more would not fit on a screen.
const MOST: usize = 24;

/// What all grids of a run show.
pub(crate) struct Aligned {
    z: Tensor,
}

impl Aligned {
    pub fn new(seed: u64, z_dim: usize, device: &Device) -> Result<Self> {
        let mut stream = Streams::new(seed).stream("aligned grid");
        let z = normal(&mut stream, &[PEOPLE, z_dim], device)?;
        Ok(Self { z })
    }

    /// Pictures that the generator makes before it is expanded, `[n, 3, h, w]`.
    pub fn source_pictures(&self, generator: &Generator) -> Result<Tensor> {
        let w = generator.mapping().forward(Some(&self.z), None)?;
        let ws = broadcast(&w, generator.config().num_ws())?;
        Ok(generator.synthesis().forward(&ws, Noise::Const)?)
    }

    /// Writes the grid: the base on top, then a row for each domain, the last ones where there are
    /// too many.
    pub fn draw(
        &self,
        generator: &Generator,
        mean: &Tensor,
        layout: &Layout,
        subspaces: &Subspaces,
        path: &Path,
    ) -> Result<()> {
        let w = generator.mapping().forward(Some(&self.z), None)?;
        let base = subspaces.project(&w, Some(mean))?;
        let make = |latents: &Tensor| -> Result<Vec<RgbImage>> {
            let ws = broadcast(latents, generator.config().num_ws())?;
            let pictures = generator.synthesis().forward(&ws, Noise::Const)?;
            Ok(picture::to_rgb(&pictures)?)
        };
        let mut pictures = make(&base)?;
        let mut labels = vec!["base".to_owned()];
        let domains = layout.domains();
        for domain in &domains[domains.len().saturating_sub(MOST)..] {
            let strengths = layout.strengths(&[(&domain.name, 1.0)])?;
            pictures.extend(make(&subspaces.compose(&base, &strengths)?)?);
            labels.push(domain.name.clone());
        }
        let grid = Grid::new(PEOPLE).row_labels(labels).draw(&pictures)?;
        Ok(picture::write_png(path, &grid)?)
    }
}
