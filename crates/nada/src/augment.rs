//! Random changes of view, drawn once for a pair and made to both of its pictures.
//!
//! A CLIP network can be satisfied by patterns that mean nothing to a person. They rarely survive a crop, a shift
//! or some noise; what was meant does. Because base and edited picture get the same view, the change
//! itself is no part of the edit. Everything is differentiable; nothing is done by default.
//!
//! A view of pictures `[n, 3, h, w]` is a window of one size for all, at a place of its own for each pair,
//! partly outside where shifts are allowed (there the edge is repeated); perhaps mirrored; then
//! `gain · x + offset` for each colour, and normal noise.

use candle_core::{Device, Tensor};
use domex_ops::upload;
use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What may happen to a pair. See the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// The smallest window, as a share of the sides; 1 keeps the whole picture.
    pub crop: f64,
    /// The furthest that a window may reach outside, as a share of the sides.
    pub shift: f64,
    /// Whether half of the pairs are mirrored.
    pub flip: bool,
    /// The furthest that a colour's gain is from 1 and its offset from 0.
    pub colour: f64,
    /// Standard deviation of the noise on values in `[-1, 1]`.
    pub noise: f64,
    /// How many views of each pair are looked at; the loss is their mean.
    pub views: usize,
}

impl Default for Augment {
    /// Nothing.
    fn default() -> Self {
        Self {
            crop: 1.0,
            shift: 0.0,
            flip: false,
            colour: 0.0,
            noise: 0.0,
            views: 1,
        }
    }
}

impl Augment {
    pub(crate) fn validate(&self) -> Result<()> {
        let within =
            |what: &str, value: f64, low: f64, high: f64| match value >= low && value <= high {
                true => Ok(()),
                false => Err(Error::config(
                    format!("augment.{what}"),
                    value,
                    format!("{low} to {high}"),
                )),
            };
        within("crop", self.crop, 0.1, 1.0)?;
        within("shift", self.shift, 0.0, 0.5)?;
        within("colour", self.colour, 0.0, 0.9)?;
        within("noise", self.noise, 0.0, 1.0)?;
        within("views", self.views as f64, 1.0, 64.0)
    }

    /// Draws a view of `n` pairs of pictures of `h × w`.
    ///
    /// # Errors
    ///
    /// A picture without pixels.
    pub fn draw(&self, stream: &mut Stream, [n, h, w]: [usize; 3]) -> Result<View> {
        if h == 0 || w == 0 {
            return Err(Error::shape(
                "pictures of a view",
                &[n, 3, h, w],
                "1 pixel or more",
            ));
        }
        let share = self.crop + (1.0 - self.crop) * stream.uniform_f64();
        let size = [h, w].map(|side| ((side as f64 * share).round() as usize).clamp(1, side));
        let mut place = |side: usize, window: usize| -> Result<isize> {
            let out = (side as f64 * self.shift) as usize;
            Ok(stream.index(side - window + 2 * out + 1)? as isize - out as isize)
        };
        let mut windows = Vec::with_capacity(n);
        for _ in 0..n {
            windows.push([place(h, size[0])?, place(w, size[1])?]);
        }
        let mirrored = (0..n)
            .map(|_| self.flip && stream.uniform_f32() < 0.5)
            .collect();
        let mut around = |centre: f64| centre + self.colour * (2.0 * stream.uniform_f64() - 1.0);
        let colours = (self.colour > 0.0).then(|| {
            let gains = (0..3 * n).map(|_| around(1.0) as f32).collect();
            [gains, (0..3 * n).map(|_| around(0.0) as f32).collect()]
        });
        let noise = (self.noise > 0.0).then(|| {
            let mut noise = vec![0.0; n * 3 * size[0] * size[1]];
            stream.fill_normal(&mut noise);
            noise.iter_mut().for_each(|x| *x *= self.noise as f32);
            noise
        });
        Ok(View {
            of: [h, w],
            size,
            windows,
            mirrored,
            colours,
            noise,
        })
    }
}

/// One drawn view.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    of: [usize; 2],
    size: [usize; 2],
    windows: Vec<[isize; 2]>, // top and left of each pair
    mirrored: Vec<bool>,
    colours: Option<[Vec<f32>; 2]>, // gains and offsets, [n, 3]
    noise: Option<Vec<f32>>,        // [n, 3, size]
}

impl View {
    /// Pictures `[n, 3, h', w']`, `h' ≤ h`, of `pictures: [n, 3, h, w]`.
    ///
    /// # Errors
    ///
    /// Pictures of another number or size than it was drawn for.
    pub fn apply(&self, pictures: &Tensor) -> Result<Tensor> {
        let (n, [h, w]) = (self.windows.len(), self.of);
        if pictures.dims() != [n, 3, h, w] {
            return Err(Error::shape(
                "pictures of a view",
                pictures.dims(),
                format!("[{n}, 3, {h}, {w}]"),
            ));
        }
        let mut x = self.cut(pictures)?;
        let put = |values: &[f32], shape: [usize; 4]| -> Result<Tensor> {
            let tensor = Tensor::from_slice(values, &shape, &Device::Cpu)?;
            Ok(upload(&tensor, x.device())?.to_dtype(x.dtype())?)
        };
        let colours = match &self.colours {
            Some([gains, offsets]) => {
                Some((put(gains, [n, 3, 1, 1])?, put(offsets, [n, 3, 1, 1])?))
            }
            None => None,
        };
        let noise = match &self.noise {
            Some(noise) => Some(put(noise, [n, 3, self.size[0], self.size[1]])?),
            None => None,
        };
        if let Some((gains, offsets)) = colours {
            x = x.broadcast_mul(&gains)?.broadcast_add(&offsets)?;
        }
        if let Some(noise) = noise {
            x = (x + noise)?;
        }
        Ok(x)
    }

    fn cut(&self, pictures: &Tensor) -> Result<Tensor> {
        let whole = |(window, mirrored): (&[isize; 2], &bool)| *window == [0, 0] && !mirrored;
        if self.size == self.of && self.windows.iter().zip(&self.mirrored).all(whole) {
            return Ok(pictures.clone());
        }
        let cut = |(k, &[top, left]): (usize, &[isize; 2])| {
            let picture = pictures.narrow(0, k, 1)?;
            let rows = span(&picture, 2, top, self.size[0], false)?;
            span(&rows, 3, left, self.size[1], self.mirrored[k])
        };
        let cut = self.windows.iter().enumerate().map(cut);
        Ok(Tensor::cat(&cut.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// `length` entries of dimension `dim` from `start` on, perhaps backwards; the edge is repeated outside.
fn span(x: &Tensor, dim: usize, start: isize, length: usize, reversed: bool) -> Result<Tensor> {
    let side = x.dim(dim)? as isize;
    if !reversed && start >= 0 && start + length as isize <= side {
        return Ok(x.narrow(dim, start as usize, length)?);
    }
    let mut at: Vec<u32> = (start..start + length as isize)
        .map(|at| at.clamp(0, side - 1) as u32)
        .collect();
    if reversed {
        at.reverse();
    }
    let at = upload(&Tensor::from_vec(at, length, &Device::Cpu)?, x.device())?;
    Ok(x.contiguous()?.index_select(&at, dim)?)
}

#[cfg(test)]
mod tests;
