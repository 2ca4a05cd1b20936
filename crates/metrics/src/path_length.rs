//! Perceptual path length (Karras et al. 2019, arXiv 1812.04948): how far a picture moves when its latent moves a little.
//!
//! ```text
//! E |φ(G(x(t))) − φ(G(x(t + ε)))|² / ε²
//! ```
//!
//! with `x` between two latents, spherically in Z or straight in W, `t` uniform (*full*) or 0 (*end*), and φ the features
//! whose squared difference is the perceptual distance (LPIPS on VGG16). The mean leaves out distances below the 1st and
//! above the 99th percentile. The caller has the networks: it draws `z` and `t`, makes pictures and looks at them.
//!
//! Source of the details: stylegan2-ada-pytorch `metrics/perceptual_path_length.py`.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, features::rows};

/// The step along the path, as published.
pub const EPSILON: f64 = 1e-4;

/// Pictures are averaged down to this size before they are looked at.
const SIDE: usize = 256;

/// Between which latents a path goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Those that the mapping takes.
    Z,
    /// Those that it gives.
    W,
}

/// Path length in one of its published forms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathLength {
    /// Between which latents.
    pub space: Space,
    /// The step ε.
    pub epsilon: f64,
    /// Whether only the middle of the face is looked at: rows 3/8 to 7/8, columns 2/8 to 6/8.
    pub crop: bool,
}

