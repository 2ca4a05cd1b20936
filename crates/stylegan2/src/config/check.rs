//! Ranges of the hyper-parameters: no allocation is driven by a number that was not checked here.

use std::collections::BTreeMap;

use super::resolutions;
use crate::{Error, Result};

/// Width of any layer beyond which a configuration is taken for a mistake.
pub(super) const MAX_FEATURES: usize = 1 << 13;

/// Number of classes beyond which a configuration is taken for a mistake.
pub(super) const MAX_CLASSES: usize = 1 << 17;

/// Largest picture that a configuration may ask for.
const MAX_RESOLUTION: usize = 4096;

/// Whether a resolution is among the `num_fp16_res` highest.
pub(super) fn is_half(img_resolution: usize, num_fp16_res: usize, resolution: usize) -> bool {
    if num_fp16_res == 0 {
        return false;
    }
    // Never below 8: the 4×4 block always runs in full precision.
    let halvings = (num_fp16_res - 1).min(31);
    resolution >= (img_resolution >> halvings).max(8)
}

/// A power of two of a sane size.
pub(super) fn check_resolution(resolution: usize) -> Result<()> {
    if resolution.is_power_of_two() && (4..=MAX_RESOLUTION).contains(&resolution) {
        return Ok(());
    }
    Err(Error::config(
        "img_resolution",
        resolution,
        format!("a power of two from 4 to {MAX_RESOLUTION}"),
    ))
}

/// Size, colours and one width per block.
pub(super) fn picture(
    resolution: usize,
    colours: usize,
    channels: &BTreeMap<usize, usize>,
) -> Result<()> {
    check_resolution(resolution)?;
    size("img_channels", colours, 1, MAX_FEATURES)?;
    let wanted = resolutions(resolution);
    if !channels.keys().eq(wanted.iter()) {
        return Err(Error::config(
            "channels",
            format!("resolutions {:?}", channels.keys().collect::<Vec<_>>()),
            format!("{wanted:?}"),
        ));
    }
    channels
        .iter()
        .try_for_each(|(at, width)| size(&format!("channels.{at}"), *width, 1, MAX_FEATURES))
}

/// Taps that can be brought to a sum of 1.
pub(super) fn filter(taps: &[f64]) -> Result<()> {
    size("taps of resample_filter", taps.len(), 1, 64)?;
    let sum: f64 = taps.iter().sum();
    if sum.is_finite() && sum != 0.0 {
        return Ok(());
    }
    Err(Error::config(
        "sum of resample_filter",
        sum,
        "finite and not 0",
    ))
}

/// No limit, or a positive one.
pub(super) fn clamp(limit: Option<f64>) -> Result<()> {
    limit.map_or(Ok(()), |limit| positive("conv_clamp", limit))
}

/// Above 0 and finite.
pub(super) fn positive(what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::config(what, value, "a positive number"))
}

/// Between two bounds, both allowed.
pub(super) fn size(what: &str, value: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::config(what, value, format!("{least} to {most}")))
}
