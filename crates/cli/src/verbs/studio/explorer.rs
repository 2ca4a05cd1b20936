//! A generator as the studio's engine: from settings to latents to pictures.

use std::collections::{BTreeMap, VecDeque};

use candle_core::{DType, Tensor};
use domex_error::{AnyError, user_error};
use domex_latent::basis::Basis;
use domex_latent::sample::draw_latents;
use domex_random::Streams;
use domex_studio::{
    Direction, Engine, Found, Frame, Info, Mixing, PhotoBytes, PhotoId, Settings, Source, Stop,
};
use domex_stylegan2::replace_rows;
use image::RgbImage;

use super::Studio;
use super::photos::Finder;
use super::start::Start;
use crate::args::{self, SynthesisArgs};
use crate::basis;
use crate::context::Context;
use crate::domains::Domains;
use crate::kinds::Model;
use crate::pictures::{DRAFT_SIDE, Painter};
use crate::region;

/// Directions that the page offers.
const DIRECTIONS: usize = 32;

/// Latents that say how far it is sensible to go along a direction.
const SAMPLES: usize = 256;

/// How far, in their standard deviations.
const DEVIATIONS: f64 = 3.0;

/// The least reach of a slider, as a share of a domain's distance: a dormant direction moves nothing before that.
const LEAST_REACH: f64 = 0.05;

/// Starts that are kept, as the next picture mostly has the same: those of a strip and of keyframes.
const KEPT: usize = 64;

/// See the [module docs](self).
pub struct Explorer<'a> {
    model: &'a Model,
    info: Info,
    painter: Painter<'a>,
    domains: Option<Domains<'a>>,
    basis: Basis,
    /// How far a direction's strength 1 is.
    unit: f64,
    mean: Tensor, // [D]
    finder: Finder<'a>,
    starts: VecDeque<(Source, Start)>,
}

/// What one picture is made of.
struct Place {
    inside: Start,
    /// The base's latent, which is seen outside the region.
    outside: Tensor,
    /// Shares of the first, row by row; `None` for all of it.
    region: Option<Vec<f32>>,
}

impl Place {
    /// The shares of so many pixels.
    fn shares(&self, count: usize) -> Vec<f32> {
        self.region.clone().unwrap_or_else(|| vec![1.0; count])
    }

    /// Part of the way to another.
    fn towards(&self, other: &Self, at: f64) -> domex_error::Result<Self> {
        let region = self.region.as_ref().or(other.region.as_ref());
        let region = region.map(|region| {
            let (from, to) = (self.shares(region.len()), other.shares(region.len()));
            let pairs = from.into_iter().zip(to);
            pairs
                .map(|(from, to)| from + (to - from) * at as f32)
                .collect()
        });
        Ok(Self {
            inside: self.inside.towards(&other.inside, at)?,
            outside: ((&self.outside * (1.0 - at))? + (&other.outside * at)?)?,
            region,
        })
    }
}

impl<'a> Explorer<'a> {
    /// Of a model that the page calls `name`, with the verb's flags.
    pub fn new(
        context: &Context,
        model: &'a Model,
        name: &str,
        args: &Studio,
    ) -> domex_error::Result<Self> {
        let generator = model.generator();
        let expansion = model.expansion();
        let domains = match expansion {
            Some(_) => Some(Domains::of(generator, expansion, "studio")?),
            None => None,
        };
        let finder = Finder::new(context, model, domains.as_ref(), args)?;
        let (basis, unit) = (
            basis::of(model, basis::Choice::DomainExpansion)?,
            model.distance()?,
        );
        let mean = match expansion {
            Some(expansion) => expansion.mean.clone(),
            None => generator.mean()?,
        };
        let names = expansion.map(|expansion| expansion.layout.domains().iter());
        let info = Info {
            model: name.to_owned(),
            kind: model.what().to_owned(),
            resolution: generator.resolution() as u32,
            domains: names
                .into_iter()
                .flatten()
                .map(|domain| domain.name.clone())
                .collect(),
            directions: directions(context, model, &basis, unit)?,
            styles: match model {
                Model::StyleGan2(_) | Model::StyleGan3(_) => generator.layers(),
                Model::DiffAe(_) => 0,
            },
            regions: matches!(model, Model::StyleGan2(_)),
            drafts: match model {
                Model::StyleGan2(_) => generator.resolution() > DRAFT_SIDE,
                // Its pictures come whole, from the last layer.
                Model::StyleGan3(_) => false,
                Model::DiffAe(_) => true,
            },
            photos: finder.support(),
        };
        Ok(Self {
            model,
            info,
            painter: Painter::new(context, model, &synthesis(args))?,
            domains,
            basis,
            unit,
            mean: mean
                .to_device(generator.device())?
                .to_dtype(generator.dtype())?,
            finder,
            starts: VecDeque::new(),
        })
    }

    /// Latents `[1, rows, D]` and noise of settings.
    fn place(
        &mut self,
        settings: &Settings,
        photos: &BTreeMap<PhotoId, PhotoBytes>,
    ) -> domex_error::Result<Place> {
        let mut start = self.start(&settings.source, photos)?;
        if let Some(Mixing { seed, first, last }) = settings.mixing {
            let other = self.start(&Source::Seed(seed), photos)?;
            let layers: Vec<usize> = (first..=last).collect();
            start.w = replace_rows(&start.w, &other.w, &layers)?;
        }
        let psi = settings.truncation;
        let mut w = if psi == 1.0 {
            // To the bit what `domex generate` starts from.
            start.w
        } else {
            (start.w.broadcast_sub(&self.mean)? * psi)?.broadcast_add(&self.mean)?
        };
        let mut outside = w.clone();
        if let Some(domains) = &self.domains {
            let parts: Vec<(String, f64)> = settings.domains.clone().into_iter().collect();
            outside = domains.base(&w)?;
            w = domains.moved(&outside, &parts)?;
        }
        let moved = settings
            .directions
            .iter()
            .filter(|(_, share)| **share != 0.0);
        for (&dimension, &share) in moved {
            let direction = self.basis.directions(&[dimension], w.device(), w.dtype())?;
            w = w.broadcast_add(&(direction * (share * self.unit))?)?;
        }
        Ok(Place {
            inside: Start {
                w,
                noise: start.noise,
            },
            outside,
            region: settings
                .region
                .as_ref()
                .map(|region| region.shares(self.info.resolution)),
        })
    }

