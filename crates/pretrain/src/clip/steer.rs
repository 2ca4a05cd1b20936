//! What networks ask for: pixels that follow them from one text towards another.
//!
//! Each step moves each picture by a fixed length against the gradient of what an expansion goes down too:
//! [`Nada::loss`] of the picture at the start and the picture now, under random views. Three things keep such a way in the
//! realm of pictures:
//!
//! - The gradient is taken apart into octaves, each of a length of its own: in natural pictures coarse octaves are as strong as
//!   fine ones, in a gradient the fine ones drown the others.
//! - The way is a running mean of those asked for so far: what one view asks for and the next does not, cancels.
//! - Steps become longer, and then shorter, and each picture is taken from where its loss was lowest: some texts ask for little, and
//!   white paper is far from a dark background.
//!
//! A network with a meaning in its gradient then draws the target; another is content with noise.

use candle_core::{Device, Tensor, Var};
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

/// The share of a new loss in a running mean.
const FRESH: f32 = 0.3;

/// How far, how fast and after what.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steer {
    /// Number of steps.
    pub steps: usize,
    /// Euclidean length of a picture's longest step, half-way, in pixels of `[-1, 1]`; the first and the last have a tenth of it.
    pub length: f64,
    /// The loss; by default what `assets/portraits/expand.toml` says, with two views.
    pub nada: Config,
}

impl Default for Steer {
    fn default() -> Self {
        Self {
            steps: 100,
            length: 16.0,
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

/// `pictures: [n, 3, h, w]` in `[-1, 1]` steered by `nada` towards one of its tasks, as `how` says.
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
    let mut best = Best::start(pictures)?;
    for step in 0..how.steps {
        let at = Var::from_tensor(way.at())?;
        let loss = nada.loss(tasks, pictures, &at, &each, stream)?;
        best.offer(way.at(), &loss.per_sample.to_vec1()?)?;
        let length = length_at(how.length, step, how.steps) as f32;
        way.step(&grad(&loss.total, &at)?.neg()?, &vec![length; n])?;
    }
    Ok(best.pictures)
}

/// The length of step `step` of `steps`, the longest being `longest`: it rises and falls geometrically, from a tenth and to a tenth.
pub(crate) fn length_at(longest: f64, step: usize, steps: usize) -> f64 {
    let done = step as f64 / steps as f64;
    longest * 0.1f64.powf((1.0 - 2.0 * done).abs())
}

/// For each picture the place where its loss was lowest so far.
struct Best {
    pictures: Tensor,
    lowest: Vec<f32>,
    /// Running means, for a loss is that of random views.
    losses: Option<Vec<f32>>,
}

impl Best {
    fn start(pictures: &Tensor) -> Result<Self> {
        Ok(Self {
            lowest: vec![f32::INFINITY; pictures.dim(0)?],
            losses: None,
            pictures: pictures.detach(),
        })
    }

    /// Takes those of `pictures: [n, 3, h, w]` that are better than what is there.
    fn offer(&mut self, pictures: &Tensor, losses: &[f32]) -> Result<()> {
        let before = self.losses.take().unwrap_or_else(|| losses.to_vec());
        let means = before.iter().zip(losses);
        let means = means.map(|(before, now)| before + FRESH * (now - before));
        let means: Vec<f32> = means.collect();
        for (row, &mean) in means.iter().enumerate() {
            if mean < self.lowest[row] {
                self.lowest[row] = mean;
                self.pictures = replaced(&self.pictures, row, &pictures.narrow(0, row, 1)?)?;
            }
        }
        self.losses = Some(means);
        Ok(())
    }
}

/// `pictures: [n, c, h, w]` with `picture: [1, c, h, w]` in place of one.
pub(crate) fn replaced(pictures: &Tensor, row: usize, picture: &Tensor) -> Result<Tensor> {
    let (_, c, h, w) = picture.dims4()?;
    Ok(pictures.slice_assign(&[row..row + 1, 0..c, 0..h, 0..w], picture)?)
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
        self.moved = replaced(&self.moved, row, picture)?;
        self.mean = replaced(&self.mean, row, &picture.zeros_like()?)?;
        Ok(())
    }

    pub(crate) fn save(&self, prefix: &str, state: &mut State) -> Result<()> {
        state.put_tensor(&format!("{prefix}moved"), &self.moved)?;
        Ok(state.put_tensor(&format!("{prefix}mean"), &self.mean)?)
    }

    pub(crate) fn restore(prefix: &str, state: &State, device: &Device) -> Result<Option<Self>> {
        let [moved, mean] = ["moved", "mean"].map(|name| format!("{prefix}{name}"));
        if !state.has_tensor(&moved) {
            return Ok(None);
        }
        let (moved, mean) = (state.tensor(&moved, device)?, state.tensor(&mean, device)?);
        Ok(Some(Self { moved, mean }))
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
    use super::*;

    #[test]
    fn each_picture_is_taken_from_its_best_place() {
        let at = |value: f32| Tensor::full(value, (2, 3, 2, 2), &Device::Cpu).unwrap();
        let mut best = Best::start(&at(0.0)).unwrap();
        // One better view among worse ones is luck; a fall that stays is not.
        let losses = [
            [4.0f32, 4.0],
            [4.0, 1.0],
            [4.0, 1.0],
            [5.0, 3.0],
            [3.0, 9.0],
        ];
        for (step, losses) in losses.iter().enumerate() {
            best.offer(&at(step as f32), losses).unwrap();
        }
        let first = best
            .pictures
            .flatten_from(1)
            .unwrap()
            .narrow(1, 0, 1)
            .unwrap();
        let first = first.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(first, [4.0, 2.0]);
    }

    #[test]
    fn steps_are_longest_half_way() {
        let length = |step| length_at(8.0, step, 100);
        assert!((length(50) - 8.0).abs() < 1e-9 && (length(0) - 0.8).abs() < 1e-9);
        assert!(length(25) > length(24) && length(75) > length(76));
        assert!((length(100) - 0.8).abs() < 1e-9);
    }

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
