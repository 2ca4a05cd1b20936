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
use crate::step::latents;

/// Pictures of the source that stand for its domain, as StyleGAN-NADA takes.
const SOURCES: usize = 16;

/// Columns of the grid.
const PEOPLE: usize = 8;

/// Domains that a grid shows; more would not fit on a screen.
const MOST: usize = 24;

/// Pictures that the generator makes before it is expanded, `[16, 3, h, w]`.
pub(crate) fn source_pictures(
    seed: u64,
    generator: &dyn Generator,
    class: Option<usize>,
) -> Result<Tensor> {
    let mut stream = Streams::new(seed).stream("source pictures");
    let w = latents(generator, class, SOURCES, &mut stream)?;
    synthesized(generator, &w)
}

/// Pictures made at once where no gradient is wanted: at most eight, and as few of more than 256² as that many of 256² have pixels.
pub(crate) fn at_once(generator: &dyn Generator) -> usize {
    let side = generator.resolution().max(1);
    (PEOPLE * 256 * 256 / (side * side)).clamp(1, PEOPLE)
}

/// Pictures of latents `[n, D]` without a graph, as many [at once](at_once) as fit.
fn synthesized(generator: &dyn Generator, w: &Tensor) -> Result<Tensor> {
    let (n, most) = (w.dim(0)?, at_once(generator));
    let parts = (0..n).step_by(most).map(|start| {
        let part = w.narrow(0, start, most.min(n - start))?;
        Ok(generator.synthesize(&part)?.detach())
    });
    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
}

/// Pictures by the source of latents on the base subspace.
pub(crate) struct FromSource<'a> {
    pub generator: &'a dyn Generator,
    /// `None` where a domain has the whole latent space.
    pub subspaces: Option<Subspaces>,
    /// The class of the latents; `None` for all, or where there are none.
    pub class: Option<usize>,
    pub streams: Streams,
}

impl SourcePictures for FromSource<'_> {
    fn draw(&self, purpose: &str, n: usize) -> Result<(Tensor, Tensor)> {
        let mut stream = self.streams.stream(purpose);
        let mut w = latents(self.generator, self.class, n, &mut stream)?;
        if let Some(subspaces) = &self.subspaces {
            w = subspaces.project(&w, Some(&self.generator.mean()?))?;
        }
        let pictures = synthesized(self.generator, &w)?;
        Ok((w, pictures))
    }
}

/// The same people by any generator, `[8, D]`: what all grids of a run show.
fn people(seed: u64, generator: &dyn Generator, class: Option<usize>) -> Result<Tensor> {
    let mut stream = Streams::new(seed).stream("aligned grid");
    latents(generator, class, PEOPLE, &mut stream)
}

/// What all grids of a run show. The mapping network stays as it is, so the latents do.
pub(crate) struct Aligned {
    w: Tensor, // [people, D]
}

impl Aligned {
    pub fn new(seed: u64, generator: &dyn Generator, class: Option<usize>) -> Result<Self> {
        let w = people(seed, generator, class)?;
        Ok(Self { w })
    }

    /// Writes a grid of one row: the people by a generator that is one domain.
    pub fn draw_whole(&self, generator: &dyn Generator, name: &str, path: &Path) -> Result<()> {
        let pictures = picture::to_rgb(&synthesized(generator, &self.w)?)?;
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
        let base = subspaces.project(&self.w, Some(mean))?;
        let make = |latents: &Tensor| -> Result<Vec<RgbImage>> {
            Ok(picture::to_rgb(&synthesized(generator, latents)?)?)
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
