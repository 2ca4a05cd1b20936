//! Pictures moved against a network, within a ball: what makes its gradient worth following.
//!
//! A network trained on pictures that were moved to deceive it (Madry et al. 2018, arXiv 1706.06083) can no
//! longer rest on patterns that no eye sees, and the gradient of its score with respect to the pixels
//! then looks like what it speaks of (Tsipras et al. 2019, arXiv 1805.12152). Without that, pixels that
//! follow a text's gradient turn to noise.
//!
//! From a random start within the ball of radius `r`, `k` times: `δ ← P(δ + (1.5 r / k) g / ‖g‖)` with the gradient `g`
//! of the loss and `P` the projection onto the ball; then `x + δ` is brought to `[-1, 1]`. Norms are of one whole
//! picture, Euclidean. The gradient of the weights comes out of the same pass, so the network takes a step of its own at
//! each of the `k + 1` places, as in *free* adversarial training (Shafahi et al. 2019, arXiv 1904.12843): it learns
//! from pictures that were not attacked, a little and in earnest, at the price of learning alone.

use candle_core::{Tensor, Var};
use domex_random::Stream;

use crate::Result;

/// The length of all steps together, in radii.
const REACH: f64 = 1.5;

/// Guards against a gradient of zero.
const TINY: f64 = 1e-12;

/// Pictures on their way.
#[derive(Debug)]
pub struct Attack {
    pictures: Tensor, // [n, 3, h, w]
    moved: Tensor,
    radii: Tensor, // [n, 1, 1, 1]
    step: f64,     // in radii
}

impl Attack {
    /// On `pictures: [n, 3, h, w]`, each moved by at most its radius, in `steps` steps.
    ///
    /// # Errors
    ///
    /// A number of radii that is not that of pictures.
    pub fn start(
        pictures: &Tensor,
        radii: &[f32],
        steps: usize,
        stream: &mut Stream,
    ) -> Result<Self> {
        let device = pictures.device();
        let radii = Tensor::new(radii, device)?.reshape(((), 1, 1, 1))?;
        let mut start = vec![0f32; pictures.elem_count()];
        stream.fill_normal(&mut start);
        let start = Tensor::from_vec(start, pictures.dims(), device)?;
        let reach = stream.uniform_f64();
        Ok(Self {
            pictures: pictures.detach(),
            moved: unit(&start)?.broadcast_mul(&(&radii * reach)?)?,
            radii,
            step: REACH / steps.max(1) as f64,
        })
    }

    /// The pictures where they are now, to compute a gradient at.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn at(&self) -> Result<Var> {
        let at = (&self.pictures + &self.moved)?.clamp(-1f32, 1f32)?;
        Ok(Var::from_tensor(&at)?)
    }

    /// One step up the gradient of the loss.
    ///
    /// # Errors
    ///
    /// A gradient of another shape.
    pub fn climb(&mut self, gradient: &Tensor) -> Result<()> {
        let uphill = unit(&gradient.detach())?;
        let moved = (&self.moved + uphill.broadcast_mul(&(&self.radii * self.step)?)?)?;
        self.moved = within(&moved, &self.radii)?;
        Ok(())
    }
}

/// The length of each picture, `[n, 1, 1, 1]`.
///
/// # Errors
///
/// candle's own.
pub fn length(x: &Tensor) -> Result<Tensor> {
    Ok(x.sqr()?.sum_keepdim((1, 2, 3))?.sqrt()?)
}

/// Each picture at length 1.
///
/// # Errors
///
/// candle's own.
pub fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&(length(x)? + TINY)?)?)
}

/// Each picture at a length of at most its radius.
fn within(x: &Tensor, radii: &Tensor) -> Result<Tensor> {
    let factor = radii.broadcast_div(&(length(x)? + TINY)?)?.minimum(1f32)?;
    Ok(x.broadcast_mul(&factor)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_ops::autograd::grad;
    use domex_random::Streams;

    use super::*;

    #[test]
    fn the_value_grows_and_the_ball_is_kept_to() {
        let x = Tensor::zeros((2, 3, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let mut stream = Streams::new(3).stream("attack");
        // Raises red and lowers the rest.
        let weights = Tensor::new(&[1f32, -1.0, -1.0], &Device::Cpu)
            .unwrap()
            .reshape((1, 3, 1, 1))
            .unwrap();
        let value = |x: &Tensor| x.broadcast_mul(&weights).unwrap().sum_all().unwrap();
        let mut attack = Attack::start(&x, &[2.0, 0.5], 4, &mut stream).unwrap();
        for _ in 0..4 {
            let at = attack.at().unwrap();
            attack.climb(&grad(&value(&at), &at).unwrap()).unwrap();
        }
        let y = attack.at().unwrap().as_detached_tensor();
        let lengths: Vec<f32> = length(&y)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert!(
            (lengths[0] - 2.0).abs() < 1e-3 && (lengths[1] - 0.5).abs() < 1e-3,
            "{lengths:?}"
        );
        let best = 2.5 * (3f32 * 64.0).sqrt();
        let value = value(&y).to_scalar::<f32>().unwrap();
        assert!(value > 0.9 * best, "{value} of {best}");
    }

    #[test]
    fn no_radius_no_change() {
        let x = Tensor::ones((1, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
        let mut stream = Streams::new(3).stream("attack");
        let mut attack = Attack::start(&x, &[0.0], 3, &mut stream).unwrap();
        attack.climb(&x).unwrap();
        let y = attack.at().unwrap();
        assert_eq!(
            y.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1.0; 48]
        );
    }
}