    /// Where a seed or photo starts, without truncation.
    fn start(
        &mut self,
        source: &Source,
        photos: &BTreeMap<PhotoId, PhotoBytes>,
    ) -> domex_error::Result<Start> {
        if let Some((_, start)) = self.starts.iter().find(|(known, _)| known == source) {
            return Ok(start.clone());
        }
        let start = match source {
            Source::Seed(seed) => {
                let w = self.painter.latents(&[*seed])?;
                Start {
                    w,
                    noise: self.painter.network().noises(),
                }
            }
            Source::Photo(id) => {
                let bytes = photos.get(id);
                let bytes = bytes.ok_or_else(|| user_error("the photo is not here any more"))?;
                Start::read(self.model, bytes)?
            }
        };
        self.starts.push_back((source.clone(), start.clone()));
        if self.starts.len() > KEPT {
            self.starts.pop_front();
        }
        Ok(start)
    }

    fn frame(
        &mut self,
        frame: &Frame,
        photos: &BTreeMap<PhotoId, PhotoBytes>,
    ) -> domex_error::Result<Place> {
        let from = self.place(&frame.from, photos)?;
        if frame.at == 0.0 {
            return Ok(from);
        }
        from.towards(&self.place(&frame.to, photos)?, frame.at)
    }
}

impl Engine for Explorer<'_> {
    fn info(&self) -> Info {
        self.info.clone()
    }

    fn draw(
        &mut self,
        frames: &[Frame],
        photos: &BTreeMap<PhotoId, PhotoBytes>,
        draft: bool,
        stop: &Stop,
    ) -> domex_error::Result<Vec<RgbImage>> {
        let places = frames.iter().map(|frame| self.frame(frame, photos));
        let places = places.collect::<domex_error::Result<Vec<_>>>()?;
        let mut pictures = Vec::with_capacity(frames.len());
        let mut done = |_, picture| {
            pictures.push(picture);
            match stop.is_set() {
                true => Err(AnyError::internal("stopped")),
                false => Ok(()),
            }
        };
        let (dtype, device) = (self.mean.dtype(), self.mean.device().clone());
        let network = self.painter.network();
        network.set_draft(draft);
        // Each with a region of its own; without any, all at once.
        if places.iter().any(|place| place.region.is_some()) {
            let side = self.info.resolution as usize;
            for place in &places {
                let shares = place.shares(side * side);
                let region = region::of(&shares, side, &device, dtype)?;
                let outside = Some((&region, &place.outside));
                self.painter
                    .paint_where(&place.inside.w, outside, &mut done)?;
            }
            return Ok(pictures);
        }
        let ws: Vec<Tensor> = places.iter().map(|place| place.inside.w.clone()).collect();
        let noises = places.into_iter().map(|place| place.inside.noise);
        let noises: Option<Vec<Tensor>> = noises.collect();
        let noises = noises.map(|noises| Tensor::cat(&noises, 0)).transpose()?;
        network.set_noises(noises);
        self.painter.paint(&Tensor::cat(&ws, 0)?, &mut done)?;
        Ok(pictures)
    }

    fn find(&mut self, photo: &RgbImage, steps: u32, stop: &Stop) -> domex_error::Result<Found> {
        self.finder.find(photo, steps, stop)
    }
}

/// The first directions that no domain holds, each with how far latents lie along it.
fn directions(
    context: &Context,
    model: &Model,
    basis: &Basis,
    unit: f64,
) -> domex_error::Result<Vec<Direction>> {
    let taken = model
        .expansion()
        .map(|expansion| expansion.layout.repurposed());
    let taken = taken.unwrap_or_default();
    let free: Vec<usize> = (0..basis.count())
        .filter(|dimension| !taken.contains(dimension))
        .take(DIRECTIONS)
        .collect();
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let generator = model.generator();
    let mut stream = Streams::new(context.seed).stream("studio.directions");
    let latents = draw_latents(generator, SAMPLES, &mut stream)?.to_dtype(DType::F64)?;
    let rows = basis.directions(&free, latents.device(), DType::F64)?;
    let along = latents.matmul(&rows.t()?)?;
    let apart = along.broadcast_sub(&along.mean_keepdim(0)?)?;
    let deviations = apart.sqr()?.mean(0)?.sqrt()?.to_vec1::<f64>()?;
    let reaches = deviations.into_iter().map(|deviation| {
        let reach = (DEVIATIONS * deviation / unit).max(LEAST_REACH);
        // Round numbers on the sliders.
        (reach * 20.0).ceil() / 20.0
    });
    Ok(free
        .into_iter()
        .zip(reaches)
        .map(|(dimension, reach)| Direction { dimension, reach })
        .collect())
}

fn synthesis(args: &Studio) -> SynthesisArgs {
    SynthesisArgs {
        trunc: 1.0,
        trunc_cutoff: None,
        class: args.class,
        noise_mode: args::Noise::Const,
        precision: args::Precision::Auto,
        sampling_steps: args.sampling_steps,
        batch: 4,
    }
}
