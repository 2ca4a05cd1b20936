//! Modulated and demodulated convolution, the layer of StyleGAN2's synthesis network.
//!
//! Each sample scales the input channels of the weight by its style `s: [n, i]`, and every output
//! channel is then brought back to unit length (Karras et al. 2020, section 2.2, equations 1–3):
//!
//! `w'[n, o, i, k] = s[n, i] · w[o, i, k] · d[n, o]`,
//! `d[n, o] = 1 / √(Σ_{i, k} (s[n, i] · w[o, i, k])² + 10⁻⁸)`.
//!
//! A convolution is linear in its weight, so `y = d ⊙ conv(x ⊙ s, w)`: one convolution with the
//! shared weight serves the whole batch, and the sum in `d` is the small matrix product
//! `s² · (Σ_k w²)ᵀ`. No weight per sample is ever made. Definition: NVlabs/stylegan2-ada-pytorch,
//! `training/networks.py`, `modulated_conv2d`; its fused and unfused forms agree with this one to
//! rounding.
//!
//! [`modulated_layer`] is the whole layer: the filter of an up-sampling layer, the factor `d`, noise, bias, activation, gain and
//! clamp are one pass over the feature map. On a CUDA device, where no gradient will be asked for, the convolution itself multiplies by
//! the styles and, where the size stays, does all of the rest.
//!
//! # A factor that demodulation does not see
//!
//! [`ModulatedConv::channel_factor`] multiplies the demodulated weight along its input channels, with no normalisation after it:
//! `w'[n, o, i, k] = f[n, i] · s[n, i] · w[o, i, k] · d[n, o]` with `d` of `s` alone. This is the channel-in modulation of
//! HyperDomainNet (Alanov et al. 2022, arXiv 2210.08884, section 3). As f stands beside s, it costs one product of two
//! `[n, i]` matrices.
//!
//! All steps are differentiable to any order, and free for operands that do not track.
//!
//! # Half precision
//!
//! On a CUDA device the kernels read and write it. What is kept for the way back are `x ⊙ s` and the convolution of that, which could
//! overflow. So where `d` follows, w is first divided by the largest entry of each output channel and by `√(i k²)`, and s by the largest
//! of each sample, as in the published program: `d` takes both out again, so these factors change no value, and get no gradient.
//! Elsewhere the layer is computed in float32, where nothing overflows, and rounded once; only the factors of products may be TF32's
//! ([`crate::tf32`]).

use candle_core::{D, DType, Tensor};

use crate::{
    Activation, BiasAct, Error, Result, bias_act,
    body::{Bodies, Body},
    channels, check,
    conv_resample::unfiltered,
    conv2d_resample,
    epilogue::Curve,
    matmul, tf32,
    upfirdn2d::Resample,
};

#[cfg(feature = "cuda")]
use crate::{
    conv,
    conv_resample::{turned, unfiltered_by},
};

const OP: &str = "modulated_conv2d";
const BODIES: Bodies = Bodies::NO_HALF;
/// Keeps the demodulation finite for a weight of zeros.
const EPSILON: f64 = 1e-8;

/// How [`modulated_conv2d`] works. The default is a plain demodulated 1×1 convolution.
#[derive(Debug, Clone, Copy)]
pub struct ModulatedConv<'a> {
    /// Up-sampling factor.
    pub up: usize,
    /// Down-sampling factor.
    pub down: usize,
    /// Zeros around the picture at its up-sampled size; `k / 2` keeps the size.
    pub padding: usize,
    /// Low-pass filter of the resampling, see [`setup_filter`](crate::setup_filter).
    pub filter: Option<&'a Tensor>,
    /// Whether to bring the output channels back to unit length.
    pub demodulate: bool,
    /// True: correlation. False: convolution, the published choice for up-sampling layers; see
    /// [`conv_resample`](crate::conv_resample).
    pub flip_weight: bool,
    /// Added to the result, the same for all channels: `[n, 1, h, w]`, `[1, 1, h, w]` or
    /// `[h, w]`, already multiplied by its strength.
    pub noise: Option<&'a Tensor>,
    /// Multiplies the demodulated weight along its input channels: `[n, i]`, or `[1, i]` for all samples alike.
    pub channel_factor: Option<&'a Tensor>,
}

impl Default for ModulatedConv<'_> {
    fn default() -> Self {
        Self {
            up: 1,
            down: 1,
            padding: 0,
            filter: None,
            demodulate: true,
            flip_weight: true,
            noise: None,
            channel_factor: None,
        }
    }
}

