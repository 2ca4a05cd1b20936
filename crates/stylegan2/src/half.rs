//! Float16 in the highest resolutions, as the published code runs them on a GPU.
//!
//! Half precision overflows at 65504, so a demodulated layer first brings weights and styles to a
//! largest entry of 1 (the demodulation divides the factors out again), and the demodulation
//! coefficients are computed in single precision:
//!
//! ```text
//! y = conv(x s f, W) d + noise,   d = rsqrt(sum_{i,k} (W s)^2 + 1e-8)
//! ```
//!
//! The published code computes the normalised weights per sample where it has to; scaling input
//! and output instead is its other, equal form.

use candle_core::{DType, Device, Tensor};
use domex_ops::{ModulatedConv, conv2d_resample};

use crate::Result;

/// Number type of the highest resolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Float16 in the resolutions that the configuration names, on CUDA; elsewhere the weights'
    /// type, like the published code's `force_fp32`.
    #[default]
    Auto,
    /// The weights' type everywhere.
    Full,
    /// Float16 in the resolutions that the configuration names, on any device.
    Half,
}

impl Precision {
    /// The type of a block's activations.
    pub(crate) fn dtype(self, is_half: bool, device: &Device, full: DType) -> DType {
        let half = match self {
            Self::Auto => is_half && device.is_cuda(),
            Self::Full => false,
            Self::Half => is_half,
        };
        if half { DType::F16 } else { full }
    }
}

/// Added to the sum of squares before the root.
const EPSILON: f64 = 1e-8;

/// Like [`domex_ops::modulated_conv2d`] for `x` in float16 and `weight: [o, i, k, k]`,
/// `styles: [n, i]`, noise, filter and factor in single precision.
pub(crate) fn modulated_conv2d(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    conv: &ModulatedConv<'_>,
) -> Result<Tensor> {
    let dtype = x.dtype();
    let (weight, styles) = if conv.demodulate {
        normalised(weight, styles)?
    } else {
        (weight.clone(), styles.clone())
    };
    let (n, inputs) = styles.dims2()?;
    let factors = match conv.channel_factor {
        Some(factor) => styles.broadcast_mul(factor)?,
        None => styles.clone(),
    };
    let scaled = x.broadcast_mul(&factors.to_dtype(dtype)?.reshape((n, inputs, 1, 1))?)?;
    // The sums of a convolution are in single precision on a GPU too, and on the CPU that is all there is a fast body for.
    let sums = match x.device().is_cpu() {
        true => DType::F32,
        false => dtype,
    };
    let rounded = |x: &Tensor| x.to_dtype(dtype)?.to_dtype(sums);
    let filter = conv.filter.map(rounded).transpose()?;
    let y = conv2d_resample(
        &scaled.to_dtype(sums)?,
        &rounded(&weight)?,
        filter.as_ref(),
        conv.up,
        conv.down,
        conv.padding,
        conv.flip_weight,
    )?;
    let mut y = y.to_dtype(dtype)?;
    if conv.demodulate {
        let power = weight.sqr()?.sum((2, 3))?;
        let sums = styles.sqr()?.matmul(&power.t()?)?;
        let factors = (sums + EPSILON)?.sqrt()?.recip()?.to_dtype(dtype)?;
        let outputs = weight.dim(0)?;
        y = y.broadcast_mul(&factors.reshape((n, outputs, 1, 1))?)?;
    }
    match conv.noise {
        Some(noise) => Ok(y.broadcast_add(&noise.to_dtype(dtype)?)?),
        None => Ok(y),
    }
}

/// Weights with a largest entry of `1/sqrt(fan-in)` per output, styles with one of 1 per sample.
fn normalised(weight: &Tensor, styles: &Tensor) -> Result<(Tensor, Tensor)> {
    let (outputs, inputs, kh, kw) = weight.dims4()?;
    let fan_in = (inputs * kh * kw) as f64;
    let peak = weight.abs()?.flatten_from(1)?.max_keepdim(1)?.detach();
    let peak = (peak.reshape((outputs, 1, 1, 1))? * fan_in.sqrt())?;
    let weight = weight.broadcast_div(&peak)?;
    let styles = styles.broadcast_div(&styles.abs()?.max_keepdim(1)?.detach())?;
    Ok((weight, styles))
}
