//! The point of P_β nearest to a latent: the convex problem
//! `min_a ½ ‖a · anchors − w‖²` with `Σ a = 1` and `a ≥ −β` (section 3.3).
//!
//! With `a = (1 + N β) λ − β` it becomes `λ ≥ 0`, `Σ λ = 1`: the point nearest to `w` in the convex hull of
//! `p_i = (1 + N β) anchors_i − β Σ_j anchors_j`. Wolfe's algorithm (*Finding the nearest point in a polytope*, 1976) finds
//! it in finitely many steps, also where anchors depend on one another. All is in double precision.

use candle_core::{DType, Device, Tensor};
use faer::{Mat, MatRef, Side, prelude::Solve as _};

use crate::alpha::check_beta;
use crate::{Anchors, Error, Result};

/// A coefficient below this counts as 0.
const ZERO: f64 = 1e-13;

/// A point is the shortest if no other lies nearer along it, up to this part of the longest point's squared length.
const TOLERANCE: f64 = 1e-14;

/// The nearest points of a batch.
#[derive(Debug, Clone)]
pub struct Nearest {
    /// Coordinates `[m, N]`.
    pub coordinates: Tensor,
    /// Latents `[m, D]`.
    pub latents: Tensor,
    /// `½ Σ ‖latents − w‖²`.
    pub objective: f64,
}

/// Projects latents `w: [m, D]` on P_β, each for itself, into the type and device of `w`.
///
/// # Errors
///
/// Latents of another size or with numbers that are not finite, or a `beta` out of range.
pub fn nearest(anchors: &Anchors, w: &Tensor, beta: f64) -> Result<Nearest> {
    check_beta(beta)?;
    let (count, dim) = (anchors.count(), anchors.dim());
    let m = match *w.dims() {
        [m, found] if found == dim && m > 0 => m,
        _ => return Err(Error::shape("latents", w.dims(), format!("[m, {dim}]"))),
    };
    let points = matrix(anchors.latents())?;
    let scale = 1.0 + count as f64 * beta;
    let sums: Vec<f64> = points
        .col_iter()
        .map(|column| column.iter().sum())
        .collect();
    let corners = Mat::from_fn(count, dim, |i, j| scale * points[(i, j)] - beta * sums[j]);
    let w_rows = matrix(w)?;
    let mut entries = w_rows.col_iter().flat_map(faer::ColRef::iter);
    if let Some(value) = entries.find(|x| !x.is_finite()) {
        return Err(Error::setting("latents", value, "finite numbers"));
    }
    let (mut coordinates, mut latents, mut objective) = (Vec::new(), Vec::new(), 0.0);
    for row in 0..m {
        let from = Mat::from_fn(count, dim, |i, j| corners[(i, j)] - w_rows[(row, j)]);
        let weights = shortest(&(&from * from.transpose()));
        let a = Mat::from_fn(1, count, |_, i| scale * weights[i] - beta);
        let point = &a * &points;
        objective += (0..dim)
            .map(|j| (point[(0, j)] - w_rows[(row, j)]).powi(2))
            .sum::<f64>()
            / 2.0;
        coordinates.extend(a.row(0).iter().copied());
        latents.extend(point.row(0).iter().copied());
    }
    let back = |values: Vec<f64>, width: usize| -> Result<Tensor> {
        let tensor = Tensor::from_vec(values, (m, width), &Device::Cpu)?;
        Ok(tensor.to_dtype(w.dtype())?.to_device(w.device())?)
    };
    Ok(Nearest {
        coordinates: back(coordinates, count)?,
        latents: back(latents, dim)?,
        objective,
    })
}

