//! What one pass through the synthesis network may change of its layers.
//!
//! With the style `s` that leaves the affine map of a layer, an offset `δ` and a factor `f`, both along the input channels,
//! the layer convolves with
//!
//! ```text
//! W'[n, o, i, k] = f[n, i] demod(W[o, i, k] (s[n, i] + δ[n, i]))
//! ```
//!
//! `δ` is a step in StyleSpace (arXiv 2011.12799): demodulation sees it. `f` is the channel-in modulation of HyperDomainNet
//! (arXiv 2210.08884): it stands behind demodulation, and nothing is normalised after it. A `torgb` has no demodulation;
//! its gain `1/sqrt(i)` multiplies `s + δ`.

use candle_core::Tensor;
use domex_latent::modulation::Modulation;

use crate::{Error, Result};

/// What modulates a layer.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// `[n, i]`, as it leaves the affine map or shifted.
    pub code: Tensor,
    /// `[n, i]` or `[1, i]`.
    pub channel_factor: Option<Tensor>,
}

impl From<Tensor> for Style {
    fn from(code: Tensor) -> Self {
        Self {
            code,
            channel_factor: None,
        }
    }
}

impl Style {
    /// The style `code: [n, i]` of the layer `name`, changed by `modulation`.
    pub fn modulated(name: &str, code: Tensor, modulation: &Modulation) -> Result<Self> {
        let check = |what: &str, given: &Option<Tensor>| match given {
            Some(t) => check_rows(&format!("{what} of {name}"), t, &code),
            None => Ok(()),
        };
        check("style offset", &modulation.style_offset)?;
        check("channel factor", &modulation.channel_factor)?;
        let code = match &modulation.style_offset {
            Some(offset) => code.broadcast_add(offset)?,
            None => code,
        };
        Ok(Self {
            code,
            channel_factor: modulation.channel_factor.clone(),
        })
    }
}

/// `given` has a row for each sample of `code: [n, i]`, or one.
fn check_rows(what: &str, given: &Tensor, code: &Tensor) -> Result<()> {
    let (n, channels) = code.dims2()?;
    if given.dims() == [n, channels] || given.dims() == [1, channels] {
        return Ok(());
    }
    Err(Error::Shape {
        what: what.to_string(),
        expected: format!("[{n}, {channels}] or [1, {channels}]"),
        found: given.dims().to_vec(),
    })
}
