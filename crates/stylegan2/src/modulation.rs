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
//! weight ([`domex_ops::domain_modulation`]). The offset may follow the kernels: with mean M and standard deviation S of each over its
//! places, `γ (W − M) / S` is added, and a bias its own offset, which is how GAN Memory (arXiv 2006.07543) styles kernels. What is
//! changed before demodulation, and a bias, may be another one for each sample; such a layer is then run sample by sample.

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
    /// Multiplied with the kernels as stored, normalised, and added to them: `[n, o, i, 1, 1]`; each axis may also be 1.
    pub kernel_deviation: Option<Tensor>,
    /// Added to the bias, `[n, o]` or `[1, o]`.
    pub bias_offset: Option<Tensor>,
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
            kernel_deviation: None,
            bias_offset: None,
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
            kernel_deviation: modulation.kernel_deviation.clone(),
            bias_offset: modulation.bias_offset.clone(),
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
            kernel_deviation,
            bias_offset,
            weight_factor,
            weight_shift,
        } = self;
        let rest = [
            channel_factor,
            weight_offset,
            kernel_deviation,
            bias_offset,
            weight_factor,
            weight_shift,
        ];
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
            kernel_deviation: optional(&self.kernel_deviation),
            bias_offset: optional(&self.bias_offset),
            weight_factor: optional(&self.weight_factor),
            weight_shift: optional(&self.weight_shift),
        }
    }

    /// A style for each sample, where the samples' weights or biases differ.
    pub fn by_sample(&self) -> Result<Option<Vec<Self>>> {
        let n = self.code.dim(0)?;
        let weights = [&self.weight_offset, &self.kernel_deviation];
        let weights = weights.map(|by| by.as_ref().filter(|by| by.rank() == 5));
        let checked = [
            ("weight offset", "o, i, k, k", weights[0]),
            ("change of deviations", "o, i, 1, 1", weights[1]),
            ("bias offset", "o", self.bias_offset.as_ref()),
        ];
        let mut differ = false;
        for (what, rest, by) in checked {
            let Some(by) = by else { continue };
            if ![1, n].contains(&by.dims()[0]) {
                return Err(Error::Shape {
                    what: what.to_owned(),
                    expected: format!("[{n}, {rest}]"),
                    found: by.dims().to_vec(),
                });
            }
            differ = true;
        }
        if !differ {
            return Ok(None);
        }
        let style = |at: usize| {
            let row = |t: &Tensor| t.narrow(0, at.min(t.dims()[0] - 1), 1);
            let row_of = |t: &Option<Tensor>| t.as_ref().map(row).transpose();
            let weight_of = |t: &Option<Tensor>| match t {
                Some(t) if t.rank() == 5 => Ok(Some(row(t)?.squeeze(0)?)),
                // The same for all samples.
                t => Ok::<_, Error>(t.clone()),
            };
            Ok(Self {
                code: row(&self.code)?,
                channel_factor: row_of(&self.channel_factor)?,
                weight_offset: weight_of(&self.weight_offset)?,
                kernel_deviation: weight_of(&self.kernel_deviation)?,
                bias_offset: self
                    .bias_offset
                    .as_ref()
                    .map(|by| row(by)?.squeeze(0))
                    .transpose()?,
                weight_factor: row_of(&self.weight_factor)?,
                weight_shift: row_of(&self.weight_shift)?,
            })
        };
        (0..n).map(style).collect::<Result<_>>().map(Some)
    }

    /// The weight as stored, `[o, i, k, k]`, with what is added to it.
    pub fn weight(&self, stored: &Tensor) -> Result<Tensor> {
        let mut changed = stored.clone();
        if let Some(by) = &self.kernel_deviation {
            changed = (changed + normalised_kernels(stored)?.broadcast_mul(by)?)?;
        }
        let Some(offset) = &self.weight_offset else {
            return Ok(changed);
        };
        let changed = changed.broadcast_add(offset)?;
        match changed.dims() == stored.dims() {
            true => Ok(changed),
            false => Err(Error::Shape {
                what: "weight offset".to_owned(),
                expected: format!("{:?}, where each may also be 1", stored.dims()),
                found: offset.dims().to_vec(),
            }),
        }
    }

    /// The bias as stored, `[o]`, with what is added to it.
    pub fn bias(&self, stored: &Tensor) -> Result<Tensor> {
        match &self.bias_offset {
            None => Ok(stored.clone()),
            Some(offset) if offset.dims() == stored.dims() => Ok((stored + offset)?),
            Some(offset) => Err(Error::Shape {
                what: "bias offset".to_owned(),
                expected: format!("[n, {}]", stored.elem_count()),
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

/// What keeps a kernel of equal numbers, which has no deviation, from being divided by it: added to the variance.
const EPSILON: f64 = 1e-12;

/// Kernels `[o, i, k, k]` less their mean, divided by their standard deviation: of a sample, with `k² − 1` below it, as the
/// published program has it.
///
/// # Errors
///
/// Kernels of one number, which have no deviation.
pub fn normalised_kernels(weight: &Tensor) -> Result<Tensor> {
    let (_, _, kh, kw) = weight.dims4()?;
    let places = (kh * kw) as f64;
    if places < 2.0 {
        return Err(Error::Shape {
            what: "kernels to normalise".to_owned(),
            expected: "[o, i, k, k] with k above 1".to_owned(),
            found: weight.dims().to_vec(),
        });
    }
    let mean = (weight.sum_keepdim((2, 3))? / places)?;
    let centred = weight.broadcast_sub(&mean)?;
    let variance = (centred.sqr()?.sum_keepdim((2, 3))? / (places - 1.0))?;
    Ok(centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?)
}

/// `given` has a row for each sample of `code: [n, i]`, or one.
pub(crate) fn check_rows(what: &str, given: &Tensor, code: &Tensor) -> Result<()> {
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
