//! The same latents in the base subspace and in every domain, side by side.

use std::path::Path;

use candle_core::Tensor;
use domex_data::grid::Grid;
use domex_data::picture;
use domex_latent::Generator;
use domex_latent::subspace::{Layout, Subspaces};
use domex_random::Streams;
use image::RgbImage;

use crate::Result;
use crate::method::SourcePictures;
use crate::step::normal;

/// Pictures of the source that stand for its domain, as StyleGAN-NADA takes.
const SOURCES: usize = 16;

/// Columns of the grid.
const PEOPLE: usize = 8;

/// Domains that a grid shows; more would not fit on a screen.
const MOST: usize = 24;

/// Pictures that the generator makes before it is expanded, `[16, 3, h, w]`.
pub(crate) fn source_pictures(seed: u64, generator: &dyn Generator) -> Result<Tensor> {
    let mut stream = Streams::new(seed).stream("source pictures");
    let z = normal(
        &mut stream,
        &[SOURCES, generator.noise_dim()],
        generator.device(),
    )?;
    // As many at once as the grid has: a bound for memory.
    let parts = (0..SOURCES).step_by(PEOPLE).map(|start| {
        let z = z.narrow(0, start, PEOPLE.min(SOURCES - start))?;
        Ok(generator.synthesize(&generator.map(&z, None)?)?)
    });
    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
}

/// Pictures by the source of latents on the base subspace.
pub(crate) struct FromSource<'a> {
    pub generator: &'a dyn Generator,
    pub mean: Tensor,
    /// `None` where a domain has the whole latent space.
    pub subspaces: Option<Subspaces>,
    pub streams: Streams,
}

impl SourcePictures for FromSource<'_> {
    fn draw(&self, purpose: &str, n: usize) -> Result<(Tensor, Tensor)> {
        let mut stream = self.streams.stream(purpose);
        let dims = [n, self.generator.noise_dim()];
        let z = normal(&mut stream, &dims, self.generator.device())?;
        let mut w = self.generator.map(&z, None)?;
        if let Some(subspaces) = &self.subspaces {
            w = subspaces.project(&w, Some(&self.mean))?;
        }
        let parts = (0..n).step_by(PEOPLE).map(|start| {
            let part = w.narrow(0, start, PEOPLE.min(n - start))?;
            Ok(self.generator.synthesize(&part)?.detach())
        });
        let pictures = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?;
        Ok((w, pictures))
    }
}

/// What all grids of a run show.
pub(crate) struct Aligned {
    z: Tensor,
}

impl Aligned {
    pub fn new(seed: u64, generator: &dyn Generator) -> Result<Self> {
        let mut stream = Streams::new(seed).stream("aligned grid");
        let dims = [PEOPLE, generator.noise_dim()];
        let z = normal(&mut stream, &dims, generator.device())?;
        Ok(Self { z })
    }

    /// Writes a grid of one row: the people by a generator that is one domain.
    pub fn draw_whole(&self, generator: &dyn Generator, name: &str, path: &Path) -> Result<()> {
        let pictures = picture::to_rgb(&generator.synthesize(&generator.map(&self.z, None)?)?)?;
        let grid = Grid::new(PEOPLE)
            .row_labels(vec![name.to_owned()])
            .draw(&pictures)?;
        Ok(picture::write_png(path, &grid)?)
    }

    /// Writes the grid: the base on top, then a row for each domain, the last ones where there are
    /// too many.
    pub fn draw(
        &self,
        generator: &dyn Generator,
        mean: &Tensor,
        layout: &Layout,
        subspaces: &Subspaces,
        path: &Path,
    ) -> Result<()> {
        let w = generator.map(&self.z, None)?;
        let base = subspaces.project(&w, Some(mean))?;
        let make = |latents: &Tensor| -> Result<Vec<RgbImage>> {
            Ok(picture::to_rgb(&generator.synthesize(latents)?)?)
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
