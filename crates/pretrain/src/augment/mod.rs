//! Augmentation of what a discriminator is shown, so that it learns from few pictures without
//! remembering them: the *bgc* pipeline of adaptive discriminator augmentation (Karras et al.
//! 2020, arXiv 2006.06676; NVlabs/stylegan2-ada-pytorch, `training/augment.py`).
//!
//! Each change happens to each picture by itself with probability `p` times its multiplier:
//!
//! | group | changes |
//! | --- | --- |
//! | pixel blitting | mirror, quarter turns, shift by whole pixels |
//! | geometry | scale, rotation, stretch, rotation again, shift |
//! | colour | brightness, contrast, inverted luma, hue, saturation |
//!
//! [`Augment::draw`] makes one matrix for the geometry and one for the colours of each picture, on
//! the CPU, and [`Drawn::apply`] uses them: once drawn, the change is a fixed differentiable map,
//! so the generator's gradient flows through it, and R1 may look at it twice. The geometry is
//! resampled at twice the resolution between a wavelet's low-pass filters, with the picture
//! reflected at its edges (`resample`). [`Ada`] steers `p` by how sure the discriminator is.
//!
//! Left out on purpose: the published pipeline's filter, noise and cutout groups, which *bgc* does
//! not use.

mod ada;
mod colour;
mod geometry;
mod matrix;
mod resample;
#[cfg(test)]
mod tests;

use candle_core::Tensor;
use domex_random::Stream;

pub use ada::{Ada, AdaConfig};

use crate::{Error, Result};
use colour::Colour;
use matrix::Matrix;

/// How likely each change is, as a multiplier of `p`, and how far it goes. The default is *bgc*:
/// all multipliers 1.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Multiplier of the mirror image.
    pub xflip: f64,
    /// Multiplier of quarter turns.
    pub rotate90: f64,
    /// Multiplier of shifts by whole pixels.
    pub xint: f64,
    /// Longest such shift, as a share of the picture.
    pub xint_max: f64,
    /// Multiplier of scaling.
    pub scale: f64,
    /// Standard deviation of the scale's logarithm to base 2.
    pub scale_std: f64,
    /// Multiplier of rotation, which may come before and after the stretch.
    pub rotate: f64,
    /// Largest angle, as a share of half a turn.
    pub rotate_max: f64,
    /// Multiplier of stretching one axis and shrinking the other.
    pub aniso: f64,
    /// Standard deviation of the stretch's logarithm to base 2.
    pub aniso_std: f64,
    /// Multiplier of shifts by any amount.
    pub xfrac: f64,
    /// Standard deviation of such a shift, as a share of the picture.
    pub xfrac_std: f64,
    /// Multiplier of brightness.
    pub brightness: f64,
    /// Standard deviation of what is added to the colours, which lie in −1 to 1.
    pub brightness_std: f64,
    /// Multiplier of contrast.
    pub contrast: f64,
    /// Standard deviation of the contrast's logarithm to base 2.
    pub contrast_std: f64,
    /// Multiplier of inverted luma.
    pub lumaflip: f64,
    /// Multiplier of hue.
    pub hue: f64,
    /// Largest turn of the hue, as a share of half a turn.
    pub hue_max: f64,
    /// Multiplier of saturation.
    pub saturation: f64,
    /// Standard deviation of the saturation's logarithm to base 2.
    pub saturation_std: f64,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            xflip: 1.0,
            rotate90: 1.0,
            xint: 1.0,
            scale: 1.0,
            rotate: 1.0,
            aniso: 1.0,
            xfrac: 1.0,
            brightness: 1.0,
            contrast: 1.0,
            lumaflip: 1.0,
            hue: 1.0,
            saturation: 1.0,
            ..Self::none()
        }
    }
}

impl AugmentConfig {
    /// All multipliers 0: nothing ever changes. The sizes are the published ones.
    #[must_use]
    pub fn none() -> Self {
        Self {
            xflip: 0.0,
            rotate90: 0.0,
            xint: 0.0,
            xint_max: 0.125,
            scale: 0.0,
            scale_std: 0.2,
            rotate: 0.0,
            rotate_max: 1.0,
            aniso: 0.0,
            aniso_std: 0.2,
            xfrac: 0.0,
            xfrac_std: 0.125,
            brightness: 0.0,
            brightness_std: 0.2,
            contrast: 0.0,
            contrast_std: 0.5,
            lumaflip: 0.0,
            hue: 0.0,
            hue_max: 1.0,
            saturation: 0.0,
            saturation_std: 1.0,
        }
    }

    /// Every number by its name.
    fn numbers(&self) -> [(&'static str, f64); 21] {
        [
            ("xflip", self.xflip),
            ("rotate90", self.rotate90),
            ("xint", self.xint),
            ("xint_max", self.xint_max),
            ("scale", self.scale),
            ("scale_std", self.scale_std),
            ("rotate", self.rotate),
            ("rotate_max", self.rotate_max),
            ("aniso", self.aniso),
            ("aniso_std", self.aniso_std),
            ("xfrac", self.xfrac),
            ("xfrac_std", self.xfrac_std),
            ("brightness", self.brightness),
            ("brightness_std", self.brightness_std),
            ("contrast", self.contrast),
            ("contrast_std", self.contrast_std),
            ("lumaflip", self.lumaflip),
            ("hue", self.hue),
            ("hue_max", self.hue_max),
            ("saturation", self.saturation),
            ("saturation_std", self.saturation_std),
        ]
    }
}

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
                return Err(Error::config(what, value, "0 to 10"));
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
        let [n, _, height, width] = shape;
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::config("augmentation probability", p, "0 to 1"));
        }
        if height == 0 || width == 0 {
            let size = format!("{height}x{width}");
            return Err(Error::config("pictures to augment", size, "some pixels"));
        }
        let mut drawn = Drawn {
            shape,
            geometry: Vec::new(),
            colours: Vec::new(),
        };
        for _ in 0..n {
            let mut dice = Dice { p, stream };
            let geometry = geometry::draw(&self.config, &mut dice, width, height);
            drawn.geometry.push(geometry);
            drawn.colours.push(colour::draw(&self.config, &mut dice));
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
}

impl Drawn {
    /// Whether all pictures stay as they are, to the last bit.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.geometry.iter().all(|m| *m == matrix::IDENTITY)
            && self.colours.iter().all(|c| *c == Colour::IDENTITY)
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
            return Err(Error::config("pictures to augment", found, expected));
        }
        let x = resample::apply(x, &self.geometry)?;
        colour::apply(&x, &self.colours)
    }
}
