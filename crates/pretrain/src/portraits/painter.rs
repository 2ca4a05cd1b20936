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
    ///
    /// Its length plays no role: a mapping network does not see it.
    pub fn factors(z: &[f32]) -> (Factors, u64) {
        let power = z.iter().map(|x| x * x).sum::<f32>() / z.len() as f32;
        let length = power.sqrt().max(f32::MIN_POSITIVE);
        Self::decided(|i| phi(z.get(i).copied().unwrap_or(0.0) / length))
    }

    /// Those of a uniform number for each coordinate.
    fn decided(uniform: impl Fn(usize) -> f32) -> (Factors, u64) {
        let numbers = std::array::from_fn(&uniform);
        (
            Factors::of(&numbers),
            (uniform(Factors::NUMBERS) * PATTERNS) as u64,
        )
    }

    /// What a latent looks like in a domain.
    pub fn rendering(&self, z: &[f32], domain: Domain) -> RgbImage {
        let (factors, seed) = Self::factors(z);
        render(&factors, domain, seed, self.side)
    }

    /// Where along each coordinate that decides another choice begins, to a ten-thousandth of its distribution.
    pub fn limits() -> Vec<Vec<f32>> {
        let choices = |coordinate: usize, number: f32| {
            let (f, seed) = Self::decided(|i| if i == coordinate { number } else { 0.5 });
            let worn = (f.hair_style, f.glasses, f.beard, f.hat);
            (worn, f.hair_colour, f.eye_colour, f.background, seed)
        };
        let limits = |coordinate| {
            let number = |i: u16| f32::from(i) / 10_000.0;
            (1..10_000)
                .filter(|i| {
                    choices(coordinate, number(*i) + 5e-5) != choices(coordinate, number(*i) - 5e-5)
                })
                .map(|i| quantile(number(i)))
                .collect()
        };
        (0..Self::COORDINATES).map(limits).collect()
    }
}

impl Teacher for Painter {
    fn picture(&self, z: &[f32]) -> RgbImage {
        self.rendering(z, Domain::Photo)
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

/// The inverse of [`phi`], by halving.
fn quantile(u: f32) -> f32 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if phi(middle) < u {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_change_at_the_limits_and_nowhere_else() {
        let limits = Painter::limits();
        assert_eq!(limits.len(), Painter::COORDINATES);
        assert_eq!(limits.iter().flatten().count(), 30);
        let chosen = |coordinate: usize, z: f32| {
            let mut latent = [0.0; Painter::COORDINATES];
            latent[coordinate] = z;
            let (f, seed) = Painter::decided(|i| phi(latent[i]));
            (f.hair_style, f.glasses, f.beard, f.hat, f.eye_colour, seed)
        };
        for (coordinate, limits) in limits.iter().enumerate().skip(17) {
            let mut places = vec![-4.0];
            places.extend(limits);
            places.push(4.0);
            for pair in places.windows(2) {
                let ends = [pair[0] + 1e-3, pair[1] - 1e-3];
                let [low, high] = ends.map(|z| chosen(coordinate, z));
                assert_eq!(low, high, "{coordinate} between {pair:?}");
            }
        }
    }

    #[test]
    fn a_latents_length_does_not_matter() {
        let z: Vec<f32> = (0..512)
            .map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0)
            .collect();
        let longer: Vec<f32> = z.iter().map(|x| 4.0 * x).collect();
        assert_eq!(Painter::factors(&z), Painter::factors(&longer));
        assert_ne!(Painter::factors(&z).0, Painter::factors(&z[1..]).0);
    }
}
