//! A filled hole without a seam (Pérez et al. 2003, *Poisson Image Editing*, section 3): what was made keeps its gradients in the
//! hole and meets what is given at its border.
//!
//! `u` solves `Δu = 0` in the hole with `u = given − made` at the known pixels beside it; at the picture's edge its slope is 0. The hole
//! becomes `made + u`, all else stays as it was given.

use candle_core::{DType, Device, Tensor};

use crate::degrade::check_mask;
use crate::{Error, Result};

/// Successive over-relaxation goes this much further than Gauss and Seidel.
const OVER: f64 = 1.9;

/// Sweeps at most, and the largest change at which they end, of values in `[-1, 1]`.
const SWEEPS: usize = 20_000;
const ENOUGH: f64 = 1e-5;

/// `given: [n, c, h, w]` with its holes filled by `made`, of the same shape; `mask: [n, 1, h, w]` or `[1, 1, h, w]`, at least ½ where
/// `given` is known.
///
/// # Errors
///
/// Shapes that differ, or a mask of another size.
pub fn blend(given: &Tensor, made: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let &[n, c, h, w] = given.dims() else {
        return Err(Error::shape("pictures", given.dims(), "[n, c, h, w]"));
    };
    if made.dims() != given.dims() {
        let expected = format!("{:?}, as the given ones", given.dims());
        return Err(Error::shape("made pictures", made.dims(), expected));
    }
    check_mask(mask, n, h, w)?;
    let mask = mask.broadcast_as((n, 1, h, w))?;
    let known = numbers(&mask)?.into_iter().map(|value| value >= 0.5);
    let known: Vec<bool> = known.collect();
    let (given_values, made_values) = (numbers(given)?, numbers(made)?);
    let plane = h * w;
    let mut out = given_values.clone();
    for index in 0..n * c {
        let known = &known[index / c * plane..][..plane];
        let at = index * plane..(index + 1) * plane;
        let offset = given_values[at.clone()]
            .iter()
            .zip(&made_values[at.clone()]);
        let mut u: Vec<f64> = offset.map(|(given, made)| given - made).collect();
        relax(&mut u, known, h, w);
        for (place, i) in at.enumerate() {
            if !known[place] {
                out[i] = made_values[i] + u[place];
            }
        }
    }
    let out = Tensor::from_vec(out, given.dims(), &Device::Cpu)?;
    Ok(out.to_dtype(given.dtype())?.to_device(given.device())?)
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.detach().to_device(&Device::Cpu)?.flatten_all()?;
    Ok(flat.to_dtype(DType::F64)?.to_vec1()?)
}

/// Solves the equation in place: known values stay, the others become the mean of their neighbours.
fn relax(u: &mut [f64], known: &[bool], h: usize, w: usize) {
    let near = |place: usize| {
        let (y, x) = (place / w, place % w);
        let left = (x > 0).then(|| place - 1);
        let right = (x + 1 < w).then_some(place + 1);
        let above = (y > 0).then(|| place - w);
        let below = (y + 1 < h).then_some(place + w);
        [left, right, above, below].into_iter().flatten()
    };
    let holes: Vec<usize> = (0..u.len()).filter(|&place| !known[place]).collect();
    // The mean of the border is a start; where nothing is known there is nothing to meet.
    let (mut sum, mut count) = (0.0, 0_usize);
    for &hole in &holes {
        for side in near(hole).filter(|&side| known[side]) {
            (sum, count) = (sum + u[side], count + 1);
        }
    }
    let start = if count == 0 { 0.0 } else { sum / count as f64 };
    for &hole in &holes {
        u[hole] = start;
    }
    if count == 0 {
        return;
    }
    for _ in 0..SWEEPS {
        let mut largest = 0.0_f64;
        for &hole in &holes {
            let (mut sum, mut count) = (0.0, 0.0);
            for side in near(hole) {
                (sum, count) = (sum + u[side], count + 1.0);
            }
            let change = OVER * (sum / count - u[hole]);
            u[hole] += change;
            largest = largest.max(change.abs());
        }
        if largest < ENOUGH {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[1, 1, 8, 8]` of a function of row and column.
    fn plane(value: impl Fn(usize, usize) -> f32) -> Tensor {
        let values: Vec<f32> = (0..64).map(|i| value(i / 8, i % 8)).collect();
        Tensor::from_vec(values, (1, 1, 8, 8), &Device::Cpu).unwrap()
    }

    fn hole() -> Tensor {
        let inside = |i: usize| (2..6).contains(&i);
        plane(|y, x| if inside(y) && inside(x) { 0.0 } else { 1.0 })
    }

    fn apart(a: &Tensor, b: &Tensor) -> f32 {
        let apart = (a - b).unwrap().abs().unwrap();
        apart.max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn a_picture_that_is_off_by_a_slope_everywhere_fills_the_hole_without_a_trace() {
        let truth = plane(|y, x| 0.1 * (y as f32 * 1.7 + x as f32).sin());
        let slope = plane(|y, x| 0.3 + 0.02 * y as f32 - 0.01 * x as f32);
        let filled = blend(&truth, &(&truth - slope).unwrap(), &hole()).unwrap();
        assert!(apart(&filled, &truth) < 1e-4);
    }

    #[test]
    fn what_is_known_stays_to_the_bit() {
        let given = plane(|y, x| (y * 8 + x) as f32 / 64.0);
        let filled = blend(&given, &plane(|_, _| -1.0), &hole()).unwrap();
        let kept = |picture: &Tensor| (picture * hole()).unwrap();
        assert_eq!(apart(&kept(&filled), &kept(&given)), 0.0);
    }

    #[test]
    fn a_picture_of_which_nothing_is_known_is_what_was_made() {
        let made = plane(|y, _| y as f32 / 8.0);
        let nothing = plane(|_, _| 0.0);
        let filled = blend(&plane(|_, _| 1.0), &made, &nothing).unwrap();
        assert!(apart(&filled, &made) < 1e-6);
    }

    #[test]
    fn a_mask_of_another_size_is_refused() {
        let picture = plane(|_, _| 0.0);
        let small = Tensor::ones((1, 1, 4, 4), DType::F32, &Device::Cpu).unwrap();
        let error = blend(&picture, &picture, &small).unwrap_err().to_string();
        assert!(
            error.contains("mask") && error.contains("[1, 1, 8, 8]"),
            "{error}"
        );
    }
}