impl PathLength {
    /// Both ends of a step on each of n paths: from `z: [2n, z_dim]`, whose halves are the paths' ends, and `t: [n]`, latents
    /// `[2n, ..]` as `mapping` gives them, at `t` first and at `t + ε` after.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or `mapping`'s error.
    pub fn step<E: From<Error>>(
        &self,
        z: &Tensor,
        t: &Tensor,
        mapping: impl FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Tensor, E> {
        let later = (t + self.epsilon).map_err(Error::from)?;
        match self.space {
            Space::Z => {
                let (a, b) = halves(z)?;
                let both = [slerp(&a, &b, t)?, slerp(&a, &b, &later)?];
                mapping(&Tensor::cat(&both, 0).map_err(Error::from)?)
            }
            Space::W => {
                let (a, b) = halves(&mapping(z)?)?;
                let both = [lerp(&a, &b, t)?, lerp(&a, &b, &later)?];
                Ok(Tensor::cat(&both, 0).map_err(Error::from)?)
            }
        }
    }

    /// What is looked at of pictures `[n, c, h, w]`: the crop, averaged in blocks of `resolution / 256` pixels, where
    /// `resolution` is the generator's.
    ///
    /// # Errors
    ///
    /// Pictures that are not square or not of a whole number of blocks.
    pub fn view(&self, pictures: &Tensor, resolution: usize) -> Result<Tensor> {
        let (_, _, h, w) = pictures.dims4()?;
        let mut x = pictures.clone();
        if self.crop {
            if h != w || h < 8 {
                let found = format!("{h} × {w}");
                return Err(Error::unfit(
                    "pictures to crop",
                    found,
                    "squares from 8 × 8 on",
                ));
            }
            let c = h / 8;
            x = x.narrow(2, 3 * c, 4 * c)?.narrow(3, 2 * c, 4 * c)?;
        }
        let factor = resolution / SIDE;
        if factor > 1 {
            let (n, c, h, w) = x.dims4()?;
            if h % factor != 0 || w % factor != 0 {
                let expected = format!("multiples of {factor}");
                return Err(Error::unfit(
                    "sides of the pictures",
                    format!("{h} × {w}"),
                    expected,
                ));
            }
            let blocks = (n, c, h / factor, factor, w / factor, factor);
            x = x.contiguous()?.reshape(blocks)?.mean((3, 5))?;
        }
        Ok(x)
    }

    /// Lengths of the steps from features `[2n, d]` of both ends, whose squared difference is the distance.
    ///
    /// # Errors
    ///
    /// A wrong shape or a number that is not finite.
    pub fn lengths(&self, features: &Tensor) -> Result<Vec<f64>> {
        let (a, b) = halves(&rows(features)?)?;
        let squared: Vec<f64> = (a - b)?.sqr()?.sum(1)?.to_vec1()?;
        Ok(self.of_distances(squared))
    }

    /// Lengths of the steps from the perceptual distances of their ends.
    #[must_use]
    pub fn of_distances(&self, mut distances: Vec<f64>) -> Vec<f64> {
        for distance in &mut distances {
            *distance /= self.epsilon * self.epsilon;
        }
        distances
    }
}

fn halves(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let n = x.dim(0)?;
    if n == 0 || n % 2 != 0 {
        return Err(Error::unfit("ends of paths", n, "two for each path"));
    }
    Ok((x.narrow(0, 0, n / 2)?, x.narrow(0, n / 2, n / 2)?))
}

/// `t: [n]` as a factor for `x: [n, ..]`.
fn factor(t: &Tensor, x: &Tensor) -> Result<Tensor> {
    let n = x.dim(0)?;
    if t.dims() != [n] {
        let found = format!("{:?}", t.dims());
        return Err(Error::unfit("places on the paths", found, format!("[{n}]")));
    }
    let mut dims = vec![1; x.rank()];
    dims[0] = n;
    Ok(t.to_dtype(x.dtype())?.reshape(dims)?)
}

fn lerp(a: &Tensor, b: &Tensor, t: &Tensor) -> Result<Tensor> {
    Ok((a + (b - a)?.broadcast_mul(&factor(t, a)?)?)?)
}

/// Along the great circle from the direction of `a: [n, d]` to that of `b: [n, d]`, at `t: [n]` between 0 and 1; of length 1.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn slerp(a: &Tensor, b: &Tensor, t: &Tensor) -> Result<Tensor> {
    if a.rank() != 2 || a.dims() != b.dims() {
        let found = format!("{:?} and {:?}", a.dims(), b.dims());
        return Err(Error::unfit("ends of paths", found, "[n, d] both"));
    }
    let unit =
        |x: &Tensor| -> Result<Tensor> { Ok(x.broadcast_div(&x.sqr()?.sum_keepdim(1)?.sqrt()?)?) };
    let (a, b) = (unit(a)?, unit(b)?);
    let cosines = (&a * &b)?.sum(1)?;
    let angles: Vec<f64> = cosines.to_dtype(DType::F64)?.to_vec1()?;
    let angles: Vec<f64> = angles.iter().map(|x| x.clamp(-1.0, 1.0).acos()).collect();
    let angles = Tensor::new(angles, a.device())?.to_dtype(a.dtype())?;
    let p = (factor(t, &a)? * angles.unsqueeze(1)?)?;
    let across = unit(&(&b - a.broadcast_mul(&cosines.unsqueeze(1)?)?)?)?;
    let along = a.broadcast_mul(&p.cos()?)?;
    unit(&(along + across.broadcast_mul(&p.sin()?)?)?)
}

/// The mean of lengths between their percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Trimmed {
    /// The perceptual path length.
    pub mean: f64,
    /// The 1st percentile: the largest length with at most a hundredth below.
    pub low: f64,
    /// The 99th percentile: the smallest length with at most a hundredth above.
    pub high: f64,
}

