//! Against collapse: the pictures of one domain should differ from each other.
//!
//! `diversity = mean of d(x_i, x_j)` over the pairs `i < j` of a batch that belong to one domain.
//! It is to be large, so it enters a loss with a minus. Its sibling in CLIP's space, and the terms
//! by which the factors of the source do the same in every domain, work on CLIP's features and are
//! `domex_nada::pairs`.

use candle_core::Tensor;
use domex_latent::ImageDistance;

use crate::{Error, Result};

/// Mean distance, a scalar, of the pairs among `pictures: [n, c, h, w]` whose entries in `domains`
/// are equal; `None` where there is no such pair. Differentiable in both pictures of a pair.
///
/// # Errors
///
/// Another number of domains than pictures, or a failing distance.
pub fn diversity(
    pictures: &Tensor,
    domains: &[usize],
    distance: &dyn ImageDistance,
) -> Result<Option<Tensor>> {
    if pictures.rank() != 4 || pictures.dims()[0] != domains.len() {
        let expected = format!("[{}, c, h, w], one for each domain given", domains.len());
        return Err(Error::shape("pictures", pictures.dims(), expected));
    }
    let pairs = (0..domains.len()).flat_map(|i| (i + 1..domains.len()).map(move |j| (i, j)));
    let alike: Vec<_> = pairs.filter(|&(i, j)| domains[i] == domains[j]).collect();
    if alike.is_empty() {
        return Ok(None);
    }
    Ok(Some(distance.among(pictures, &alike)?.mean_all()?))
}
