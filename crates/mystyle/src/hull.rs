//! P₀, the convex hull of a person's anchors: what the person looks like between two pictures (section 3.1).
//!
//! A point is a mix of a few anchors with positive coefficients that sum to 1; the published programs take three.

use candle_core::{D, Device, Tensor};
use domex_random::Stream;

use crate::{Anchors, Error, Result};

/// Anchors in each mix of the published programs.
pub const ANCHORS_PER_POINT: usize = 3;

/// Points as they were drawn: which anchors each is a mix of, and by which weights, both `[points, anchors of a point]`. Of any number
/// of points that is little; their latents are made a few at a time.
#[derive(Debug, Clone)]
pub struct Mixes {
    indices: Tensor,
    weights: Tensor,
}

impl Mixes {
    /// Draws `points` mixes of `per_point` different anchors each, with weights drawn uniformly from `[0, 1)`.
    ///
    /// # Errors
    ///
    /// No point, or more anchors in a point than there are.
    pub fn draw(
        anchors: &Anchors,
        points: usize,
        per_point: usize,
        stream: &mut Stream,
    ) -> Result<Self> {
        let count = anchors.count();
        if per_point == 0 || per_point > count {
            let expected = format!("1 to {count}, as many as the person has anchors");
            return Err(Error::setting("anchors of a point", per_point, expected));
        }
        if points == 0 {
            return Err(Error::setting("points", points, "at least 1"));
        }
        let (mut indices, mut uniform) = (Vec::new(), vec![0.0; points * per_point]);
        for _ in 0..points {
            let order = stream.permutation(count);
            indices.extend(order.iter().take(per_point).map(|&i| i as u32));
        }
        uniform.fill_with(|| stream.uniform_f32());
        let shape = (points, per_point);
        Ok(Self {
            indices: Tensor::from_vec(indices, shape, &Device::Cpu)?,
            weights: Tensor::from_vec(uniform, shape, &Device::Cpu)?,
        })
    }

    /// Latents `[count, D]` of `count` points from the one at `start` on.
    ///
    /// # Errors
    ///
    /// More points than were drawn.
    pub fn points(&self, anchors: &Anchors, start: usize, count: usize) -> Result<Tensor> {
        let part = |all: &Tensor| all.narrow(0, start, count)?.contiguous();
        mix(
            anchors.latents(),
            &part(&self.indices)?,
            &part(&self.weights)?,
        )
    }
}

/// Draws `points` latents `[points, D]`, each a mix of `per_point` different anchors with weights drawn uniformly from
/// `[0, 1)` and divided by their sum.
///
/// # Errors
///
/// As [`Mixes::draw`].
pub fn sample(
    anchors: &Anchors,
    points: usize,
    per_point: usize,
    stream: &mut Stream,
) -> Result<Tensor> {
    Mixes::draw(anchors, points, per_point, stream)?.points(anchors, 0, points)
}

/// Mixes `[p, ..]` of `anchors: [N, ..]`: point `p` is `Σ_k weights[p, k] / Σ weights[p, ..] · anchors[indices[p, k]]`, with
/// `indices` and `weights` both `[p, k]`. The anchors may be W or W+ codes.
///
/// # Errors
///
/// Shapes that differ, an index beyond the anchors, or weights that do not sum to a positive number.
pub fn mix(anchors: &Tensor, indices: &Tensor, weights: &Tensor) -> Result<Tensor> {
    if indices.rank() != 2 || indices.elem_count() == 0 {
        return Err(Error::shape(
            "indices of anchors",
            indices.dims(),
            "[points, k]",
        ));
    }
    if weights.dims() != indices.dims() {
        let expected = format!("{:?}, as the indices", indices.dims());
        return Err(Error::shape("weights of anchors", weights.dims(), expected));
    }
    if anchors.rank() < 2 {
        return Err(Error::shape("anchors", anchors.dims(), "[N, .., D]"));
    }
    let (points, per_point) = indices.dims2()?;
    let sums: Vec<f32> = weights
        .sum(D::Minus1)?
        .to_dtype(candle_core::DType::F32)?
        .to_vec1()?;
    if let Some(sum) = sums.iter().find(|sum| !(**sum > 0.0 && sum.is_finite())) {
        let what = "sum of a point's weights";
        return Err(Error::setting(what, sum, "a positive number"));
    }
    let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
    let weights = weights
        .to_dtype(anchors.dtype())?
        .to_device(anchors.device())?;
    let indices = indices.flatten_all()?.to_device(anchors.device())?;
    let flat = anchors.flatten_from(1)?;
    let chosen = flat
        .index_select(&indices, 0)?
        .reshape((points, per_point, ()))?;
    let mixed = chosen.broadcast_mul(&weights.unsqueeze(2)?)?.sum(1)?;
    let shape: Vec<usize> = std::iter::once(points)
        .chain(anchors.dims()[1..].iter().copied())
        .collect();
    Ok(mixed.reshape(shape)?)
}

/// Latents `[.., D]` moved by `distance` along `direction: [D]`: a person's anchors on the subspace of an expanded model
/// that was given to the person.
///
/// # Errors
///
/// A direction of another size.
pub fn transport(latents: &Tensor, direction: &Tensor, distance: f64) -> Result<Tensor> {
    if direction.rank() != 1 || direction.dims().last() != latents.dims().last() {
        let expected = format!("[D], the last of {:?}", latents.dims());
        return Err(Error::shape("direction", direction.dims(), expected));
    }
    Ok(latents.broadcast_add(&(direction * distance)?)?)
}
