//! What hides a picture: noise on every number, and a rectangle cut out.
//!
//! ```text
//! noise    y = x + |σ| n,   σ normal for each picture, n normal for each number
//! cutout   y = 0 where |(i + ½)/w − cₓ| < s/2 and the same of y, with a uniform centre c; what reaches beyond the picture is lost
//! ```

use candle_core::{Device, Tensor};
use domex_ops::upload;

use super::{AugmentConfig, Dice};
use crate::Result;

/// The standard deviation of one picture's noise, 0 for none.
pub(super) fn draw_noise(config: &AugmentConfig, dice: &mut Dice<'_>) -> f64 {
    let deviation = dice.normal().abs() * config.noise_std;
    match dice.happens(config.noise) {
        true => deviation,
        false => 0.0,
    }
}

/// The centre of one picture's rectangle, in shares of its size.
pub(super) fn draw_cutout(config: &AugmentConfig, dice: &mut Dice<'_>) -> Option<[f64; 2]> {
    let happens = dice.happens(config.cutout);
    let centre = [0, 1].map(|_| dice.stream.uniform_f64());
    happens.then_some(centre)
}

/// Adds `noise`, `n · c · h · w` numbers, to `x: [n, c, h, w]`.
pub(super) fn add_noise(x: &Tensor, noise: &[f32]) -> Result<Tensor> {
    let noise = Tensor::from_slice(noise, x.dims(), &Device::Cpu)?;
    Ok((x + upload(&noise.to_dtype(x.dtype())?, x.device())?)?)
}

/// Cuts a rectangle of `size`, a share of the picture's, out of each picture of `x: [n, c, h, w]` that has a centre.
pub(super) fn cut_out(x: &Tensor, centres: &[Option<[f64; 2]>], size: f64) -> Result<Tensor> {
    if centres.iter().all(Option::is_none) {
        return Ok(x.clone());
    }
    let (n, _, h, w) = x.dims4()?;
    let outside = |at: usize, of: usize, centre: f64| {
        ((at as f64 + 0.5) / of as f64 - centre).abs() >= size / 2.0
    };
    let mut mask = Vec::with_capacity(n * h * w);
    for centre in centres {
        for (row, column) in (0..h).flat_map(|row| (0..w).map(move |column| (row, column))) {
            let stays = centre.is_none_or(|[x, y]| outside(column, w, x) || outside(row, h, y));
            mask.push(f32::from(u8::from(stays)));
        }
    }
    let mask = Tensor::from_vec(mask, (n, 1, h, w), &Device::Cpu)?;
    Ok(x.broadcast_mul(&upload(&mask.to_dtype(x.dtype())?, x.device())?)?)
}
