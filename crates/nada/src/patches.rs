//! Square patches at random places, the same for both pictures of a pair.

use candle_core::Tensor;
use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How many patches, how large.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patches {
    /// For each picture.
    pub count: usize,
    /// Height and width as a share of the shorter side.
    pub size: f64,
}

impl Default for Patches {
    /// As published: one of half the side.
    fn default() -> Self {
        Self {
            count: 1,
            size: 0.5,
        }
    }
}

impl Patches {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.count == 0 {
            return Err(Error::config("patches.count", 0, "at least 1"));
        }
        if self.size > 0.0 && self.size <= 1.0 {
            return Ok(());
        }
        Err(Error::config(
            "patches.size",
            self.size,
            "above 0, at most 1",
        ))
    }

    /// Height and width in pixels on pictures of `h × w`: even, so that a patch has a centre.
    pub fn pixels(&self, h: usize, w: usize) -> usize {
        let wanted = (h.min(w) as f64 * self.size).round() as usize;
        (wanted / 2 * 2).max(2)
    }
}

/// Places `(x, y)` of centres, `count` for each of `n` pictures of `h × w`, such that a patch of `size`
/// (even) lies inside: all places alike.
///
/// # Errors
///
/// A patch that is larger than the picture.
pub fn draw_centres(
    stream: &mut Stream,
    [n, h, w]: [usize; 3],
    count: usize,
    size: usize,
) -> Result<Vec<[usize; 2]>> {
    let half = size / 2;
    if half == 0 || 2 * half > h.min(w) {
        return Err(too_large(size, h, w));
    }
    (0..n * count)
        .map(|_| {
            let x = half + stream.index(w - 2 * half + 1)?;
            let y = half + stream.index(h - 2 * half + 1)?;
            Ok([x, y])
        })
        .collect()
}

/// Patches `[n · count, c, s, s]`, `s = size / 2 · 2`, around `centres` `(x, y)` of `pictures: [n, c, h, w]`:
/// all of the first picture, then all of the second.
///
/// # Errors
///
/// Centres that are not a multiple of the pictures, or a patch that is not inside of its picture.
pub fn cut(pictures: &Tensor, centres: &[[usize; 2]], size: usize) -> Result<Tensor> {
    let (n, _, h, w) = pictures.dims4()?;
    if n == 0 || centres.is_empty() || !centres.len().is_multiple_of(n) {
        return Err(Error::config(
            "number of patch centres",
            centres.len(),
            format!("a multiple of {n} pictures"),
        ));
    }
    let (count, half) = (centres.len() / n, size / 2);
    let inside = |at: usize, side: usize| half > 0 && at >= half && at <= side.saturating_sub(half);
    let patches = centres
        .iter()
        .enumerate()
        .map(|(k, &[x, y])| {
            if !inside(x, w) || !inside(y, h) {
                return Err(too_large(size, h, w));
            }
            let picture = pictures.narrow(0, k / count, 1)?;
            let patch = picture.narrow(2, y - half, 2 * half)?;
            Ok(patch.narrow(3, x - half, 2 * half)?)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&patches, 0)?)
}

fn too_large(size: usize, h: usize, w: usize) -> Error {
    Error::config(
        "patch size",
        size,
        format!("2 or more, and inside of pictures of {h} × {w} pixels"),
    )
}

#[cfg(test)]
mod tests;