/// The mean of the lengths from the 1st to the 99th percentile, both included.
///
/// # Errors
///
/// No length, or one that is not finite.
pub fn trimmed_mean(lengths: &[f64]) -> Result<Trimmed> {
    if lengths.is_empty() {
        return Err(Error::unfit("lengths of steps", "none", "at least one"));
    }
    if let Some(bad) = lengths.iter().find(|x| !x.is_finite()) {
        return Err(Error::unfit("length of a step", bad, "a finite number"));
    }
    let mut sorted = lengths.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let place = |percent: usize| percent as f64 * last as f64 / 100.0;
    let low = sorted[place(1).floor() as usize];
    let high = sorted[(place(99).ceil() as usize).min(last)];
    let kept = || sorted.iter().filter(|x| (low..=high).contains(x));
    Ok(Trimmed {
        mean: kept().sum::<f64>() / kept().count() as f64,
        low,
        high,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn tensor(values: &[[f64; 2]]) -> Tensor {
        Tensor::from_slice(values.as_flattened(), (values.len(), 2), &Device::Cpu).unwrap()
    }

    #[test]
    fn a_quarter_circle_is_walked_evenly() {
        let (a, b) = (tensor(&[[3.0, 0.0]]), tensor(&[[0.0, 0.5]]));
        for t in [0.0, 0.25, 1.0] {
            let t_tensor = Tensor::new(&[t], &Device::Cpu).unwrap();
            let found = slerp(&a, &b, &t_tensor).unwrap().to_vec2::<f64>().unwrap();
            let angle = t * std::f64::consts::FRAC_PI_2;
            assert!((found[0][0] - angle.cos()).abs() < 1e-12);
            assert!((found[0][1] - angle.sin()).abs() < 1e-12);
        }
    }

    #[test]
    fn a_linear_network_has_the_length_of_its_straight_path() {
        let path = PathLength {
            space: Space::W,
            epsilon: 1e-3,
            crop: false,
        };
        let z = tensor(&[[0.0, 1.0], [3.0, 5.0]]);
        let t = Tensor::new(&[0.3], &Device::Cpu).unwrap();
        let double = |z: &Tensor| -> Result<Tensor> { Ok((z * 2.0)?) };
        let ends = path.step(&z, &t, double).unwrap();
        let length = path.lengths(&ends).unwrap()[0];
        // (2·3)² + (2·4)².
        assert!((length - 100.0).abs() < 1e-6, "{length}");
    }

    #[test]
    fn the_tails_are_left_out() {
        let lengths: Vec<f64> = (0..=200).map(f64::from).chain([1e9]).collect();
        let found = trimmed_mean(&lengths).unwrap();
        assert_eq!((found.low, found.high), (2.0, 199.0));
        assert!((found.mean - 100.5).abs() < 1e-9);
        assert!(trimmed_mean(&[]).is_err() && trimmed_mean(&[f64::NAN]).is_err());
        assert_eq!(trimmed_mean(&[7.0]).unwrap().mean, 7.0);
    }

    #[test]
    fn large_pictures_are_averaged_down() {
        let path = PathLength {
            space: Space::Z,
            epsilon: EPSILON,
            crop: true,
        };
        let x = Tensor::arange(0f32, 3.0 * 256.0, &Device::Cpu).unwrap();
        let x = x.reshape((1, 3, 16, 16)).unwrap();
        assert_eq!(path.view(&x, 16).unwrap().dims(), [1, 3, 8, 8]);
        assert_eq!(path.view(&x, 512).unwrap().dims(), [1, 3, 4, 4]);
        let small = path.view(&x, 1024).unwrap();
        assert_eq!(small.dims(), [1, 3, 2, 2]);
        // The mean of rows 6 to 9 and columns 4 to 7.
        let first = small.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        assert_eq!(first, 7.5 * 16.0 + 5.5);
        assert!(path.view(&x, 768).is_err());
    }

    #[test]
    fn an_odd_number_of_ends_is_refused() {
        let path = PathLength {
            space: Space::Z,
            epsilon: EPSILON,
            crop: false,
        };
        let odd = tensor(&[[0.0, 1.0]]);
        assert!(path.lengths(&odd).is_err());
        let t = Tensor::new(&[0.3, 0.4], &Device::Cpu).unwrap();
        let two = tensor(&[[0.0, 1.0], [1.0, 0.0]]);
        let same = |z: &Tensor| -> Result<Tensor> { Ok(z.clone()) };
        let error = path.step(&two, &t, same).unwrap_err();
        assert!(error.to_string().contains("[2]"), "{error}");
    }
}