/// `x: [n, i, h, w]` convolved with `weight: [o, i, kh, kw]` modulated by `styles: [n, i]`, giving
/// `[n, o, h·up/down, ..]` when the padding is `k / 2`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when the operands, the noise or the factor do not fit; [`Error::DType`] and
/// [`Error::Device`] when they do not match; what [`conv2d_resample`] refuses.
pub fn modulated_conv2d(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
) -> Result<Tensor> {
    modulated_layer(
        x,
        weight,
        styles,
        how,
        None,
        &BiasAct::new(Activation::Linear),
    )
}

impl ModulatedConv<'_> {
    /// Whether the picture grows by a transposed convolution.
    fn transposes(&self, weight: &Tensor) -> bool {
        self.up > 1 && self.down == 1 && weight.dims()[2..] != [1, 1]
    }

    fn check_noise(&self, n: usize, size: [usize; 2]) -> Result<()> {
        self.noise
            .map_or(Ok(()), |noise| check_noise(noise, n, size))
    }
}

/// A layer of the synthesis network: [`bias_act()`] of [`modulated_conv2d`], with the bias along the channels. Where x is of a half type,
/// all else may be float32.
///
/// # Errors
///
/// As [`modulated_conv2d`] and [`bias_act()`]; [`Error::Parameter`] when `act` names another dimension than 1.
pub fn modulated_layer(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
    bias: Option<&Tensor>,
    act: &BiasAct,
) -> Result<Tensor> {
    if act.dim != 1 {
        return Err(Error::parameter(OP, "dim", act.dim, "1, the channels"));
    }
    check_operands(x, weight, styles, how)?;
    if let Some(bias) = bias {
        fits(bias, "bias", x)?;
    }
    #[cfg(feature = "cuda")]
    if let Some(curve) = act.curve() {
        act.check_numbers()?;
        if let Some(y) = at_once(x, weight, styles, how, curve, bias)? {
            return Ok(y);
        }
    }
    let made = if !BODIES.widens(&[x]) {
        convolved(x, weight, styles, how)?
    } else if Bodies::CPU_AND_CUDA.of(&[x]) == Body::Cuda {
        in_half(x, weight, styles, how)?
    } else {
        return tf32::in_half(|| widened(x, weight, styles, how, bias, act));
    };
    let alike = |t: &Tensor| t.to_dtype(x.dtype());
    let (noise, bias) = (how.noise.map(alike), bias.map(alike));
    let (noise, bias) = (noise.transpose()?, bias.transpose()?);
    let (noise, bias) = (noise.as_ref(), bias.as_ref());
    act.check(&made.y, bias)?;
    match act.curve() {
        Some(curve) if made.body != Body::Composed => made.finish(curve, noise, bias),
        _ => bias_act(&made.composed(noise)?, bias, act),
    }
}

/// `t` is where x is, and of its type, or float32 where that is a half one.
fn fits(t: &Tensor, name: &'static str, x: &Tensor) -> Result<()> {
    let is_half = matches!(x.dtype(), DType::F16 | DType::BF16);
    if is_half && t.dtype() == DType::F32 && t.device().same_device(x.device()) {
        return Ok(());
    }
    check::alike(OP, name, t, x)
}

/// Operands of a half type by kernels that read and write it: see the [module docs](self).
fn in_half(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
) -> Result<Convolved> {
    let (mut weight, mut styles) = (wide(weight)?, wide(styles)?);
    if how.demodulate {
        (weight, styles) = within_range(&weight, &styles)?;
    }
    let factors = factors(&weight, &styles, how)?;
    let style = match how.channel_factor {
        Some(factor) => with_factor(&styles, &wide(factor)?)?,
        None => styles,
    };
    let half = |t: &Tensor| t.to_dtype(x.dtype());
    let (weight, style) = (half(&weight)?, half(&style)?);
    let factors = factors.as_ref().map(half).transpose()?;
    scaled(x, &weight, &style, how, factors, Body::Cuda)
}

/// `weight: [o, i, kh, kw]` and `styles: [n, i]` with a largest entry of `1/√(i k²)` in each output channel and of 1 in each sample: for a
/// layer that demodulates, which does not see it.
fn within_range(weight: &Tensor, styles: &Tensor) -> Result<(Tensor, Tensor)> {
    let brought = |t: &Tensor, most: f64| -> Result<Tensor> {
        let rows = t.flatten_from(1)?.unsqueeze(0)?;
        // Of zeros nothing is to be divided.
        let largest = rows.detach().abs()?.max(2)?.maximum(1e-30)?;
        let brought = channels::scale(&rows, &(largest.recip()? * most)?)?;
        Ok(brought.reshape(t.shape())?)
    };
    let terms: usize = weight.dims()[1..].iter().product();
    let most = (terms as f64).sqrt().recip();
    Ok((brought(weight, most)?, brought(styles, 1.0)?))
}

