//! How well a generator makes the source domain's scenes, by networks that did not train it.
//!
//! Samples and fresh renderings are shown to the same judge and the same perceptual network, so
//! that what these get wrong counts on both sides:
//!
//! - how often the judge names the source domain;
//! - for each factor, the total variation between the judge's answers on samples and on renderings;
//! - diversity: the mean perceptual distance between samples, over that between renderings;
//! - Fréchet distance on pooled perceptual features, beside that of two disjoint sets of renderings.

use std::collections::BTreeMap;

use candle_core::{D, DType, Tensor};
use domex_data::picture;
use domex_metrics::{Moments, frechet, shares, total_variation};
use domex_random::Streams;
use image::RgbImage;
use rayon::prelude::*;
use serde::Serialize;

use crate::samples::Sampler;
use crate::{Error, Evaluators, Result, Subject};

/// Pictures at once.
const BATCH: usize = 32;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fidelity {
    /// Samples, and renderings of each of the two sets.
    pub pictures: usize,
    /// Share of samples that the judge takes for the source domain.
    pub source: f64,
    /// Total variation of each factor's marginal.
    pub marginals: BTreeMap<String, f64>,
    /// Mean distance between samples over that between renderings.
    pub diversity: f64,
    /// Fréchet distance of samples and renderings.
    pub frechet: f64,
    /// The same of two sets of renderings: what nobody can go below.
    pub frechet_of_renderings: f64,
}

/// A picture of the source domain for each seed, of the judge's size.
pub type Rendering<'a> = &'a (dyn Fn(u64) -> RgbImage + Sync);

/// Measures a model on `pictures` samples with fresh noise, on the base subspace where it was expanded, against as
/// many renderings. `done` is told how many pictures were looked at, of three times as many.
///
/// # Errors
///
/// Fewer than two pictures, or networks of another size.
pub fn fidelity(
    subject: Subject<'_>,
    by: Evaluators<'_>,
    rendering: Rendering<'_>,
    pictures: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Fidelity> {
    if pictures < 2 {
        return Err(Error::config(
            "pictures to measure on",
            pictures,
            "at least 2",
        ));
    }
    let device = subject.generator.device().clone();
    let streams = Streams::new(seed);
    let renderings = |name: &str, done: &mut dyn FnMut(usize)| -> Result<Seen> {
        let mut stream = streams.stream(name);
        Seen::of(by, pictures, done, |n| {
            let seeds: Vec<u64> = (0..n).map(|_| stream.next_u64()).collect();
            let made: Vec<RgbImage> = seeds.par_iter().map(|&seed| rendering(seed)).collect();
            Ok(picture::from_rgb(&made, DType::F32, &device)?)
        })
    };
    let real = renderings("renderings", &mut done)?;
    let other = renderings("other renderings", &mut done)?;
    let mut sampler = Sampler::new(subject, &streams)?;
    let fake = Seen::of(by, pictures, &mut done, |n| sampler.draw(n, None))?;
    let factors = &by.judge.config().factors;
    let mut marginals = BTreeMap::new();
    for (at, factor) in factors.iter().enumerate().skip(1) {
        let classes = factor.classes.len();
        let (p, q) = (
            shares(&fake.answers[at], classes)?,
            shares(&real.answers[at], classes)?,
        );
        marginals.insert(factor.name.clone(), total_variation(&p, &q)?);
    }
    let source = fake.answers[0]
        .iter()
        .filter(|&&domain| domain == 0)
        .count();
    Ok(Fidelity {
        pictures,
        source: source as f64 / pictures as f64,
        marginals,
        diversity: fake.distance() / real.distance(),
        frechet: frechet(&fake.features, &real.features)?,
        frechet_of_renderings: frechet(&other.features, &real.features)?,
    })
}

/// What a set of pictures looks like to both networks.
struct Seen {
    /// The judge's classes, for each factor.
    answers: Vec<Vec<usize>>,
    features: Moments,
    /// Sum and number of distances between neighbours.
    apart: (f64, usize),
}

impl Seen {
    fn of(
        by: Evaluators<'_>,
        pictures: usize,
        done: &mut dyn FnMut(usize),
        mut make: impl FnMut(usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let mut seen: Option<Self> = None;
        for start in (0..pictures).step_by(BATCH) {
            let x = make(BATCH.min(pictures - start))?;
            let features = by.perceptual.pooled(&x)?;
            let seen = seen.get_or_insert(Self {
                answers: vec![Vec::new(); by.judge.config().factors.len()],
                features: Moments::new(features.dim(1)?),
                apart: (0.0, 0),
            });
            seen.features.add(&features)?;
            for (answers, logits) in seen.answers.iter_mut().zip(by.judge.forward(&x)?) {
                let classes = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
                answers.extend(classes.into_iter().map(|class| class as usize));
            }
            let pairs = x.dim(0)? - 1;
            if pairs > 0 {
                let (a, b) = (x.narrow(0, 0, pairs)?, x.narrow(0, 1, pairs)?);
                let sum = by
                    .perceptual
                    .distance(&a, &b)?
                    .to_dtype(DType::F64)?
                    .sum_all()?;
                seen.apart.0 += sum.to_scalar::<f64>()?;
                seen.apart.1 += pairs;
            }
            done(x.dim(0)?);
        }
        seen.ok_or_else(|| Error::config("pictures to measure on", 0, "at least 2"))
    }

    fn distance(&self) -> f64 {
        self.apart.0 / self.apart.1.max(1) as f64
    }
}
