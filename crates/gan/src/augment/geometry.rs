//! Where each pixel of a changed picture comes from.
//!
//! A change `T` moves the picture's points; what is drawn is its inverse, from a pixel of the
//! result to a position in the source, both in pixels from the centre. Changes come in the order of
//! the module's table, so their inverses are multiplied from the right:
//!
//! `M = T₁⁻¹ T₂⁻¹ ... `
//!
//! A rotation may come before and after the stretch. Each of the two has probability
//! `1 − √(1 − p)`, so that one or the other comes with probability `p`.

use std::f64::consts::{FRAC_PI_2, PI};

use super::matrix::{IDENTITY, Matrix, product, rotate, scale, shift};
use super::{AugmentConfig, Dice};

/// Draws `M` for a picture of `width` × `height`.
pub(super) fn draw(
    config: &AugmentConfig,
    dice: &mut Dice<'_>,
    width: usize,
    height: usize,
) -> Matrix {
    let mut m = IDENTITY;
    let mut then = |happens: bool, inverse: Matrix| {
        // A change by nothing leaves the matrix as it is, to the last bit.
        if happens && inverse != IDENTITY {
            m = product(&m, &inverse);
        }
    };
    let (width, height) = (width as f64, height as f64);

    let happens = dice.happens(config.xflip);
    then(happens, scale(1.0 - 2.0 * dice.one_of(2), 1.0));

    let happens = dice.happens(config.rotate90);
    then(happens, quarter_turns(dice.one_of(4)));

    let happens = dice.happens(config.xint);
    let [x, y] = [width, height].map(|size| dice.either_way() * config.xint_max * size);
    then(happens, shift(-x.round_ties_even(), -y.round_ties_even()));

    let happens = dice.happens(config.scale);
    let factor = (dice.normal() * config.scale_std).exp2();
    then(happens, scale(1.0 / factor, 1.0 / factor));

    let each = 1.0 - (1.0 - (dice.p * config.rotate).clamp(0.0, 1.0)).sqrt();
    let happens = dice.happens_with(each);
    then(happens, rotate(dice.either_way() * PI * config.rotate_max));

    let happens = dice.happens(config.aniso);
    let factor = (dice.normal() * config.aniso_std).exp2();
    then(happens, scale(1.0 / factor, factor));

    let happens = dice.happens_with(each);
    then(happens, rotate(dice.either_way() * PI * config.rotate_max));

    let happens = dice.happens(config.xfrac);
    let [x, y] = [width, height].map(|size| dice.normal() * config.xfrac_std * size);
    then(happens, shift(-x, -y));
    m
}

/// Exact, where sine and cosine would leave rounding errors.
fn quarter_turns(count: f64) -> Matrix {
    match count as u8 {
        0 => IDENTITY,
        1 => [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        2 => scale(-1.0, -1.0),
        3 => [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]],
        turns => rotate(f64::from(turns) * FRAC_PI_2),
    }
}
