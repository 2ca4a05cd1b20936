//! Frequencies amplified or damped, in four bands.
//!
//! ```text
//! H(z)  the low-pass filter of the symlet with two vanishing moments,  L = H(z) H(1/z) / 2,  U = H(−z) H(−1/z) / 2
//! bank  band 0 = L(z⁴) L(z²) L(z),  band 1 = U(z⁴) L(z²) L(z),  band 2 = U(z²) L(z),  band 3 = U(z)
//! ```
//!
//! Band 0 holds the lowest frequencies; the four add up to the picture. Each band is amplified by itself, with 2^k, and then
//! all gains are divided so that pictures keep their power, whose spectrum is taken to fall as 1/f: 10, 1, 1 and 1 parts of
//! 13. The filter of 43 taps that the gains make acts along rows and along columns, on a picture reflected at its edges.
//! Section B of arXiv 2006.06676.
//!
//! Filter and edge together are a linear map of each row and of each column: here they are one matrix for each, so that what
//! is differentiated is two products.

use candle_core::{Device, Tensor};
use domex_ops::matmul;

use super::{AugmentConfig, Dice};
use crate::Result;

/// The symlet's scaling coefficients, whose sum is √2.
const SYM2: [f64; 4] = [
    -0.12940952255092145,
    0.22414386804185735,
    0.836516303737469,
    0.48296291314469025,
];

/// Bands.
pub(super) const BANDS: usize = 4;

/// Share of a picture's power that lies in each.
const POWER: [f64; BANDS] = [10.0 / 13.0, 1.0 / 13.0, 1.0 / 13.0, 1.0 / 13.0];

/// What each band is multiplied by.
pub(super) type Gains = [f64; BANDS];

/// Leaves pictures as they are.
pub(super) const IDENTITY: Gains = [1.0; BANDS];

/// Draws the gains of one picture.
pub(super) fn draw(config: &AugmentConfig, dice: &mut Dice<'_>) -> Gains {
    let mut gains = IDENTITY;
    for (band, multiplier) in config.imgfilter_bands.iter().enumerate() {
        let gain = (dice.normal() * config.imgfilter_std).exp2();
        if !dice.happens(config.imgfilter * multiplier) {
            continue;
        }
        let mut own = IDENTITY;
        own[band] = gain;
        let power: f64 = POWER.iter().zip(own).map(|(p, gain)| p * gain * gain).sum();
        for (gain, own) in gains.iter_mut().zip(own) {
            *gain *= own / power.sqrt();
        }
    }
    gains
}

/// The filters of the bands, all of one length.
pub(super) fn bank() -> [Vec<f64>; BANDS] {
    let high: Vec<f64> = (0..SYM2.len())
        .map(|k| if k % 2 == 0 { SYM2[k] } else { -SYM2[k] })
        .collect();
    let (low, high) = (power_of(&SYM2), power_of(&high));
    let mut bank: [Vec<f64>; BANDS] = [vec![1.0], vec![0.0], vec![0.0], vec![0.0]];
    for band in 1..BANDS {
        for filter in &mut bank {
            *filter = product(&spread(filter), &low);
        }
        let start = (bank[band].len() - high.len()) / 2;
        for (tap, own) in bank[band][start..].iter_mut().zip(&high) {
            *tap += own;
        }
    }
    bank
}

/// `H(z) H(1/z) / 2`.
fn power_of(filter: &[f64]) -> Vec<f64> {
    let back: Vec<f64> = filter.iter().rev().map(|tap| tap / 2.0).collect();
    product(filter, &back)
}

/// `F(z²)`.
fn spread(filter: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; 2 * filter.len() - 1];
    for (k, tap) in filter.iter().enumerate() {
        out[2 * k] = *tap;
    }
    out
}

/// The product of polynomials, which is the convolution of their coefficients.
fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.len() + b.len() - 1];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            out[i + j] += a * b;
        }
    }
    out
}

/// Filters `x: [n, c, h, w]`, by gains for each picture.
pub(super) fn apply(x: &Tensor, gains: &[Gains]) -> Result<Tensor> {
    if gains.iter().all(|gains| *gains == IDENTITY) {
        return Ok(x.clone());
    }
    let (n, c, h, w) = x.dims4()?;
    let bank = bank();
    let filters: Vec<Option<Vec<f64>>> = gains
        .iter()
        .map(|gains| (*gains != IDENTITY).then(|| mixed(&bank, gains)))
        .collect();
    let map = |size: usize| -> Result<Tensor> {
        let rows = filters
            .iter()
            .flat_map(|filter| matrix(filter.as_deref(), size));
        let map = Tensor::from_vec(rows.collect::<Vec<f64>>(), (n, 1, size, size), &Device::Cpu)?;
        let map = map.to_dtype(x.dtype())?.to_device(x.device())?;
        Ok(map.broadcast_as((n, c, size, size))?)
    };
    let columns = matmul(&map(h)?, x)?;
    Ok(matmul(&columns, &map(w)?.transpose(2, 3)?)?)
}

/// The bands' sum under their gains.
fn mixed(bank: &[Vec<f64>; BANDS], gains: &Gains) -> Vec<f64> {
    let tap = |k: usize| (0..BANDS).map(|band| gains[band] * bank[band][k]).sum();
    (0..bank[0].len()).map(tap).collect()
}

