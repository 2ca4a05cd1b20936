//! The pictures of a report.

use candle_core::{DType, Tensor};
use domex_data::picture;
use domex_latent::sample::draw_labels;
use domex_latent::subspace::Subspaces;
use domex_latent::{Expansion, Generator};
use domex_random::{RandomState, Streams};
use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::Result;
use crate::aligned::at_once;

use super::Expanded;

/// Columns of the aligned pictures: the seeds 0 to 7 of `domex generate`.
pub const SEEDS: u32 = 8;

/// Domains that are shown, and those of which all pairs are.
const MOST: usize = 40;
const MOST_IN_PAIRS: usize = 10;

/// How far along the way.
const ALPHAS: [f64; 6] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.25];

/// Pixels on a side at most: a page with the pictures in it must stay one that can be mailed.
const LARGEST: u32 = 128;

/// Pictures in rows and columns, each with a label.
#[derive(Debug, Default)]
pub struct Gallery {
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<RgbImage>)>,
    /// Domains that there was no room for.
    pub left_out: usize,
}

/// Makes them: the first seeds, in the model's domains.
pub struct Pictures<'a> {
    generator: &'a dyn Generator,
    source: Option<&'a dyn Generator>,
    expansion: &'a Expansion,
    subspaces: Subspaces,
    class: Option<usize>,
    base: Tensor, // [people, D]
}

impl<'a> Pictures<'a> {
    pub fn new(model: Expanded<'a>, source: Option<&'a dyn Generator>) -> Result<Self> {
        let Expanded {
            generator,
            expansion,
            class,
            ..
        } = model;
        let device = generator.device();
        let w = people(generator, class)?;
        let subspaces = expansion
            .layout
            .subspaces(&expansion.basis, device, DType::F32)?;
        let base = subspaces.project(&w, Some(&expansion.mean))?;
        Ok(Self {
            generator,
            source,
            expansion,
            subspaces,
            class,
            base,
        })
    }

    /// The base subspace, made by the source where it is there, and by the model, and every domain.
    pub fn aligned(&self) -> Result<Gallery> {
        let mut rows = Vec::new();
        if let Some(source) = self.source {
            rows.push(("before".to_owned(), made(source, &self.base)?));
        }
        rows.push(("base".to_owned(), made(self.generator, &self.base)?));
        let domains = self.expansion.layout.domains();
        for domain in domains.iter().take(MOST) {
            let w = self.moved(&self.base, &[(&domain.name, 1.0)])?;
            rows.push((domain.name.clone(), made(self.generator, &w)?));
        }
        Ok(Gallery {
            columns: (0..SEEDS).map(|seed| self.column(seed)).collect(),
            rows,
            left_out: domains.len().saturating_sub(MOST),
        })
    }

    fn column(&self, seed: u32) -> String {
        match class_of(seed, self.generator, self.class) {
            Some(class) => format!("seed {seed}, class {class}"),
            None => format!("seed {seed}"),
        }
    }

    /// One person on the way into each domain.
    pub fn transitions(&self) -> Result<Gallery> {
        let mut rows = Vec::new();
        let base = self.base.narrow(0, 0, 1)?;
        for domain in self.expansion.layout.domains().iter().take(MOST) {
            let way = ALPHAS.map(|alpha| self.moved(&base, &[(&domain.name, alpha)]));
            let way = way.into_iter().collect::<Result<Vec<_>>>()?;
            rows.push((
                domain.name.clone(),
                made(self.generator, &Tensor::cat(&way, 0)?)?,
            ));
        }
        Ok(Gallery {
            columns: ALPHAS.iter().map(f64::to_string).collect(),
            rows,
            left_out: 0,
        })
    }

    /// Every domain with every other one; `None` where there is no other one.
    pub fn pairs(&self) -> Result<Option<Gallery>> {
        let domains = self.expansion.layout.domains();
        let shown = &domains[..domains.len().min(MOST_IN_PAIRS)];
        if shown.len() < 2 {
            return Ok(None);
        }
        let mut rows = Vec::new();
        for (i, one) in shown.iter().enumerate() {
            let mut row = Vec::new();
            for (j, other) in shown.iter().enumerate() {
                let base = self.base.narrow(0, usize::from(j < i), 1)?;
                let mut parts = vec![(one.name.as_str(), 1.0)];
                if i != j {
                    parts.push((&other.name, 1.0));
                }
                row.push(self.moved(&base, &parts)?);
            }
            rows.push((
                one.name.clone(),
                made(self.generator, &Tensor::cat(&row, 0)?)?,
            ));
        }
        Ok(Some(Gallery {
            columns: shown.iter().map(|domain| domain.name.clone()).collect(),
            rows,
            left_out: domains.len() - shown.len(),
        }))
    }

    fn moved(&self, base: &Tensor, parts: &[(&str, f64)]) -> Result<Tensor> {
        let strengths = self.expansion.layout.strengths(parts)?;
        Ok(self.subspaces.compose(base, &strengths)?)
    }
}

/// Latents of the seeds, `[n, D]`: all of one class, or of a generator's classes in turn.
fn people(generator: &dyn Generator, class: Option<usize>) -> Result<Tensor> {
    let noise = generator.noise_dim();
    let z = (0..SEEDS).flat_map(|seed| RandomState::new(seed).randn(noise));
    let z: Vec<f32> = z.map(|value| value as f32).collect();
    let z = Tensor::from_vec(z, (SEEDS as usize, noise), generator.device())?;
    // Each class is named, so nothing is drawn.
    let mut stream = Streams::new(0).stream("classes");
    let labels = (0..SEEDS).filter_map(|seed| {
        let class = class_of(seed, generator, class);
        draw_labels(generator, class, 1, &mut stream).transpose()
    });
    let labels = labels.collect::<domex_latent::Result<Vec<_>>>()?;
    let labels = match labels.is_empty() {
        true => None,
        false => Some(Tensor::cat(&labels, 0)?),
    };
    Ok(generator.map(&z, labels.as_ref())?)
}

/// The class of a seed's picture, where there are classes.
fn class_of(seed: u32, generator: &dyn Generator, class: Option<usize>) -> Option<usize> {
    let turn = (seed as usize).checked_rem(generator.label_dim());
    class.or(turn)
}

/// Pictures of latents `[n, D]`.
fn made(generator: &dyn Generator, w: &Tensor) -> Result<Vec<RgbImage>> {
    let count = w.dim(0)?;
    let mut pictures = Vec::with_capacity(count);
    let most = at_once(generator);
    for start in (0..count).step_by(most) {
        let part = w.narrow(0, start, most.min(count - start))?;
        pictures.extend(picture::to_rgb(&generator.synthesize(&part)?)?);
    }
    Ok(pictures)
}

/// The picture as it stands on the page.
pub fn shown(picture: &RgbImage) -> RgbImage {
    let (w, h) = picture.dimensions();
    if w.max(h) <= LARGEST {
        return picture.clone();
    }
    let scale = |v: u32| (v * LARGEST / w.max(h)).max(1);
    imageops::resize(picture, scale(w), scale(h), FilterType::CatmullRom)
}
