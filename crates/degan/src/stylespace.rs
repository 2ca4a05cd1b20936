//! StyleSpace (arXiv 2011.12799): the styles of a generator's layers, and what a domain does to them.
//!
//! Styles are in the order of [`Synthesis::style_names`]: `b4.conv1`, `b4.torgb`, then `conv0`, `conv1` and `torgb` of each
//! resolution; published programs call them `conv1`, `to_rgb1`, `convs.0`, `convs.1`, `to_rgbs.0` and so on. A style is what
//! leaves a layer's affine map, its bias included, before any scale of the weight.
//!
//! The encoder's offsets are added to every style.

use candle_core::Tensor;
use domex_latent::modulation::{Modulation, Modulations};
use domex_stylegan2::Synthesis;

use crate::{Error, Result};

/// The lengths of all styles, resolution by resolution: what an encoder for this generator gives.
#[must_use]
pub fn dims(synthesis: &Synthesis) -> Vec<Vec<usize>> {
    let mut all: Vec<(String, Vec<usize>)> = Vec::new();
    for layer in synthesis.modulated_layers() {
        let block = layer.name.split('.').next().unwrap_or_default().to_owned();
        match all.last_mut() {
            Some((last, dims)) if *last == block => dims.push(layer.channels),
            _ => all.push((block, vec![layer.channels])),
        }
    }
    all.into_iter().map(|(_, dims)| dims).collect()
}

/// Offsets `[n, channels]`, one for each style, times `multiplier`, as a pass takes them.
///
/// # Errors
///
/// Another number of offsets than of styles.
pub fn shift(synthesis: &Synthesis, offsets: &[Tensor], multiplier: f64) -> Result<Modulations> {
    let names = synthesis.style_names();
    if offsets.len() != names.len() {
        let expected = format!("{}, one for each style", names.len());
        return Err(Error::config("number of offsets", offsets.len(), expected));
    }
    let shift = |(name, offset): (String, &Tensor)| {
        let modulation = Modulation {
            style_offset: Some((offset * multiplier)?),
            ..Modulation::default()
        };
        Ok((name, modulation))
    };
    names.into_iter().zip(offsets).map(shift).collect()
}

/// Whether a style is that of a 3×3 convolution.
#[must_use]
pub fn is_convolution(name: &str) -> bool {
    !name.ends_with("torgb")
}
