//! What the basis directions do to pictures, measured.
//!
//! A small singular value says that the *first* layers hardly react to a direction. What counts is the
//! picture: for samples `w_i` and each direction `v_j`, both pictures `G(w_i ± s v_j)` are
//! compared with `G(w_i)`:
//!
//! - `pixel`: root of the mean square difference over samples, signs, pixels and channels, in units
//!   of `[-1, 1]` (pictures clamped to it);
//! - `perceptual`: mean of an [`ImageDistance`] over samples and signs.
//!
//! [`random_dormant`] is the plain form that needs no basis: random unit directions are kept while the
//! pictures stay alike.

mod random;
mod report;

use candle_core::{DType, Device, Tensor};
use domex_random::Stream;

pub use random::{RandomConfig, RandomDirection, RandomReport, random_dormant};
pub use report::{DirectionEffect, DormantRule, ProbeReport};

use crate::basis::{Basis, check_dims};
use crate::distance::{ImageDistance, mean_square};
use crate::sample::{draw_latents, truncate};
use crate::{Error, Generator, Result};

/// Settings of [`probe`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// Number of sampled latents.
    pub samples: usize,
    /// Latents per call of the network; twice as many pictures are made at a time.
    pub batch: usize,
    /// Step s to both sides, in units of the latent space.
    pub step: f64,
    /// Truncation psi of the samples; 1 is none.
    pub truncation: f64,
    /// Columns of the basis to measure, `None` for all.
    pub directions: Option<Vec<usize>>,
    /// When a direction counts as dormant.
    pub dormant: DormantRule,
}

impl Default for ProbeConfig {
    /// Eight samples, the subspace distance of the published models as step, all directions.
    fn default() -> Self {
        Self {
            samples: 8,
            batch: 4,
            step: 20.0,
            truncation: 1.0,
            directions: None,
            dormant: DormantRule::default(),
        }
    }
}

/// How far a measurement has come, for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Pictures made.
    pub done: usize,
    /// Pictures to make in all, at most.
    pub total: usize,
}

/// Measures the directions of a basis on sampled latents. See the [module docs](self).
///
/// # Errors
///
/// On settings out of range, when the network fails, or when a picture is not finite.
pub fn probe(
    generator: &dyn Generator,
    basis: &Basis,
    distance: &dyn ImageDistance,
    config: &ProbeConfig,
    stream: &mut Stream,
    progress: &mut dyn FnMut(Progress),
) -> Result<ProbeReport> {
    check_run(config.samples, config.batch, config.step)?;
    if !config.truncation.is_finite() {
        return Err(Error::setting(
            "truncation",
            config.truncation,
            "a finite number",
        ));
    }
    let mut latents = draw_latents(generator, config.samples, stream)?;
    if config.truncation != 1.0 {
        latents = truncate(&latents, &generator.mean()?, config.truncation)?;
    }
    probe_at(generator, basis, distance, &latents, config, progress)
}

/// [`probe`] at latents of one's own, `[n, D]` or `[n, L, D]`, such as those of inverted photographs.
/// `samples` and `truncation` of the settings are not used.
///
/// # Errors
///
/// As [`probe`].
pub fn probe_at(
    generator: &dyn Generator,
    basis: &Basis,
    distance: &dyn ImageDistance,
    latents: &Tensor,
    config: &ProbeConfig,
    progress: &mut dyn FnMut(Progress),
) -> Result<ProbeReport> {
    let samples = latents.dims().first().copied().unwrap_or(0);
    check_run(samples, config.batch, config.step)?;
    config.dormant.check()?;
    let indices = match &config.directions {
        Some(indices) => indices.clone(),
        None => (0..basis.count()).collect(),
    };
    check_dims("directions to probe", &indices, basis.count())?;
    let rows = basis.directions(&indices, generator.device(), generator.dtype())?;
    let mut meter = Meter {
        progress,
        done: 0,
        total: samples * (1 + 2 * indices.len()),
    };
    let mut sums = vec![Sums::default(); indices.len()];
    for start in (0..samples).step_by(config.batch) {
        let w = latents
            .narrow(0, start, config.batch.min(samples - start))?
            .detach();
        let base = picture(generator, &w, "sample")?;
        meter.add(w.dim(0)?);
        let twice = Tensor::cat(&[&base, &base], 0)?;
        for (j, sums) in sums.iter_mut().enumerate() {
            let what = || format!("picture of direction {}", indices[j]);
            let moved = both_sides(&w, &rows.narrow(0, j, 1)?, config.step)?;
            let moved = picture(generator, &moved, &what())?;
            sums.square += total(&mean_square(&moved, &twice)?)?;
            sums.perceptual += total(&distance.distance(&moved, &twice)?)?;
            meter.add(2 * w.dim(0)?);
        }
    }
    let count = (2 * samples) as f64;
    let effects = indices
        .iter()
        .zip(&sums)
        .map(|(&index, sums)| DirectionEffect {
            index,
            value: basis.values().map(|v| v[index]),
            pixel: (sums.square / count).sqrt(),
            perceptual: sums.perceptual / count,
            rank: 0,
            dormant: false,
        });
    let mut report = ProbeReport {
        step: config.step,
        samples,
        perceptual: distance.name().to_owned(),
        rule: config.dormant,
        directions: effects.collect(),
    };
    report.rank();
    Ok(report)
}

#[derive(Clone, Default)]
struct Sums {
    square: f64,
    perceptual: f64,
}

struct Meter<'a> {
    progress: &'a mut dyn FnMut(Progress),
    done: usize,
    total: usize,
}

impl Meter<'_> {
    fn add(&mut self, pictures: usize) {
        self.done += pictures;
        (self.progress)(Progress {
            done: self.done,
            total: self.total,
        });
    }
}

/// `[w + s v; w − s v]`, for `w: [n, ..]` and `direction: [1, D]`.
fn both_sides(w: &Tensor, direction: &Tensor, step: f64) -> Result<Tensor> {
    let offset = (direction.squeeze(0)? * step)?;
    Ok(Tensor::cat(
        &[w.broadcast_add(&offset)?, w.broadcast_sub(&offset)?],
        0,
    )?)
}

/// What people would see: clamped pictures, at least float32, without a graph.
fn picture(generator: &dyn Generator, w: &Tensor, what: &str) -> Result<Tensor> {
    let x = generator.synthesize(w)?.detach();
    let x = if x.dtype() == DType::F64 {
        x
    } else {
        x.to_dtype(DType::F32)?
    };
    // Checked before clamping, which would hide an infinity. A sum of 0·x is NaN when any x is bad.
    let probe = (&x * 0.0)?
        .sum_all()?
        .to_dtype(DType::F64)?
        .to_scalar::<f64>()?;
    if probe.is_nan() {
        return Err(Error::NotFinite {
            what: what.to_owned(),
            index: 0,
            value: f64::NAN,
        });
    }
    Ok(x.clamp(-1.0, 1.0)?)
}

/// Sum of `[n]` as a number.
fn total(per_picture: &Tensor) -> Result<f64> {
    let values = per_picture.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    Ok(values.sum_all()?.to_scalar()?)
}

fn check_run(samples: usize, batch: usize, step: f64) -> Result<()> {
    if samples == 0 {
        return Err(Error::setting("samples", samples, "at least 1"));
    }
    if batch == 0 {
        return Err(Error::setting("batch", batch, "at least 1"));
    }
    if !(step.is_finite() && step > 0.0) {
        return Err(Error::setting("step", step, "finite and above 0"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