/// Weights of the shortest point in the convex hull of points whose scalar products are `gram: [N, N]`.
fn shortest(gram: &Mat<f64>) -> Vec<f64> {
    let count = gram.nrows();
    let size = (0..count).map(|i| gram[(i, i)]).fold(0.0, f64::max);
    let first = (0..count).min_by(|&i, &j| gram[(i, i)].total_cmp(&gram[(j, j)]));
    // The points that the shortest one is made of, and their weights.
    let mut chosen: Vec<usize> = first.into_iter().collect();
    let mut weights = vec![1.0; chosen.len()];
    let (mut best, mut length) = (weights.clone(), f64::INFINITY);
    loop {
        let along: Vec<f64> = (0..count)
            .map(|j| {
                let products = chosen.iter().zip(&weights).map(|(&i, w)| w * gram[(i, j)]);
                products.sum()
            })
            .collect();
        let square: f64 = chosen
            .iter()
            .zip(&weights)
            .map(|(&i, w)| w * along[i])
            .sum();
        // Each round makes the point shorter. Where rounding ends that, the one before is the shortest.
        if square >= length {
            return best;
        }
        (best, length) = (scatter(&chosen, &weights, count), square);
        let Some(next) = (0..count).min_by(|&i, &j| along[i].total_cmp(&along[j])) else {
            return best;
        };
        if square - along[next] <= TOLERANCE * size || chosen.contains(&next) {
            return best;
        }
        chosen.push(next);
        weights.push(0.0);
        if !settle(gram, &mut chosen, &mut weights) {
            // The new point lies in the flat of the others, to rounding: nothing is gained by it.
            return best;
        }
    }
}

/// Moves `weights` to the shortest point of the flat through the chosen points; where that lies outside their hull, to
/// the border on the way, drops the points left behind, and goes on. `false` for points that do not span a flat.
fn settle(gram: &Mat<f64>, chosen: &mut Vec<usize>, weights: &mut Vec<f64>) -> bool {
    loop {
        let Some(flat) = flat(gram, chosen) else {
            return false;
        };
        if flat.iter().all(|&w| w > ZERO) {
            *weights = flat;
            return true;
        }
        let steps = weights.iter().zip(&flat).map(|(w, f)| match *f <= ZERO {
            true => w / (w - f).max(f64::MIN_POSITIVE),
            false => f64::INFINITY,
        });
        let (mut least, mut step) = (0, f64::INFINITY);
        for (i, s) in steps.enumerate() {
            if s < step {
                (least, step) = (i, s);
            }
        }
        for (w, f) in weights.iter_mut().zip(&flat) {
            *w += step.min(1.0) * (f - *w);
        }
        weights[least] = 0.0;
        let kept: Vec<bool> = weights.iter().map(|&w| w > ZERO).collect();
        let mut keep = kept.iter().copied();
        chosen.retain(|_| keep.next().unwrap_or(true));
        weights.retain(|&w| w > ZERO);
    }
}

/// Weights, with sum 1, of the shortest point in the flat through the chosen points: from `(G + c 1 1ᵀ) u = 1`.
fn flat(gram: &Mat<f64>, chosen: &[usize]) -> Option<Vec<f64>> {
    let k = chosen.len();
    let mean = chosen.iter().map(|&i| gram[(i, i)]).sum::<f64>() / k.max(1) as f64;
    let system = Mat::from_fn(k, k, |i, j| gram[(chosen[i], chosen[j])] + mean);
    let factor = system.llt(Side::Lower).ok()?;
    let solution = factor.solve(Mat::from_fn(k, 1, |_, _| 1.0));
    let sum: f64 = solution.col(0).iter().sum();
    let weights: Vec<f64> = solution.col(0).iter().map(|u| u / sum).collect();
    weights.iter().all(|w| w.is_finite()).then_some(weights)
}

fn scatter(chosen: &[usize], weights: &[f64], count: usize) -> Vec<f64> {
    let mut all = vec![0.0; count];
    for (&i, &w) in chosen.iter().zip(weights) {
        all[i] = w;
    }
    all
}

/// A tensor `[rows, columns]` in double precision.
pub(crate) fn matrix(tensor: &Tensor) -> Result<Mat<f64>> {
    let (rows, columns) = tensor.dims2()?;
    let flat = tensor.detach().to_device(&Device::Cpu)?.flatten_all()?;
    let values: Vec<f64> = flat.to_dtype(DType::F64)?.to_vec1()?;
    Ok(MatRef::from_row_major_slice(&values, rows, columns).to_owned())
}