/// The layer in float32, rounded once.
fn widened(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
    bias: Option<&Tensor>,
    act: &BiasAct,
) -> Result<Tensor> {
    let noise = how.noise.map(wide).transpose()?;
    let factor = how.channel_factor.map(wide).transpose()?;
    let bias = bias.map(wide).transpose()?;
    let how = ModulatedConv {
        noise: noise.as_ref(),
        channel_factor: factor.as_ref(),
        ..*how
    };
    let y = modulated_layer(
        &wide(x)?,
        &wide(weight)?,
        &wide(styles)?,
        &how,
        bias.as_ref(),
        act,
    )?;
    Ok(y.to_dtype(x.dtype())?)
}

fn wide(t: &Tensor) -> candle_core::Result<Tensor> {
    t.to_dtype(DType::F32)
}

/// The whole layer by one kernel, or, where the size grows, by one for the transposed convolution and one for the rest, after one for the
/// factors of demodulation: where the device has them and no gradient will be asked for; elsewhere None.
#[cfg(feature = "cuda")]
fn at_once(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
    curve: Curve,
    bias: Option<&Tensor>,
) -> Result<Option<Tensor>> {
    let small = [how.noise, how.channel_factor, bias];
    let operands = [&[Some(x), Some(weight), Some(styles)][..], &small].concat();
    let grows = how.transposes(weight);
    let stays = [how.up, how.down] == [1, 1];
    if !(grows || stays) || Bodies::CPU_AND_CUDA.without_graph(&operands) != Body::Cuda {
        return Ok(None);
    }
    // What is small is computed in float32.
    let styles = wide(styles)?;
    let alike = weight.to_dtype(x.dtype())?;
    // Turning a kernel changes nothing in the sum of its squares.
    let factors = match how.demodulate {
        true => Some(demodulation(&wide(weight)?, &styles)?),
        false => None,
    };
    let style = match how.channel_factor {
        Some(factor) => with_factor(&styles, &wide(factor)?)?,
        None => styles,
    };
    let fused = conv::cuda::Fused {
        style: Some(&style),
        scale: factors.as_ref(),
        noise: how.noise,
        bias,
        curve,
    };
    let check_bias = |channels: usize| match bias {
        Some(bias) if bias.dims() != [channels] => {
            let expected = format!("[{channels}]");
            Err(Error::shape(OP, "bias", bias.dims(), expected))
        }
        _ => Ok(()),
    };
    let (up, padding, flip) = (how.up, how.padding, how.flip_weight);
    if stays {
        let weight = turned(&alike, !flip)?;
        let shape = conv::forward_shape(x, &weight, None, 1, padding)?;
        check_bias(shape.c_out)?;
        how.check_noise(shape.n, [shape.out_h(), shape.out_w()])?;
        return Ok(Some(fused.run(&shape, x, &weight)?));
    }
    let transposed = |x: &Tensor, weight: &Tensor, stride: usize, crop: usize| {
        let shape = conv::transpose_shape(x, weight, stride, crop)?;
        check_bias(shape.c_in)?;
        Ok(fused.transposed(&shape, x, weight)?)
    };
    let (y, filter) = unfiltered_by(x, &alike, how.filter, up, padding, flip, transposed)?;
    how.check_noise(y.dim(0)?, filter.size())?;
    Ok(Some(fused.finish(&y, &filter, x.dtype())?))
}

/// The convolution of the scaled input, and what is still to be done to it.
struct Convolved {
    /// Whether the rest can be one pass.
    body: Body,
    y: Tensor,
    /// The low-pass filter after a transposed convolution, where it can be one pass with the rest.
    filter: Option<Resample>,
    /// The factors of demodulation, `[n, o]`.
    factors: Option<Tensor>,
}

/// The operands have been checked; the noise is, here.
fn convolved(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
) -> Result<Convolved> {
    let factors = factors(weight, styles, how)?;
    let style = match how.channel_factor {
        Some(factor) => &with_factor(styles, factor)?,
        None => styles,
    };
    scaled(x, weight, style, how, factors, BODIES.of(&[x]))
}

