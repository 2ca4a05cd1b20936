//! How often a distance orders triplets rightly.

use candle_core::{Device, Tensor};
use domex_lpips::Lpips;
use domex_random::Stream;

use super::triplets;
use crate::Result;
use crate::scenes::Scenes;

/// The share of `n` fresh triplets whose nearer picture has the smaller distance.
///
/// # Errors
///
/// Pictures too small for the backbone.
pub fn ordered(
    lpips: &Lpips,
    scenes: &dyn Scenes,
    n: usize,
    size: u32,
    stream: &mut Stream,
    device: &Device,
) -> Result<f64> {
    let triplets = triplets::next(scenes, n, size, stream, device)?;
    let reference = lpips.features(&triplets.reference)?;
    let distance = |x: &Tensor| -> Result<Vec<f32>> {
        Ok(lpips.between(&reference, &lpips.features(x)?)?.to_vec1()?)
    };
    let (near, far) = (distance(&triplets.near)?, distance(&triplets.far)?);
    let right = near
        .iter()
        .zip(&far)
        .filter(|(near, far)| near < far)
        .count();
    Ok(right as f64 / n as f64)
}