/// What the filter makes of `size` numbers that are reflected at both ends, as often as it takes: `[size, size]`.
fn matrix(filter: Option<&[f64]>, size: usize) -> Vec<f64> {
    let mut map = vec![0.0; size * size];
    for (at, row) in map.chunks_exact_mut(size).enumerate() {
        let Some(filter) = filter else {
            row[at] = 1.0;
            continue;
        };
        let reach = filter.len() as i64 / 2;
        for (k, tap) in filter.iter().enumerate() {
            row[reflected(at as i64 + k as i64 - reach, size as i64)] += tap;
        }
    }
    map
}

/// Position `i` reflected into 0 to `size − 1`, the ends not repeated.
fn reflected(i: i64, size: i64) -> usize {
    let period = 2 * (size - 1);
    if period == 0 {
        return 0;
    }
    let i = i.rem_euclid(period);
    i.min(period - i) as usize
}

#[cfg(test)]
mod tests {
    use domex_ops::testing::{assert_gradients, max_difference, randn};

    use super::*;

    /// Computed by the published recipe, apart from this program.
    #[test]
    fn the_bank_is_the_published_one() {
        let bank = bank();
        let places = [0, 8, 14, 18, 20, 21];
        let expected = [
            [
                -3.051757812478981e-05,
                -0.006317138671859378,
                0.014282226562544567,
                0.08905029296870086,
                0.11865234374990084,
                0.125,
            ],
            [
                3.051757812478981e-05,
                0.0063171386718543325,
                -0.023071289062461045,
                -0.024597167968702507,
                0.09228515624983694,
                0.125,
            ],
            [
                0.0,
                0.0,
                0.008789062499973096,
                -0.09570312499986997,
                0.07031249999989689,
                0.25,
            ],
            [
                0.0,
                0.0,
                0.0,
                0.031249999999928255,
                -0.2812499999999283,
                0.5,
            ],
        ];
        for (filter, expected) in bank.iter().zip(expected) {
            assert_eq!(filter.len(), 43);
            for (place, expected) in places.into_iter().zip(expected) {
                let same = (filter[place] - expected).abs() < 1e-12;
                assert!(same, "{place}: {}, expected {expected}", filter[place]);
                assert!((filter[place] - filter[42 - place]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn the_bands_add_up_to_the_picture() {
        let bank = bank();
        for k in 0..43 {
            let sum: f64 = bank.iter().map(|filter| filter[k]).sum();
            assert!((sum - f64::from(u8::from(k == 21))).abs() < 1e-11, "{k}");
        }
    }

    #[test]
    fn a_flat_picture_has_the_lowest_band_only() {
        let flat = Tensor::ones((2, 1, 24, 30), candle_core::DType::F64, &Device::Cpu).unwrap();
        let y = apply(&flat, &[[3.0, 0.2, 7.0, 5.0], IDENTITY]).unwrap();
        // Along rows and along columns.
        let first = y.narrow(0, 0, 1).unwrap();
        assert!(max_difference(&first, &(first.ones_like().unwrap() * 9.0).unwrap()) < 1e-9);
        let second = y.narrow(0, 1, 1).unwrap();
        assert_eq!(max_difference(&second, &flat.narrow(0, 1, 1).unwrap()), 0.0);
    }

    /// Against the sums written out: padding by reflection, then taps along rows and along columns.
    #[test]
    fn filtering_is_the_published_arithmetic() {
        let (h, w) = (25, 23);
        let x = randn(&[1, 1, h, w], 3);
        let gains = [0.5, 2.0, 1.5, 0.25];
        let filter = mixed(&bank(), &gains);
        let pixel: Vec<f64> = x.flatten_all().unwrap().to_vec1().unwrap();
        let at = |row: i64, column: i64| {
            let inside = |i: i64, size: usize| {
                let last = size as i64 - 1;
                (last - (last - i.abs()).abs()) as usize
            };
            pixel[inside(row, h) * w + inside(column, w)]
        };
        let mut expected = Vec::new();
        for (row, column) in (0..h as i64).flat_map(|r| (0..w as i64).map(move |c| (r, c))) {
            let along = |r: i64| -> f64 {
                let taps = filter
                    .iter()
                    .zip(-21..)
                    .map(|(tap, k)| tap * at(r, column + k));
                taps.sum()
            };
            let sum: f64 = filter
                .iter()
                .zip(-21..)
                .map(|(tap, k)| tap * along(row + k))
                .sum();
            expected.push(sum);
        }
        let expected = Tensor::from_vec(expected, (1, 1, h, w), &Device::Cpu).unwrap();
        assert!(max_difference(&apply(&x, &[gains]).unwrap(), &expected) < 1e-11);
    }

    #[test]
    fn gradients_pass_the_filter() {
        let x = randn(&[2, 3, 6, 8], 5);
        let gains = [[2.0, 0.5, 1.0, 3.0], IDENTITY];
        let run = |xs: &[Tensor]| Ok(apply(&xs[0], &gains).expect("pictures"));
        assert_gradients("filter", run, &[x]);
    }
}
