//! Colours under a matrix: `y = A x + b` for the three channels of each pixel.
//!
//! In the published order, with the grey axis `v = (1, 1, 1)/√3`:
//!
//! | change | map |
//! | --- | --- |
//! | brightness | x + b |
//! | contrast | 2^k x |
//! | inverted luma | x − 2 v vᵀ x (for one picture in two of those it happens to) |
//! | hue | turned about v |
//! | saturation | v vᵀ x + 2^k (x − v vᵀ x) |
//!
//! A grey picture has one channel: it takes the mean of the three rows.

use std::f64::consts::PI;

use candle_core::{Device, Tensor};
use domex_ops::{matmul, upload};

use super::matrix::{IDENTITY, Matrix, product};
use super::{AugmentConfig, Dice};
use crate::{Error, Result};

/// `y = A x + b`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Colour {
    pub(super) a: Matrix,
    pub(super) b: [f64; 3],
}

impl Colour {
    /// Leaves colours as they are.
    pub(super) const IDENTITY: Self = Self {
        a: IDENTITY,
        b: [0.0; 3],
    };

    /// This map, then `a`.
    fn then(&mut self, happens: bool, a: Matrix) {
        if happens && a != IDENTITY {
            self.b = std::array::from_fn(|i| (0..3).map(|k| a[i][k] * self.b[k]).sum());
            self.a = product(&a, &self.a);
        }
    }
}

/// Draws the map of one picture.
pub(super) fn draw(config: &AugmentConfig, dice: &mut Dice<'_>) -> Colour {
    let mut colour = Colour::IDENTITY;
    let happens = dice.happens(config.brightness);
    let brightness = dice.normal() * config.brightness_std;
    if happens {
        colour.b = [brightness; 3];
    }
    let happens = dice.happens(config.contrast);
    let contrast = (dice.normal() * config.contrast_std).exp2();
    colour.then(happens, mixed(contrast, contrast));

    let happens = dice.happens(config.lumaflip);
    colour.then(happens, mixed(1.0 - 2.0 * dice.one_of(2), 1.0));

    let happens = dice.happens(config.hue);
    colour.then(happens, turned(dice.either_way() * PI * config.hue_max));

    let happens = dice.happens(config.saturation);
    let saturation = (dice.normal() * config.saturation_std).exp2();
    colour.then(happens, mixed(1.0, saturation));
    colour
}

/// `luma` times the part along the grey axis, `rest` times what is across it.
fn mixed(luma: f64, rest: f64) -> Matrix {
    let entry = |i: usize, j: usize| {
        let grey = (luma - rest) / 3.0;
        if i == j { rest + grey } else { grey }
    };
    if luma == 1.0 && rest == 1.0 {
        return IDENTITY;
    }
    std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
}

/// A turn about the grey axis (Rodrigues' formula).
pub(super) fn turned(angle: f64) -> Matrix {
    let (sin, cos) = angle.sin_cos();
    let (same, along) = ((1.0 - cos) / 3.0, sin / 3f64.sqrt());
    let entry = |i: usize, j: usize| match (3 + j - i) % 3 {
        0 => cos + same,
        1 => same - along,
        _ => same + along,
    };
    std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
}

/// Changes the colours of `x: [n, c, h, w]`, by one map for each picture.
pub(super) fn apply(x: &Tensor, colours: &[Colour]) -> Result<Tensor> {
    if colours.iter().all(|c| *c == Colour::IDENTITY) {
        return Ok(x.clone());
    }
    let (n, c, h, w) = x.dims4()?;
    let (a, b): (Vec<f64>, Vec<f64>) = match c {
        3 => (
            colours.iter().flat_map(|c| c.a).flatten().collect(),
            colours.iter().flat_map(|c| c.b).collect(),
        ),
        1 => {
            let sum = |m: &Matrix| m.iter().flatten().sum::<f64>() / 3.0;
            let mean = |b: &[f64; 3]| b.iter().sum::<f64>() / 3.0;
            (
                colours.iter().map(|c| sum(&c.a)).collect(),
                colours.iter().map(|c| mean(&c.b)).collect(),
            )
        }
        _ => {
            let expected = "1 or 3; or set the multipliers of all colour changes to 0";
            return Err(Error::setting(
                "channels of augmented pictures",
                c,
                expected,
            ));
        }
    };
    let like = |values: Vec<f64>, shape: (usize, usize, usize)| -> Result<Tensor> {
        let t = Tensor::from_vec(values, shape, &Device::Cpu)?;
        Ok(upload(&t.to_dtype(x.dtype())?, x.device())?)
    };
    let flat = x.reshape((n, c, h * w))?;
    let y = matmul(&like(a, (n, c, c))?, &flat)?.broadcast_add(&like(b, (n, c, 1))?)?;
    Ok(y.reshape((n, c, h, w))?)
}
