//! Imitation: a generator that is shown which picture belongs to each latent.
//!
//! Pictures that a program draws can be drawn for a latent: a [`Teacher`] does. A generator learns such a pairing by regression in
//! a small part of the time that the adversarial game takes to find one of its own, and cannot lose a mode of the data. What
//! regression leaves soft, the discriminator then sharpens, with this term as an anchor:
//!
//! `λ Σ_l mean |A_l e| + mean |∂_x e| + mean |∂_y e|` of `e = G(z) − y(z)`, where `A_l` averages squares of `2^l` pixels,
//! l = 0, 1, 2, 3, and `∂` is the difference of neighbours
//!
//! The coarse levels count as much as the pixels: where a shape is out of place they say in which direction. The differences
//! are for what is small, such as eyes: in the mean over a picture it hardly counts.

use std::fmt;

use candle_core::Tensor;
use domex_ops::{Pool, avg_pool2d};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::{Error, Result};

/// Levels of the pyramid.
const LEVELS: usize = 4;

/// Draws the picture that belongs to a latent.
pub trait Teacher: Send + Sync {
    /// The picture of `z`, standard normal numbers; not all of them need to matter.
    fn picture(&self, z: &[f32]) -> RgbImage;

    /// What it draws, for the provenance.
    fn describe(&self) -> String;
}

impl fmt::Debug for dyn Teacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// How a generator imitates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imitation {
    /// λ: the weight beside the adversarial loss, which then is of the same pictures, without style mixing.
    pub weight: f64,
    /// Pictures at the beginning in which nothing else is learnt: no discriminator, no regularisation.
    pub alone: u64,
    /// Pictures after these in which the discriminator learns and the generator does not listen to it yet: one that has seen
    /// nothing says nothing sensible, and what it says is loud.
    #[serde(default)]
    pub warm_up: u64,
    /// The finest level that counts as soon as the generator listens to the discriminator. Regression places what is small only to
    /// within a pixel or two and blurs it for that; without the levels below, sharp pictures of the same layout cost nothing.
    #[serde(default)]
    pub finest: usize,
    /// Learning rate to begin with; over these pictures it falls, geometrically, to that of the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_lr: Option<f64>,
    /// For each coordinate of `z` that decides the teacher's pictures, which are the first ones: where along it they change at
    /// once. The mapping network begins with these limits.
    pub limits: Vec<Vec<f32>>,
}

impl Imitation {
    pub(super) fn validate(&self, config: &Config) -> Result<()> {
        if !(self.weight.is_finite() && self.weight > 0.0) {
            let expected = "a positive number";
            return Err(Error::config(
                "weight of the imitation",
                self.weight,
                expected,
            ));
        }
        if let Some(lr) = self.first_lr.filter(|lr| !(lr.is_finite() && *lr > 0.0)) {
            return Err(Error::config(
                "first learning rate",
                lr,
                "a positive number",
            ));
        }
        if !(1..=config.z_dim).contains(&self.coordinates()) {
            let expected = format!("1 to the {} of z", config.z_dim);
            return Err(Error::config(
                "coordinates that decide",
                self.coordinates(),
                expected,
            ));
        }
        if self.finest >= LEVELS {
            let expected = format!("0 to {}", LEVELS - 1);
            return Err(Error::config(
                "finest level of the imitation",
                self.finest,
                expected,
            ));
        }
        if let Some(limit) = self.limits.iter().flatten().find(|it| !it.is_finite()) {
            return Err(Error::config("limit of a coordinate", limit, "a number"));
        }
        if self.limits.iter().any(|it| !it.is_empty()) && config.map_layers < 3 {
            let what = "mapping layers where coordinates have limits";
            return Err(Error::config(what, config.map_layers, "3 or more"));
        }
        Ok(())
    }

    /// The learning rate after `images`, where `last` is that of the settings.
    pub(super) fn lr(&self, last: f64, images: u64) -> f64 {
        let first = self.first_lr.unwrap_or(last);
        let done = (images as f64 / self.alone.max(1) as f64).min(1.0);
        first * (last / first).powf(done)
    }

    /// How many coordinates of `z` decide.
    #[must_use]
    pub fn coordinates(&self) -> usize {
        self.limits.len()
    }
}

/// The sum above without λ, of pictures `[n, 3, h, w]` in `[-1, 1]`, from level `finest` on; the differences belong to level 0.
pub(super) fn distance(made: &Tensor, target: &Tensor, finest: usize) -> Result<Tensor> {
    let mut error = (made - target)?;
    let mut terms = Vec::new();
    if finest == 0 {
        terms.extend([edges(&error, 2)?, edges(&error, 3)?]);
    }
    for level in 0..LEVELS {
        if level > 0 {
            error = avg_pool2d(&error, &Pool::new(2, 2), true)?;
        }
        if level >= finest {
            terms.push(error.abs()?.mean_all()?);
        }
    }
    Ok(Tensor::stack(&terms, 0)?.sum_all()?)
}

/// The mean difference of neighbours along a dimension.
fn edges(x: &Tensor, dim: usize) -> Result<Tensor> {
    let n = x.dim(dim)? - 1;
    let difference = (x.narrow(dim, 1, n)? - x.narrow(dim, 0, n)?)?;
    Ok(difference.abs()?.mean_all()?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn the_rate_falls_to_that_of_the_settings() {
        let imitation = Imitation {
            weight: 1.0,
            alone: 1000,
            warm_up: 0,
            finest: 0,
            first_lr: Some(0.04),
            limits: vec![vec![]],
        };
        for (images, lr) in [(0, 0.04), (500, 0.02), (1000, 0.01), (5000, 0.01)] {
            assert!((imitation.lr(0.01, images) - lr).abs() < 1e-12, "{images}");
        }
    }

    #[test]
    fn every_level_counts() {
        let x = Tensor::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let far = |y: &Tensor, finest| {
            let sum = distance(&x, y, finest).unwrap();
            sum.to_scalar::<f32>().unwrap()
        };
        // The same everywhere: every level sees all of it.
        let grey = (&x + 0.5).unwrap();
        for (finest, levels) in [(0, 4.0), (1, 3.0), (3, 1.0)] {
            assert!((far(&grey, finest) - 0.5 * levels).abs() < 1e-6);
        }
        assert_eq!(far(&x, 0), 0.0);
        // A chessboard: only the pixels and their differences see it.
        let board: Vec<f32> = (0..2 * 3 * 64)
            .map(|i| if (i + i / 8) % 2 == 0 { 0.5 } else { -0.5 })
            .collect();
        let board = Tensor::from_vec(board, (2, 3, 8, 8), &Device::Cpu).unwrap();
        assert!((far(&board, 0) - 2.5).abs() < 1e-6);
        assert_eq!(far(&board, 1), 0.0);
    }
}
