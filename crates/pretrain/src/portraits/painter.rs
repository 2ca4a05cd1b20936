//! The renderer as a teacher: the photograph that belongs to a latent.
//!
//! The first [`Factors::NUMBERS`] coordinates of `z` decide the factors, each through the normal distribution's own function
//! `Φ(z) = ½ erfc(−z / √2)`, which makes it uniform; the next one chooses among a few renderings of the same factors (strands of
//! hair, lights behind). The other coordinates decide nothing: they are the generator's room to grow.

use domex_data::portraits::{Domain, Factors, render};
use image::RgbImage;

use crate::stylegan2::Teacher;

/// Renderings of the same factors. A generator must learn each by heart.
const PATTERNS: f32 = 8.0;

/// Draws photographs of `side` pixels.
#[derive(Debug, Clone, Copy)]
pub struct Painter {
    /// Width and height.
    pub side: u32,
}

impl Painter {
    /// How many coordinates decide the picture.
    pub const COORDINATES: usize = Factors::NUMBERS + 1;

    /// Factors and rendering seed of a latent of more than [`Factors::NUMBERS`] numbers.
    pub fn factors(z: &[f32]) -> (Factors, u64) {
        let uniform = |i: usize| phi(z.get(i).copied().unwrap_or(0.0));
        let numbers = std::array::from_fn(uniform);
        (
            Factors::of(&numbers),
            (uniform(Factors::NUMBERS) * PATTERNS) as u64,
        )
    }
}

impl Teacher for Painter {
    fn picture(&self, z: &[f32]) -> RgbImage {
        let (factors, seed) = Self::factors(z);
        render(&factors, Domain::Photo, seed, self.side)
    }

    fn describe(&self) -> String {
        format!(
            "portraits of {0} × {0}: {1} coordinates decide the picture",
            self.side,
            Self::COORDINATES
        )
    }
}

/// The share of a normal distribution below `z`, less than 1.
fn phi(z: f32) -> f32 {
    (0.5 * libm::erfcf(-z * std::f32::consts::FRAC_1_SQRT_2)).min(1.0 - f32::EPSILON)
}
