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
//!
//! Beyond that the weight itself can be changed: an offset to `W` as stored, and a factor and a shift of the demodulated
//! weight ([`domex_ops::domain_modulation`]). An offset to `W` may be another one for each sample; such a layer is then run
//! sample by sample.

use candle_core::Tensor;
use domex_latent::modulation::Modulation;
use domex_ops::WeightChange;

use crate::{Error, Result};

/// What modulates a layer.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    /// `[n, i]`, as it leaves the affine map or shifted.
    pub code: Tensor,
    /// `[n, i]` or `[1, i]`.
    pub channel_factor: Option<Tensor>,
    /// Added to the weight as stored: `[o, i, k, k]`, or `[n, o, i, k, k]`; each axis may also be 1.
    pub weight_offset: Option<Tensor>,
    /// Multiplied with the demodulated weight.
    pub weight_factor: Option<Tensor>,
    /// Added to the demodulated weight after that.
    pub weight_shift: Option<Tensor>,
}

impl From<Tensor> for Style {
    fn from(code: Tensor) -> Self {
        Self {
            code,
            channel_factor: None,
            weight_offset: None,
            weight_factor: None,
            weight_shift: None,
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
            weight_offset: modulation.weight_offset.clone(),
            weight_factor: modulation.weight_factor.clone(),
            weight_shift: modulation.weight_shift.clone(),
        })
    }

    /// Everything that a pass may track.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        let Self {
            code,
            channel_factor,
            weight_offset,
            weight_factor,
            weight_shift,
        } = self;
        let rest = [channel_factor, weight_offset, weight_factor, weight_shift];
        std::iter::once(code).chain(rest.into_iter().flatten())
    }

    /// The same with other tensors, in the order of [`tensors`](Self::tensors).
    pub fn with_tensors(&self, tensors: &[Tensor]) -> Self {
        let mut tensors = tensors.iter();
        let mut other = |own: &Tensor| tensors.next().unwrap_or(own).clone();
        let code = other(&self.code);
        let mut optional = |own: &Option<Tensor>| own.as_ref().map(&mut other);
        Self {
            code,
            channel_factor: optional(&self.channel_factor),
            weight_offset: optional(&self.weight_offset),
            weight_factor: optional(&self.weight_factor),
            weight_shift: optional(&self.weight_shift),
        }
    }

    /// A style for each sample, where the samples' weights differ.
    pub fn by_sample(&self) -> Result<Option<Vec<Self>>> {
        let n = self.code.dim(0)?;
        let Some(offset) = self.weight_offset.as_ref().filter(|by| by.rank() == 5) else {
            return Ok(None);
        };
        if ![1, n].contains(&offset.dims()[0]) {
            return Err(Error::Shape {
                what: "weight offset".to_owned(),
                expected: format!("[{n}, o, i, k, k]"),
                found: offset.dims().to_vec(),
            });
        }
        let own = |at: usize| {
            let row = |t: &Tensor| t.narrow(0, at.min(t.dims()[0] - 1), 1);
            let row_of = |t: &Option<Tensor>| t.as_ref().map(row).transpose();
            Ok(Self {
                code: row(&self.code)?,
                channel_factor: row_of(&self.channel_factor)?,
                weight_offset: Some(row(offset)?.squeeze(0)?),
                weight_factor: row_of(&self.weight_factor)?,
                weight_shift: row_of(&self.weight_shift)?,
            })
        };
        (0..n).map(own).collect::<Result<_>>().map(Some)
    }

    /// The weight as stored, `[o, i, k, k]`, with what is added to it.
    pub fn weight(&self, stored: &Tensor) -> Result<Tensor> {
        let Some(offset) = &self.weight_offset else {
            return Ok(stored.clone());
        };
        let changed = stored.broadcast_add(offset)?;
        match changed.dims() == stored.dims() {
            true => Ok(changed),
            false => Err(Error::Shape {
                what: "weight offset".to_owned(),
                expected: format!("{:?}, where each may also be 1", stored.dims()),
                found: offset.dims().to_vec(),
            }),
        }
    }

    /// What is done to the demodulated weight, if anything.
    pub fn weight_change(&self) -> Option<WeightChange<'_>> {
        let (factor, shift) = (self.weight_factor.as_ref(), self.weight_shift.as_ref());
        (factor.is_some() || shift.is_some()).then_some(WeightChange { factor, shift })
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
