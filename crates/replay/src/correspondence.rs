//! Cross-domain correspondence: what differs in the source's pictures differs in those of a domain, and by as much in
//! proportion (Ojha et al., CVPR 2021, arXiv 2104.06820, equation 2).
//!
//! ```text
//! s_ij = −d(x_i, x_j) / mean of d over all pairs i ≠ j
//! L_i  = KL(softmax_j≠i s^source_ij ‖ softmax_j≠i s_ij)
//! ```
//!
//! The paper takes cosines of a generator's features; here the likeness is a perceptual distance of pictures, which any
//! generator has. It is taken in proportion to its mean, as drawings of lines are further apart than photographs, all of
//! them. With fewer than three pictures there is nothing to compare.

use candle_core::{D, Tensor};
use domex_latent::ImageDistance;

use crate::{Error, Result};

/// The fewest pictures whose distances say something of each other.
pub const FEWEST: usize = 3;

/// Added to a mean distance, so that equal pictures divide by something.
const EPSILON: f64 = 1e-8;

/// `L_i` for each of `pictures: [n, c, h, w]` of one domain, as `[n]`, against those that the source makes of the same
/// latents, which are detached; `None` for fewer than three.
///
/// # Errors
///
/// Shapes that differ, or a failing distance.
pub fn correspondence(
    pictures: &Tensor,
    source: &Tensor,
    distance: &dyn ImageDistance,
) -> Result<Option<Tensor>> {
    if pictures.rank() != 4 || source.dims() != pictures.dims() {
        let expected = format!("[n, c, h, w] as the domain's, {:?}", pictures.dims());
        return Err(Error::shape("source's pictures", source.dims(), expected));
    }
    let n = pictures.dims()[0];
    if n < FEWEST {
        return Ok(None);
    }
    let domain = log_likeness(pictures, distance)?;
    let source = log_likeness(&source.detach(), distance)?;
    let divergence = source.exp()?.mul(&(source - domain)?)?;
    Ok(Some(divergence.sum(D::Minus1)?))
}

/// `log softmax_j≠i s_ij`, `[n, n − 1]`.
fn log_likeness(pictures: &Tensor, distance: &dyn ImageDistance) -> Result<Tensor> {
    let n = pictures.dims()[0];
    let pairs: Vec<(usize, usize)> = (0..n)
        .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
        .collect();
    let distances = distance.among(pictures, &pairs)?;
    let mean = (distances.mean_all()? + EPSILON)?;
    let likeness = distances.broadcast_div(&mean)?.neg()?;
    // Each pair stands in the rows of both its pictures.
    let others = (0..n).flat_map(|i| {
        let pairs = &pairs;
        let pair = move |j: usize| pairs.iter().position(|&p| p == (i.min(j), i.max(j)));
        (0..n).filter(move |&j| j != i).filter_map(pair)
    });
    let index: Vec<u32> = others.map(|at| at as u32).collect();
    let likeness = likeness
        .index_select(&Tensor::new(index, pictures.device())?, 0)?
        .reshape((n, n - 1))?;
    // Numbers around −1: their exponentials need no guard.
    let sum = likeness.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(likeness.broadcast_sub(&sum)?)
}
