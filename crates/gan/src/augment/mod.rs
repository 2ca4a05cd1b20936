//! Augmentation of what a discriminator is shown, so that it learns from few pictures without
//! remembering them: the pipeline of adaptive discriminator augmentation (Karras et al.
//! 2020, arXiv 2006.06676; NVlabs/stylegan2-ada-pytorch, `training/augment.py`).
//!
//! Each change happens to each picture by itself with probability `p` times its multiplier:
//!
//! | group | changes |
//! | --- | --- |
//! | pixel blitting | mirror, quarter turns, shift by whole pixels |
//! | geometry | scale, rotation, stretch, rotation again, shift |
//! | colour | brightness, contrast, inverted luma, hue, saturation |
//! | filter | four bands of frequencies, each amplified or damped |
//! | noise | normal noise on every number |
//! | cutout | a rectangle set to 0 |
//!
//! The first three are *bgc*, the published default.
//!
//! [`Augment::draw`] makes one matrix for the geometry and one for the colours of each picture, on
//! the CPU, and [`Drawn::apply`] uses them: once drawn, the change is a fixed differentiable map,
//! so the generator's gradient flows through it, and R1 may look at it twice. The geometry is
//! resampled at twice the resolution between a wavelet's low-pass filters, with the picture
//! reflected at its edges (`resample`). [`Ada`] steers `p` by how sure the discriminator is.

mod ada;
mod colour;
mod config;
mod corrupt;
mod filter;
mod geometry;
mod matrix;
mod resample;
#[cfg(test)]
mod tests;

use candle_core::Tensor;
use domex_random::Stream;

pub use ada::{Ada, AdaConfig, Signs};
pub use config::AugmentConfig;

use crate::{Error, Result};
use colour::Colour;
use filter::Gains;
use matrix::Matrix;

/// The pipeline. See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Augment {
    config: AugmentConfig,
}

impl Augment {
    /// # Errors
    ///
    /// A multiplier or size that is negative, not finite, or above 10 (a typing error).
    pub fn new(config: AugmentConfig) -> Result<Self> {
        for (name, value) in config.numbers() {
            if !(0.0..=10.0).contains(&value) {
                let what = format!("augmentation {name}");
                return Err(Error::setting(what, value, "0 to 10"));
            }
        }
        Ok(Self { config })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &AugmentConfig {
        &self.config
    }

    /// Draws the changes of a batch of `shape = [n, c, h, w]`. Each picture takes the same amount
    /// from `stream`, whatever happens to it.
    ///
    /// # Errors
    ///
    /// A `p` outside 0 to 1, or no pixels.
    pub fn draw(&self, shape: [usize; 4], p: f64, stream: &mut Stream) -> Result<Drawn> {
        let [n, channels, height, width] = shape;
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::setting("augmentation probability", p, "0 to 1"));
        }
        if height == 0 || width == 0 {
            let size = format!("{height}x{width}");
            return Err(Error::setting("pictures to augment", size, "some pixels"));
        }
        let mut drawn = Drawn {
            shape,
            geometry: Vec::new(),
            colours: Vec::new(),
            gains: Vec::new(),
            noise: Vec::new(),
            cutouts: Vec::new(),
            cutout_size: self.config.cutout_size,
        };
        let config = &self.config;
        let mut noise = Vec::new();
        for _ in 0..n {
            let mut dice = Dice { p, stream };
            let geometry = geometry::draw(config, &mut dice, width, height);
            drawn.geometry.push(geometry);
            drawn.colours.push(colour::draw(config, &mut dice));
            // Groups that are off draw nothing.
            if config.imgfilter > 0.0 {
                drawn.gains.push(filter::draw(config, &mut dice));
            }
            if config.noise > 0.0 {
                let deviation = corrupt::draw_noise(config, &mut dice);
                let mut values = vec![0.0_f32; channels * height * width];
                dice.stream.fill_normal(&mut values);
                noise.extend(values.iter().map(|value| value * deviation as f32));
            }
            if config.cutout > 0.0 {
                drawn.cutouts.push(corrupt::draw_cutout(config, &mut dice));
            }
        }
        if noise.iter().any(|value| *value != 0.0) {
            drawn.noise = noise;
        }
        Ok(drawn)
    }
}

/// Chance, in one order for every picture.
struct Dice<'a> {
    p: f64,
    stream: &'a mut Stream,
}

impl Dice<'_> {
    /// Whether a change with this multiplier happens.
    fn happens(&mut self, multiplier: f64) -> bool {
        let probability = self.p * multiplier;
        self.happens_with(probability)
    }

    fn happens_with(&mut self, probability: f64) -> bool {
        self.stream.uniform_f64() < probability
    }

    /// Uniform from −1 to 1.
    fn either_way(&mut self) -> f64 {
        2.0 * self.stream.uniform_f64() - 1.0
    }

    /// One of the numbers below `n`.
    fn one_of(&mut self, n: usize) -> f64 {
        (self.stream.uniform_f64() * n as f64).floor()
    }

    fn normal(&mut self) -> f64 {
        self.stream.normal_f64()
    }
}

/// The changes of one batch.
#[derive(Debug, Clone)]
pub struct Drawn {
    shape: [usize; 4],
    geometry: Vec<Matrix>,
    colours: Vec<Colour>,
    /// Of the bands, for each picture; empty where the group is off.
    gains: Vec<Gains>,
    /// A number for each of the pictures' numbers; empty where nothing is added.
    noise: Vec<f32>,
    /// Centres of what is cut out; empty where the group is off.
    cutouts: Vec<Option<[f64; 2]>>,
    cutout_size: f64,
}

impl Drawn {
    /// Whether all pictures stay as they are, to the last bit.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.geometry.iter().all(|m| *m == matrix::IDENTITY)
            && self.colours.iter().all(|c| *c == Colour::IDENTITY)
            && self.gains.iter().all(|gains| *gains == filter::IDENTITY)
            && self.noise.is_empty()
            && self.cutouts.iter().all(Option::is_none)
    }

    /// The changed pictures; `x: [n, c, h, w]` in the shape that was drawn for. Differentiable in
    /// `x` to any order.
    ///
    /// # Errors
    ///
    /// Another shape, or colours of pictures that have neither one nor three channels.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        if x.dims() != self.shape {
            let found = format!("{:?}", x.dims());
            let expected = format!("{:?}, as drawn for", self.shape);
            return Err(Error::setting("pictures to augment", found, expected));
        }
        let x = resample::apply(x, &self.geometry)?;
        let x = colour::apply(&x, &self.colours)?;
        let x = filter::apply(&x, &self.gains)?;
        let x = match self.noise.is_empty() {
            true => x,
            false => corrupt::add_noise(&x, &self.noise)?,
        };
        corrupt::cut_out(&x, &self.cutouts, self.cutout_size)
    }
}
