//! What networks that make domains for a frozen generator have in common: latents, the sum of a loss, the table of a tick.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_clip::unit_length;
use domex_data::grid::Grid;
use domex_data::picture::{to_rgb, write_png};
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_nada::direction::{Guard, cosine};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Noise, Truncation};
use domex_train::{Losses, Measures};
use image::{Rgb, RgbImage};

use crate::Result;

/// The numbers `z` of `n` latents.
pub(crate) fn draw(generator: &Generator, n: usize, stream: &mut Stream) -> Vec<f32> {
    let mut z = vec![0f32; n * generator.config().z_dim()];
    stream.fill_normal(&mut z);
    z
}

/// Latents `[n, num_ws, w_dim]` of such numbers, without a graph.
pub(crate) fn latents(generator: &Generator, z: Vec<f32>, device: &Device) -> Result<Tensor> {
    let z = Tensor::from_vec(z, ((), generator.config().z_dim()), &Device::Cpu)?;
    let z = upload(&z, device)?;
    Ok(generator.latents(&z, None, Truncation::NONE)?.detach())
}

/// A loss, term by term.
pub(crate) struct Terms {
    total: Tensor,
    values: BTreeMap<&'static str, f64>,
}

impl Terms {
    pub(crate) fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            total: Tensor::zeros((), DType::F32, device)?,
            values: BTreeMap::new(),
        })
    }

    /// Adds a scalar; nothing for a weight of 0. Terms of one name count as one.
    pub(crate) fn add(&mut self, name: &'static str, weight: f64, term: &Tensor) -> Result<()> {
        if weight > 0.0 {
            let part = (term * weight)?;
            *self.values.entry(name).or_default() += f64::from(part.to_scalar::<f32>()?);
            self.total = (&self.total + part)?;
        }
        Ok(())
    }

    /// The sum, and all numbers for the record.
    pub(crate) fn finish(self) -> Result<(Tensor, Losses)> {
        let mut losses = Losses::default();
        losses.put("loss", f64::from(self.total.to_scalar::<f32>()?));
        for (name, value) in self.values {
            losses.put(name, value);
        }
        Ok((self.total, losses))
    }
}

/// Adds how far edited pictures are from those that should come out: by the perceptual network, if there is one, and by squares.
pub(crate) fn by_pictures(
    terms: &mut Terms,
    perceptual: Option<&Lpips>,
    [by_network, by_squares]: [f64; 2],
    [wanted, edited]: [&Tensor; 2],
) -> Result<()> {
    if let Some(network) = perceptual {
        let target = network.features(wanted)?.detach();
        let apart = network.between(&target, &network.features(edited)?)?;
        terms.add("perceptual", by_network, &apart.mean_all()?)?;
    }
    let squares = (edited - wanted)?.sqr()?.mean_all()?;
    terms.add("squares", by_squares, &squares)
}

/// Latents that every domain is measured on.
const LATENTS: usize = 4;

/// How far edits of the same pictures go the way that they should, domain by domain, and a grid of them.
pub(crate) struct Table<'a> {
    guide: &'a Guide,
    /// `[LATENTS, num_ws, w_dim]`.
    pub(crate) ws: Tensor,
    /// Features of the base pictures, at length 1.
    seen: Tensor,
    /// Whether a row begins with the picture that shows its style.
    with_styles: bool,
    cells: Vec<RgbImage>,
    captions: Vec<String>,
    cosines: Vec<f64>,
}

impl<'a> Table<'a> {
    /// One whose first row, called `source`, has the base pictures.
    pub(crate) fn new(
        generator: &Generator,
        guide: &'a Guide,
        (seed, source): (u64, &str),
        with_styles: bool,
        device: &Device,
    ) -> Result<Self> {
        let mut stream = Streams::new(seed).stream("measured latents");
        let ws = latents(generator, draw(generator, LATENTS, &mut stream), device)?;
        let base = generator.synthesis().forward(&ws, Noise::Const)?.detach();
        let mut table = Self {
            guide,
            ws,
            seen: unit_length(&guide.features(&base)?)?,
            with_styles,
            cells: Vec::new(),
            captions: Vec::new(),
            cosines: Vec::new(),
        };
        let (_, _, h, w) = base.dims4()?;
        let blank = RgbImage::from_pixel(w as u32, h as u32, Rgb([255; 3]));
        table.draw(source, &blank, &base)?;
        Ok(table)
    }

    fn draw(&mut self, name: &str, style: &RgbImage, pictures: &Tensor) -> Result<()> {
        if self.with_styles {
            self.cells.push(style.clone());
        }
        self.cells.extend(to_rgb(pictures)?);
        self.captions.push(name.to_owned());
        self.captions.resize(self.cells.len(), String::new());
        Ok(())
    }

    fn columns(&self) -> usize {
        LATENTS + usize::from(self.with_styles)
    }

    /// A domain: what the latents look like in it, and the way `[1, d]` that their features should go. `style` is drawn where
    /// rows begin with one.
    pub(crate) fn row(
        &mut self,
        name: &str,
        style: Option<&RgbImage>,
        edited: &Tensor,
        way: &Tensor,
    ) -> Result<()> {
        let edited = edited.detach();
        let step = (unit_length(&self.guide.features(&edited)?)? - &self.seen)?;
        let cosine = cosine(&step, way, Guard::default())?.mean_all()?;
        self.cosines.push(f64::from(cosine.to_scalar::<f32>()?));
        let blank = RgbImage::default();
        self.draw(name, style.unwrap_or(&blank), &edited)
    }

    /// Writes the grid. The mean cosine of the first `trained` rows and of the others.
    pub(crate) fn finish(self, trained: usize, path: &Path) -> Result<Measures> {
        let grid = Grid::new(self.columns()).captions(self.captions.iter().map(String::as_str));
        write_png(path, &grid.draw(&self.cells)?)?;
        let (trained, unseen) = self.cosines.split_at(trained.min(self.cosines.len()));
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let mut values = vec![("direction/trained".to_owned(), mean(trained))];
        if !unseen.is_empty() {
            values.push(("direction/unseen".to_owned(), mean(unseen)));
        }
        Ok(Measures {
            score: Some(1.0 - mean(trained)),
            values,
        })
    }
}
