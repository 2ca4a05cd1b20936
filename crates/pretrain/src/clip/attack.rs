//! Pictures moved against a network, within a ball: what makes its gradient worth following.
//!
//! A network trained on pictures that were moved to deceive it (Madry et al. 2018, arXiv 1706.06083) can no
//! longer rest on patterns that no eye sees, and the gradient of its score with respect to the pixels
//! then looks like what it speaks of (Tsipras et al. 2019, arXiv 1805.12152). Without that, pixels that
//! follow a text's gradient turn to noise.
//!
//! From a random start within the ball of radius `r`, `k` times: `δ ← P(δ + (1.5 r / k) g / ‖g‖)` with
//! the gradient `g` of the value to raise and `P` the projection onto the ball; then `x + δ` is brought
//! to `[-1, 1]`. Norms are of one whole picture, Euclidean.

use candle_core::{Tensor, Var};
use domex_ops::autograd::grad;
use domex_random::Stream;

use crate::Result;

/// The length of a step, in shares of the radius divided by the number of steps.
const REACH: f64 = 1.5;

/// Guards against a gradient of zero.
const TINY: f64 = 1e-12;

/// `pictures: [n, 3, h, w]` moved by at most `radii: [n]` each, so that `value`, a sum over pictures,
/// grows. Detached.
///
/// # Errors
///
/// Those of `value`.
pub fn attack(
    pictures: &Tensor,
    radii: &[f32],
    steps: usize,
    stream: &mut Stream,
    value: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if steps == 0 || radii.iter().all(|&radius| radius <= 0.0) {
        return Ok(pictures.detach());
    }
    let device = pictures.device();
    let radii = Tensor::new(radii, device)?.reshape(((), 1, 1, 1))?;
    let mut start = vec![0f32; pictures.elem_count()];
    stream.fill_normal(&mut start);
    let start = Tensor::from_vec(start, pictures.dims(), device)?;
    let reach = stream.uniform_f64();
    let mut moved = unit(&start)?.broadcast_mul(&(&radii * reach)?)?;
    for _ in 0..steps {
        let at = Var::from_tensor(&(pictures + &moved)?.clamp(-1f32, 1f32)?.detach())?;
        let uphill = unit(&grad(&value(&at)?, &at)?.detach())?;
        moved = (moved + uphill.broadcast_mul(&(&radii * (REACH / steps as f64))?)?)?;
        moved = within(&moved, &radii)?;
    }
    Ok((pictures + moved)?.clamp(-1f32, 1f32)?.detach())
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
        let value = |x: &Tensor| Ok(x.broadcast_mul(&weights)?.sum_all()?);
        let y = attack(&x, &[2.0, 0.5], 4, &mut stream, value).unwrap();
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
        let value = value(&y).unwrap().to_scalar::<f32>().unwrap();
        assert!(value > 0.9 * best, "{value} of {best}");
    }

    #[test]
    fn no_radius_no_change() {
        let x = Tensor::ones((1, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
        let mut stream = Streams::new(3).stream("attack");
        let y = attack(&x, &[0.0], 3, &mut stream, |x| Ok(x.sum_all()?)).unwrap();
        assert_eq!(
            y.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [1.0; 48]
        );
    }
}
