//! The loss of pictures that are known.
//!
//! `L = Σ_n d(x_n, y_n) + l2 · mean_{c,h,w} Σ_n (x_n − y_n)²`, with a perceptual distance `d` (LPIPS in the paper): the
//! distances of the batch are summed, not averaged, as the published expansion does it. For one picture it is the loss
//! by which the paper tunes a generator to a person and projects a picture into the person's space.

use candle_core::Tensor;
use domex_latent::ImageDistance;

use crate::{Error, Result};

/// What [`reconstruction`] gives.
#[derive(Debug, Clone)]
pub struct Loss {
    /// The sum over the samples, a scalar with its graph.
    pub total: Tensor,
    /// Each sample's part `[n]`, without a graph: for the log.
    pub per_sample: Tensor,
}

/// How far `edited` pictures `[n, c, h, w]` in `[-1, 1]` are from their `targets` of the same shape. `l2` is the weight of
/// the squared difference.
///
/// # Errors
///
/// Shapes that differ, a weight that is negative or not finite, or a distance that fails.
pub fn reconstruction(
    edited: &Tensor,
    targets: &Tensor,
    distance: &dyn ImageDistance,
    l2: f64,
) -> Result<Loss> {
    if edited.rank() != 4 || edited.elem_count() == 0 {
        return Err(Error::shape(
            "edited pictures",
            edited.dims(),
            "[n, c, h, w]",
        ));
    }
    if targets.dims() != edited.dims() {
        let expected = format!("{:?}, as the edited pictures", edited.dims());
        return Err(Error::shape("target pictures", targets.dims(), expected));
    }
    if !(l2.is_finite() && l2 >= 0.0) {
        let what = "weight of the squared difference";
        return Err(Error::setting(what, l2, "0 or a positive number"));
    }
    let perceptual = distance.distance(edited, targets)?;
    if perceptual.dims() != [edited.dim(0)?] {
        let expected = format!("[{}], one for each picture", edited.dim(0)?);
        return Err(Error::shape("distances", perceptual.dims(), expected));
    }
    let square = (edited - targets)?.sqr()?.mean((1, 2, 3))?;
    let each = (perceptual + (square * l2)?)?;
    Ok(Loss {
        total: each.sum_all()?,
        per_sample: each.detach(),
    })
}
