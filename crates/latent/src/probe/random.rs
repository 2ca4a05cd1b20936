//! Dormant directions without a basis: random ones, kept while the pictures stay alike.

use candle_core::{DType, Device, Tensor};
use domex_random::Stream;

use super::{Meter, Progress, both_sides, check_run, picture, total};
use crate::distance::cosine_similarity;
use crate::sample::draw_latents;
use crate::{Error, Generator, Result};

/// Shorter than this after removing the kept directions, a draw has nothing new.
const DEPENDENT: f64 = 1e-6;

/// Settings of [`random_dormant`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomConfig {
    /// How many directions to find.
    pub wanted: usize,
    /// How many to try at most.
    pub tries: usize,
    /// Number of sampled latents.
    pub samples: usize,
    /// Latents per call of the network.
    pub batch: usize,
    /// Step s to both sides.
    pub step: f64,
    /// Kept when the mean cosine similarity is at least this.
    pub similarity: f64,
    /// Make each draw orthogonal to those already kept, so that they can be [a basis's
    /// columns](crate::basis::Basis::given). Otherwise draws are independent.
    pub orthogonal: bool,
}

impl Default for RandomConfig {
    fn default() -> Self {
        Self {
            wanted: 1,
            tries: 100,
            samples: 8,
            batch: 4,
            step: 20.0,
            similarity: 0.95,
            orthogonal: true,
        }
    }
}

/// A direction that was kept.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RandomDirection {
    /// Unit vector `[D]`.
    pub vector: Vec<f64>,
    /// Mean cosine similarity over samples and signs.
    pub similarity: f64,
    /// Which draw it was, from 0.
    pub draw: usize,
}

/// What was kept, and out of how many.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RandomReport {
    /// The settings.
    pub config: RandomConfig,
    /// Directions tried.
    pub tried: usize,
    /// Directions kept, in the order of drawing.
    pub kept: Vec<RandomDirection>,
    /// Similarity of every direction tried.
    pub similarities: Vec<f64>,
}

/// Draws unit directions, uniform on the sphere, and keeps those along which the cosine similarity of
/// `G(w)` and `G(w ± s d)` (raw pixels in `[-1, 1]`, mean over samples and signs) stays at or above
/// the threshold, until enough are found or the tries are used up.
///
/// # Errors
///
/// On settings out of range, when the network fails, or when a picture is not finite.
pub fn random_dormant(
    generator: &dyn Generator,
    config: &RandomConfig,
    stream: &mut Stream,
    progress: &mut dyn FnMut(Progress),
) -> Result<RandomReport> {
    check(generator, config)?;
    let latents = draw_latents(generator, config.samples, stream)?;
    let starts = (0..config.samples).step_by(config.batch);
    let batches = starts
        .map(|start| {
            let w = latents.narrow(0, start, config.batch.min(config.samples - start))?;
            let base = picture(generator, &w, "sample")?;
            Ok((Tensor::cat(&[&base, &base], 0)?, w))
        })
        .collect::<Result<Vec<_>>>()?;
    let total_pictures = config
        .samples
        .saturating_mul(2)
        .saturating_mul(config.tries);
    let mut meter = Meter {
        progress,
        done: 0,
        total: total_pictures,
    };
    let mut report = RandomReport {
        config: config.clone(),
        tried: 0,
        kept: Vec::new(),
        similarities: Vec::new(),
    };
    while report.tried < config.tries && report.kept.len() < config.wanted {
        let vector = draw_direction(
            generator.latent_dim(),
            &report.kept,
            config.orthogonal,
            stream,
        );
        let direction = Tensor::new(vector.as_slice(), &Device::Cpu)?.unsqueeze(0)?;
        let direction = direction
            .to_dtype(generator.dtype())?
            .to_device(generator.device())?;
        let mut sum = 0.0;
        for (base, w) in &batches {
            let moved = both_sides(w, &direction, config.step)?;
            let what = format!("picture of random direction {}", report.tried);
            let moved = picture(generator, &moved, &what)?;
            sum += total(&cosine_similarity(base, &moved)?.to_dtype(DType::F64)?)?;
            meter.add(2 * w.dim(0)?);
        }
        let similarity = sum / (2 * config.samples) as f64;
        report.similarities.push(similarity);
        if similarity >= config.similarity {
            report.kept.push(RandomDirection {
                vector,
                similarity,
                draw: report.tried,
            });
        }
        report.tried += 1;
    }
    Ok(report)
}

fn check(generator: &dyn Generator, config: &RandomConfig) -> Result<()> {
    check_run(config.samples, config.batch, config.step)?;
    if !(-1.0..=1.0).contains(&config.similarity) {
        return Err(Error::setting(
            "similarity",
            config.similarity,
            "between -1 and 1",
        ));
    }
    let dim = generator.latent_dim();
    if dim == 0 {
        return Err(Error::setting(
            "latent size of the network",
            dim,
            "at least 1",
        ));
    }
    if config.orthogonal && config.wanted > dim {
        return Err(Error::setting(
            "directions wanted",
            config.wanted,
            format!("at most {dim}"),
        ));
    }
    Ok(())
}

/// A unit vector, uniform on the sphere, or on the part of it orthogonal to what was kept.
fn draw_direction(
    dim: usize,
    kept: &[RandomDirection],
    orthogonal: bool,
    stream: &mut Stream,
) -> Vec<f64> {
    loop {
        let mut draw = vec![0.0_f32; dim];
        stream.fill_normal(&mut draw);
        let mut vector: Vec<f64> = draw.into_iter().map(f64::from).collect();
        if orthogonal {
            // Twice is enough (Kahan): the second pass removes the rounding errors of the first.
            for other in kept.iter().chain(kept) {
                let along = dot(&vector, &other.vector);
                vector
                    .iter_mut()
                    .zip(&other.vector)
                    .for_each(|(x, o)| *x -= along * o);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        if norm > DEPENDENT {
            vector.iter_mut().for_each(|x| *x /= norm);
            return vector;
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}
