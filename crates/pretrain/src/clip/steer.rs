//! What a network asks for: pixels that follow the gradient of a text.
//!
//! With pictures `x₀` of the source domain, unit features `f(x)` and unit texts `t_source`, `t_target`, each
//! step moves each picture by a fixed length against the gradient of
//!
//! `(1 − ⟨f(x), t_target⟩) + (1 − cos(f(x) − f(x₀), t_target − t_source))`
//!
//! The first term is the global loss, the second the directional one (Gal et al. 2021, arXiv
//! 2108.00946). The gradient is taken apart into octaves, each is brought to the same length, and their sum is the way: in
//! natural pictures coarse octaves are as strong as fine ones, in a gradient the fine ones drown the others. A network
//! with a meaning in its gradient then draws the target; another is content with noise.

use candle_core::{Tensor, Var};
use domex_clip::{Clip, Preprocess, unit_length};
use domex_ops::autograd::grad;
use domex_ops::{Resize, resize};
use serde::{Deserialize, Serialize};

use super::attack::unit;
use crate::Result;

/// Octaves that a gradient is taken apart into; what is coarser stays together.
const OCTAVES: usize = 4;

/// How far and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steer {
    /// Number of steps.
    pub steps: usize,
    /// Euclidean length of a picture's first step, in pixels of `[-1, 1]`; the last has a tenth of it.
    pub length: f64,
    /// Weight of the global term.
    pub global: f64,
    /// Weight of the directional term.
    pub directional: f64,
}

impl Default for Steer {
    fn default() -> Self {
        Self {
            steps: 100,
            length: 2.0,
            global: 1.0,
            directional: 1.0,
        }
    }
}

/// `pictures: [n, 3, h, w]` in `[-1, 1]` steered by `towers` from one text towards another, both of unit
/// length and given for each tower.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn steer(towers: &[(&Clip, Tensor, Tensor)], pictures: &Tensor, how: &Steer) -> Result<Tensor> {
    let guides = towers
        .iter()
        .map(|(clip, source, target)| Guide::new(clip, pictures, source, target))
        .collect::<Result<Vec<_>>>()?;
    let mut moved = pictures.detach();
    for step in 0..how.steps {
        let at = Var::from_tensor(&moved)?;
        let mut loss: Option<Tensor> = None;
        for guide in &guides {
            let part = guide.loss(&at, how)?;
            loss = Some(match loss {
                Some(loss) => (loss + part)?,
                None => part,
            });
        }
        let Some(loss) = loss else { break };
        let length = how.length * (1.0 - 0.9 * step as f64 / how.steps as f64);
        let downhill = unit(&in_octaves(&grad(&loss, &at)?.detach())?)?;
        moved = (moved - (downhill * length)?)?.clamp(-1f32, 1f32)?.detach();
    }
    Ok(moved)
}

/// The sum of the octaves of `x: [n, c, h, w]`, each of length 1.
fn in_octaves(x: &Tensor) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let mut fine = x.clone();
    let mut sum: Option<Tensor> = None;
    for octave in 0..OCTAVES {
        let side = |n: usize| (n >> (octave + 1)).max(1);
        let coarse = resize(x, side(h), side(w), Resize::Area)?;
        let coarse = resize(&coarse, h, w, Resize::Bilinear)?;
        let band = unit(&(&fine - &coarse)?)?;
        sum = Some(match sum {
            Some(sum) => (sum + band)?,
            None => band,
        });
        fine = coarse;
    }
    let rest = unit(&fine)?;
    Ok(match sum {
        Some(sum) => (sum + rest)?,
        None => rest,
    })
}

struct Guide<'a> {
    clip: &'a Clip,
    preprocess: Preprocess,
    start: Tensor,     // [n, d]
    target: Tensor,    // [1, d]
    direction: Tensor, // [1, d]
}

impl<'a> Guide<'a> {
    fn new(clip: &'a Clip, pictures: &Tensor, source: &Tensor, target: &Tensor) -> Result<Self> {
        let preprocess = Preprocess::new(clip.image_size());
        Ok(Self {
            start: clip.encode_image(&preprocess.apply(pictures)?)?.detach(),
            target: target.detach().reshape((1, ()))?,
            direction: unit_length(&(target - source)?.detach().reshape((1, ()))?)?,
            clip,
            preprocess,
        })
    }

    /// Summed over pictures.
    fn loss(&self, pictures: &Tensor, how: &Steer) -> Result<Tensor> {
        let features = self.clip.encode_image(&self.preprocess.apply(pictures)?)?;
        let along =
            |x: &Tensor, y: &Tensor| -> Result<Tensor> { Ok(x.broadcast_mul(y)?.sum_all()?) };
        let global = along(&features, &self.target)?;
        // At the start the change is nothing and has no direction; its gradient there would be NaN.
        let change = (features - &self.start)?;
        let length = (change.sqr()?.sum_keepdim(1)? + 1e-6)?.sqrt()?;
        let directional = along(&change.broadcast_div(&length)?, &self.direction)?;
        Ok(((global * -how.global)? - (directional * how.directional)?)?)
    }
}
