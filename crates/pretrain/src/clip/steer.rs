//! What networks ask for: pixels that follow them from one text towards another.
//!
//! Each step moves each picture by a fixed length against the gradient of what an expansion goes down too:
//! [`Nada::loss`] of the picture at the start and the picture now, under random views. Three things keep such a way in the
//! realm of pictures:
//!
//! - The gradient is taken apart into octaves, each of a length of its own: in natural pictures coarse octaves are as strong as
//!   fine ones, in a gradient the fine ones drown the others.
//! - The way is a running mean of those asked for so far: what one view asks for and the next does not, cancels.
//! - Steps become shorter.
//!
//! A network with a meaning in its gradient then draws the target; another is content with noise.

use candle_core::{Tensor, Var};
use domex_nada::{Augment, Config, Nada, Prepared, Weights};
use domex_ops::autograd::grad;
use domex_ops::{Resize, resize};
use domex_random::Stream;
use domex_train::State;
use serde::{Deserialize, Serialize};

use super::attack::unit;
use crate::Result;

/// Octaves that a gradient is taken apart into; what is coarser stays together.
const OCTAVES: usize = 4;

/// How much longer an octave is than the next finer one.
const COARSER: f64 = 1.35;

/// The share of the way so far in the next step's.
const MOMENTUM: f64 = 0.9;

/// How far, how fast and after what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steer {
    /// Number of steps.
    pub steps: usize,
    /// Euclidean length of a picture's first step, in pixels of `[-1, 1]`; the last has a tenth of it.
    pub length: f64,
    /// The loss; by default what `assets/portraits/expand.toml` says, with two views.
    pub nada: Config,
}

impl Default for Steer {
    fn default() -> Self {
        Self {
            steps: 100,
            length: 4.0,
            nada: Config {
                weights: Weights {
                    global: 10.0,
                    ..Weights::default()
                },
                augment: Augment {
                    shift: 0.1,
                    noise: 0.2,
                    views: 2,
                    ..Augment::default()
                },
                ..Config::default()
            },
        }
    }
}

/// `pictures: [n, 3, h, w]` in `[-1, 1]` steered by `nada` towards one of its tasks, with `how`'s steps.
///
/// # Errors
///
/// Shapes that do not fit, or a task that was not prepared.
pub fn steer(
    nada: &Nada,
    tasks: &Prepared,
    task: usize,
    pictures: &Tensor,
    how: &Steer,
    stream: &mut Stream,
) -> Result<Tensor> {
    let n = pictures.dim(0)?;
    let each = vec![task; n];
    let mut way = Way::start(pictures)?;
    for step in 0..how.steps {
        let at = Var::from_tensor(way.at())?;
        let loss = nada.loss(tasks, pictures, &at, &each, stream)?.total;
        let length = length_at(how.length, step, how.steps) as f32;
        way.step(&grad(&loss, &at)?.neg()?, &vec![length; n])?;
    }
    Ok(way.moved)
}

/// The length of step `step` of `steps`, the first being `first` long: in the end a tenth.
pub(crate) fn length_at(first: f64, step: usize, steps: usize) -> f64 {
    first * (1.0 - 0.9 * step as f64 / steps as f64)
}

/// Pictures on their way, and where to.
pub(crate) struct Way {
    moved: Tensor,
    pub(crate) mean: Tensor,
}

impl Way {
    /// Not moved yet.
    pub(crate) fn start(pictures: &Tensor) -> Result<Self> {
        Ok(Self {
            moved: pictures.detach(),
            mean: pictures.zeros_like()?,
        })
    }

    /// Where they are, `[n, 3, h, w]`.
    pub(crate) fn at(&self) -> &Tensor {
        &self.moved
    }

    /// A step of these lengths up `gradient: [n, 3, h, w]`.
    pub(crate) fn step(&mut self, gradient: &Tensor, lengths: &[f32]) -> Result<()> {
        let uphill = unit(&in_octaves(&gradient.detach())?)?;
        self.mean = ((&self.mean * MOMENTUM)? + uphill)?;
        let lengths = Tensor::new(lengths, gradient.device())?.reshape(((), 1, 1, 1))?;
        self.moved = (&self.moved + unit(&self.mean)?.broadcast_mul(&lengths)?)?
            .clamp(-1f32, 1f32)?
            .detach();
        Ok(())
    }

    /// Puts `picture: [1, 3, h, w]` at the start in place of one.
    pub(crate) fn renew(&mut self, row: usize, picture: &Tensor) -> Result<()> {
        let (_, c, h, w) = picture.dims4()?;
        let place = [row..row + 1, 0..c, 0..h, 0..w];
        self.moved = self.moved.slice_assign(&place, picture)?;
        self.mean = self.mean.slice_assign(&place, &picture.zeros_like()?)?;
        Ok(())
    }

    pub(crate) fn save(&self, prefix: &str, state: &mut State) -> Result<()> {
        state.put_tensor(&format!("{prefix}moved"), &self.moved)?;
        Ok(state.put_tensor(&format!("{prefix}mean"), &self.mean)?)
    }

    pub(crate) fn restore(&mut self, prefix: &str, state: &State) -> Result<()> {
        let device = self.moved.device().clone();
        self.moved = state.tensor(&format!("{prefix}moved"), &device)?;
        self.mean = state.tensor(&format!("{prefix}mean"), &device)?;
        Ok(())
    }
}

/// The sum of the octaves of `x: [n, c, h, w]`, the finest of length 1.
fn in_octaves(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let mut fine = x.clone();
    let mut sum = x.zeros_like()?;
    let mut length = 1.0;
    for octave in 0..OCTAVES {
        let side = |n: usize| (n >> (octave + 1)).max(1);
        let coarse = resize(x, side(h), side(w), Resize::Area)?;
        let coarse = resize(&coarse, h, w, Resize::Bilinear)?;
        sum = (sum + (unit(&(&fine - &coarse)?)? * length)?)?;
        fine = coarse;
        length *= COARSER;
    }
    Ok((sum + (unit(&fine)? * length)?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_faint_coarse_octave_is_heard_beside_a_loud_fine_one() {
        // A thousandth of a slope from left to right, under a chessboard.
        let slope = |i: usize| (i % 16) as f32 / 16.0 - 0.5;
        let x: Vec<f32> = (0..256)
            .map(|i| 1e-3 * slope(i) + if (i + i / 16) % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        let x = Tensor::from_vec(x, (1, 1, 16, 16), &Device::Cpu).unwrap();
        let wanted: Vec<f32> = (0..256).map(slope).collect();
        let wanted = Tensor::from_vec(wanted, (1, 1, 16, 16), &Device::Cpu).unwrap();
        let cosine = |x: &Tensor| {
            let product = (unit(x).unwrap() * unit(&wanted).unwrap()).unwrap();
            product.sum_all().unwrap().to_scalar::<f32>().unwrap()
        };
        assert!(cosine(&x) < 0.01, "{}", cosine(&x));
        let heard = cosine(&in_octaves(&x).unwrap());
        assert!(heard > 0.5, "{heard}");
        // How long a gradient is says nothing.
        let louder = in_octaves(&(&x * 1e3).unwrap()).unwrap();
        let apart = (louder - in_octaves(&x).unwrap()).unwrap().abs().unwrap();
        assert!(apart.max_all().unwrap().to_scalar::<f32>().unwrap() < 1e-4);
    }
}