/// The same with all factors at hand.
fn scaled(
    x: &Tensor,
    weight: &Tensor,
    style: &Tensor,
    how: &ModulatedConv<'_>,
    factors: Option<Tensor>,
    body: Body,
) -> Result<Convolved> {
    let x = channels::scale(x, style)?;
    let (up, padding, flip) = (how.up, how.padding, how.flip_weight);
    let (y, filter) = if how.transposes(weight) && body != Body::Composed {
        let (y, filter) = unfiltered(&x, weight, how.filter, up, padding, flip)?;
        (y, Some(filter))
    } else {
        let y = conv2d_resample(&x, weight, how.filter, up, how.down, padding, flip)?;
        (y, None)
    };
    let (n, _, h, w) = y.dims4()?;
    let size = filter.as_ref().map_or([h, w], Resample::size);
    how.check_noise(n, size)?;
    Ok(Convolved {
        body,
        y,
        filter,
        factors,
    })
}

impl Convolved {
    /// The rest in one pass.
    fn finish(self, curve: Curve, noise: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Tensor> {
        let Self {
            y, filter, factors, ..
        } = self;
        Ok(curve.after_convolution(&y, filter, factors.as_ref(), noise, bias)?)
    }

    /// `y · factors + noise`, step by step.
    fn composed(self, noise: Option<&Tensor>) -> Result<Tensor> {
        let Self {
            y, filter, factors, ..
        } = self;
        let y = match filter {
            Some(filter) => y.contiguous()?.apply_op1(filter)?,
            None => y,
        };
        let y = match factors {
            Some(factors) => channels::scale(&y, &factors)?,
            None => y,
        };
        Ok(match noise {
            Some(noise) => y.broadcast_add(noise)?,
            None => y,
        })
    }
}

/// What multiplies the input: `styles: [n, i]` times `factor: [n, i]` or `[1, i]`.
fn with_factor(styles: &Tensor, factor: &Tensor) -> Result<Tensor> {
    channels::scale(styles, &factor.broadcast_as(styles.shape())?)
}

/// The factors of demodulation, where there are to be any.
fn factors(weight: &Tensor, styles: &Tensor, how: &ModulatedConv<'_>) -> Result<Option<Tensor>> {
    let wanted = how.demodulate.then(|| demodulation(weight, styles));
    wanted.transpose()
}

/// The factors `d: [n, o]` for `weight: [o, i, kh, kw]` and `styles: [n, i]`.
pub(crate) fn demodulation(weight: &Tensor, styles: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if BODIES.without_graph(&[Some(weight), Some(styles)]) == Body::Cuda
        && weight.dim(1)? <= domex_cuda::plan::MOST_CHANNELS
    {
        return Ok(conv::cuda::demodulation(weight, styles)?);
    }
    let squares = weight.flatten_from(2)?.sqr()?.sum(D::Minus1)?;
    let norm = matmul(&styles.sqr()?, &squares.t()?)?;
    Ok((norm + EPSILON)?.sqrt()?.recip()?)
}

fn check_operands(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
) -> Result<()> {
    check::float(OP, "x", x)?;
    fits(weight, "weight", x)?;
    fits(styles, "styles", x)?;
    let (n, i, _, _) = check::dims4(OP, "x", x, "[n, i, h, w]")?;
    let (_, inputs, _, _) = check::dims4(OP, "weight", weight, "[o, i, kh, kw]")?;
    if inputs != i {
        let expected = format!("[o, {i}, kh, kw] for x {:?}", x.dims());
        return Err(Error::shape(OP, "weight", weight.dims(), expected));
    }
    if styles.dims() != [n, i] {
        let expected = format!("[{n}, {i}] for x {:?}", x.dims());
        return Err(Error::shape(OP, "styles", styles.dims(), expected));
    }
    if let Some(factor) = how.channel_factor {
        fits(factor, "channel_factor", x)?;
        if ![[n, i], [1, i]].iter().any(|fits| factor.dims() == fits) {
            let expected = format!("[{n}, {i}] or [1, {i}] for x {:?}", x.dims());
            return Err(Error::shape(OP, "channel_factor", factor.dims(), expected));
        }
    }
    match how.noise {
        Some(noise) => fits(noise, "noise", x),
        None => Ok(()),
    }
}

pub(crate) fn check_noise(noise: &Tensor, n: usize, [h, w]: [usize; 2]) -> Result<()> {
    let fits = match *noise.dims() {
        [nh, nw] => (nh, nw) == (h, w),
        [samples, 1, nh, nw] => (samples == n || samples == 1) && (nh, nw) == (h, w),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let expected = format!("[{n}, 1, {h}, {w}], [1, 1, {h}, {w}] or [{h}, {w}]");
    Err(Error::shape(OP, "noise", noise.dims(), expected))
}

#[cfg(test)]
mod tests;
