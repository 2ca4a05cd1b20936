//! Edits that stay the person: a direction of the generator, brought into the span of the anchors, and steps along it in the
//! personal space (section 3.4).

use candle_core::{DType, Device, Tensor};
use faer::Mat;

use crate::alpha::{AlphaSpace, check_beta};
use crate::nearest::{matrix, nearest};
use crate::{Anchors, Error, Result};

/// A direction in the span of the anchors.
#[derive(Debug, Clone)]
pub struct SpanDirection {
    /// Its coordinates `γ: [N]`.
    pub gamma: Tensor,
    /// The direction itself `[D]`: `Aᵀ γ`.
    pub direction: Tensor,
    /// Cosine of the angle to the direction it was made of: how much of that the person can do.
    pub cosine: f64,
}

/// The part of `direction: [D]` in the span of the anchors `A: [N, D]`: `γ = (A Aᵀ)⁻¹ A d`, the shortest such `γ` where anchors
/// depend on one another.
///
/// # Errors
///
/// A direction of another size, with numbers that are not finite, or of length 0; anchors whose decomposition fails.
pub fn span_direction(anchors: &Anchors, direction: &Tensor) -> Result<SpanDirection> {
    let dim = anchors.dim();
    if direction.dims() != [dim] {
        return Err(Error::shape(
            "direction",
            direction.dims(),
            format!("[{dim}]"),
        ));
    }
    let d = matrix(&direction.unsqueeze(1)?)?;
    let length = d.norm_l2();
    if !(length.is_finite() && length > 0.0) {
        let expected = "a finite number above 0";
        return Err(Error::setting("length of the direction", length, expected));
    }
    let a = matrix(anchors.latents())?;
    let svd = a.thin_svd().map_err(|_| Error::Factorisation)?;
    let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
    let largest = s.iter().copied().fold(0.0, f64::max);
    let least = largest * f64::EPSILON * a.nrows().max(a.ncols()) as f64;
    let along = v.transpose() * &d;
    let solved = Mat::from_fn(s.nrows(), 1, |i, _| match s[i] > least {
        true => along[(i, 0)] / s[i],
        false => 0.0,
    });
    let gamma = u * &solved;
    let inside = a.transpose() * &gamma;
    let dot = (inside.transpose() * &d)[(0, 0)];
    let back = |m: &Mat<f64>| -> Result<Tensor> {
        let values: Vec<f64> = m.col(0).iter().copied().collect();
        let tensor = Tensor::new(values.as_slice(), &Device::Cpu)?;
        Ok(tensor
            .to_dtype(direction.dtype())?
            .to_device(direction.device())?)
    };
    Ok(SpanDirection {
        gamma: back(&gamma)?,
        direction: back(&inside)?,
        cosine: dot / (inside.norm_l2() * length).max(1e-8),
    })
}

/// What to do with a step that leaves P_β.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EdgePolicy {
    /// Leave it out.
    Stop,
    /// Keep it as it is.
    Continue,
    /// Bring it back to the nearest point of P_β.
    Project,
}

/// Strengths of the published program: `count / 2` from `-magnitude` to 0 and as many from 0 to `magnitude`, evenly spaced
/// with both ends, rising, without repetitions.
///
/// # Errors
///
/// A magnitude that is negative or not finite, or fewer than 2 steps.
pub fn strengths(magnitude: f64, count: usize) -> Result<Vec<f64>> {
    if !(magnitude.is_finite() && magnitude >= 0.0) {
        let expected = "0 or a positive number";
        return Err(Error::setting("magnitude of the edit", magnitude, expected));
    }
    if count < 2 {
        return Err(Error::setting("steps of the edit", count, "at least 2"));
    }
    let half = count / 2;
    let line = |from: f64, to: f64| {
        let step = (to - from) / (half.max(2) - 1) as f64;
        (0..half).map(move |i| match i + 1 == half && half > 1 {
            true => to,
            false => from + i as f64 * step,
        })
    };
    let mut all: Vec<f64> = line(-magnitude, 0.0).chain(line(0.0, magnitude)).collect();
    all.sort_by(f64::total_cmp);
    all.dedup_by(|a, b| a == b);
    Ok(all)
}

/// One step of an edit.
#[derive(Debug, Clone)]
pub struct Edit {
    /// How far along the direction.
    pub strength: f64,
    /// The latent `[num_ws, D]`.
    pub latent: Tensor,
}

/// Moves a picture's coordinates `[num_ws, N]` along `gamma: [N]`, or `[num_ws, N]` where each row has its own, by each
/// strength: `(α + θ γ) · anchors`.
///
/// A step has left P_β when the magnitude of the least of all its coordinates is above `beta`. That is the published test; it
/// also holds where all coordinates are well above 0, and there bringing it back changes no more than the sum of its
/// coordinates.
///
/// # Errors
///
/// Coordinates or a direction of other anchors, or a `beta` out of range.
pub fn edit(
    anchors: &Anchors,
    coordinates: &Tensor,
    gamma: &Tensor,
    strengths: &[f64],
    policy: EdgePolicy,
    beta: f64,
) -> Result<Vec<Edit>> {
    check_beta(beta)?;
    let count = anchors.count();
    let rows = match *coordinates.dims() {
        [rows, found] if found == count && rows > 0 => rows,
        _ => {
            let expected = format!("[num_ws, {count}]");
            return Err(Error::shape("coordinates", coordinates.dims(), expected));
        }
    };
    if gamma.dims() != [count] && gamma.dims() != [rows, count] {
        let expected = format!("[{count}] or [{rows}, {count}]");
        return Err(Error::shape("gamma", gamma.dims(), expected));
    }
    let space = AlphaSpace::new(anchors, rows, None)?;
    let mut edits = Vec::with_capacity(strengths.len());
    for &strength in strengths {
        let moved = coordinates.broadcast_add(&(gamma * strength)?)?;
        let least = moved.flatten_all()?.min(0)?.to_dtype(DType::F64)?;
        let outside = least.to_scalar::<f64>()?.abs() > beta;
        let mut latent = space.latents(&moved.unsqueeze(0)?)?.squeeze(0)?;
        match policy {
            EdgePolicy::Stop if outside => continue,
            EdgePolicy::Project if outside => latent = nearest(anchors, &latent, beta)?.latents,
            _ => {}
        }
        edits.push(Edit { strength, latent });
    }
    Ok(edits)
}
