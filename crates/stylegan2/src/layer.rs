//! Modulated layers of the synthesis network: the 3×3 convolutions and the 1×1 to RGB.
//!
//! Convolution (section 2.2 of arXiv 1912.04958), stored as `weight: [o, i, 3, 3]`, `bias: [o]`,
//! `noise_strength: []`, `noise_const: [h, w]`, `resample_filter`, `affine.weight: [i, w_dim]`,
//! `affine.bias: [i]`:
//!
//! ```text
//! s = affine(w)
//! y = act(demodulated_conv(x, W, s) + noise_strength noise + bias), clamped
//! ```
//!
//! To RGB has no demodulation, no noise and no activation; its styles are multiplied by
//! `1/sqrt(i k^2)` at run time. A style is named by its layer, such as `b8.conv0`; its values are
//! those that leave `affine`, before that factor. What a pass may change of it is in
//! [`modulation`](crate::modulation).

use candle_core::{DType, Tensor};
use candle_nn::{Init, VarBuilder};
use domex_ops::{
    Activation, BiasAct, ModulatedConv, WeightChange, bias_act, domain_modulated_conv2d,
    modulated_layer,
};

use crate::activations::Activations;
use crate::config::{Demodulation, SynthesisConfig};
use crate::dense::{Dense, DenseConfig, scaled};
use crate::modulation::Style;
use crate::noise::Noise;
use crate::resample;
use crate::weights::{Tensors, Walk, buffer, join, normal, put};
use crate::{Error, Result};

/// A 3×3 modulated convolution.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    affine: Dense,
    weight: Tensor,
    bias: Tensor,
    noise: Option<LayerNoise>,
    filter: Tensor,
    up: usize,
    activation: Activation,
    clamp: Option<f64>,
    demodulation: Demodulation,
}

#[derive(Debug, Clone)]
struct LayerNoise {
    strength: Tensor,
    constant: Tensor,
}

impl Layer {
    /// Reads a layer that makes `outputs` features at `resolution`, from features at half of it
    /// when `up` is 2.
    pub fn new(
        vb: &VarBuilder<'_>,
        cfg: &SynthesisConfig,
        [inputs, outputs]: [usize; 2],
        resolution: usize,
        up: usize,
    ) -> Result<Self> {
        let weight = vb.get_with_hints((outputs, inputs, 3, 3), "weight", normal(1.0))?;
        let filter = resample::buffer(vb, &cfg.resample_filter)?;
        let noise = if cfg.use_noise {
            let strength = vb.get_with_hints((), "noise_strength", Init::Const(0.0))?;
            let map = (resolution, resolution);
            let constant = buffer(vb, map, "noise_const", normal(1.0))?;
            Some(LayerNoise { strength, constant })
        } else {
            None
        };
        Ok(Self {
            weight,
            noise,
            filter,
            bias: vb.get_with_hints(outputs, "bias", Init::Const(0.0))?,
            affine: Dense::new(&vb.pp("affine"), &DenseConfig::affine(cfg.w_dim, inputs))?,
            up,
            activation: cfg.activation,
            clamp: cfg.conv_clamp,
            demodulation: cfg.demodulation,
        })
    }

    pub fn affine(&self) -> &Dense {
        &self.affine
    }

    pub fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    pub fn has_noise(&self) -> bool {
        self.noise.is_some()
    }

    /// `x: [n, i, h, w]` and a style `[n, i]` to `[n, o, up h, up w]`. `index` counts the layers
    /// with noise; `gain` multiplies the output and its limit.
    pub fn forward(
        &self,
        x: &Tensor,
        style: &Style,
        (noise, index): (&mut Noise<'_>, usize),
        gain: f64,
        activations: Activations,
    ) -> Result<Tensor> {
        let map = match &self.noise {
            None => None,
            Some(own) => noise.map(index, &own.constant, x.dim(0)?)?,
        };
        let mut inputs = vec![x.clone()];
        inputs.extend(map.clone());
        let first = inputs.len();
        inputs.extend(style.tensors().cloned());
        let (layer, style) = (self.clone(), style.clone());
        activations.of(&inputs, move |inputs| {
            let (own, tensors) = inputs.split_at(first);
            let style = style.with_tensors(tensors);
            layer.modulated(&own[0], own.get(1), &style, gain)
        })
    }

    /// The same with its map of noise.
    fn modulated(
        &self,
        x: &Tensor,
        map: Option<&Tensor>,
        style: &Style,
        gain: f64,
    ) -> Result<Tensor> {
        let map = match map.zip(self.noise.as_ref()) {
            None => None,
            Some((map, own)) => Some(map.broadcast_mul(&own.strength)?),
        };
        let Some(styles) = style.by_sample()? else {
            return self.convolve(x, style, map.as_ref(), gain);
        };
        let own = styles.iter().enumerate().map(|(at, style)| {
            let map = match &map {
                // Drawn for each sample.
                Some(map) if map.rank() == 4 && map.dim(0)? > 1 => Some(map.narrow(0, at, 1)?),
                map => map.clone(),
            };
            self.convolve(&x.narrow(0, at, 1)?, style, map.as_ref(), gain)
        });
        Ok(Tensor::cat(&own.collect::<Result<Vec<_>>>()?, 0)?)
    }

    fn convolve(
        &self,
        x: &Tensor,
        style: &Style,
        noise: Option<&Tensor>,
        gain: f64,
    ) -> Result<Tensor> {
        let conv = ModulatedConv {
            up: self.up,
            down: 1,
            padding: 1,
            filter: (self.up > 1).then_some(&self.filter),
            demodulate: true,
            // The published layers correlate where they keep the size and convolve where they
            // double it.
            flip_weight: self.up == 1,
            noise,
            channel_factor: style.channel_factor.as_ref(),
        };
        let act = spec(self.activation, gain, self.clamp);
        let weight = self.scaled_weight(&style.weight(&self.weight)?)?;
        let bias = style.bias(&self.bias)?;
        let style = (&style.code, style.weight_change());
        layer(x, &weight, style, &conv, &bias, &act)
    }

    /// The weight that demodulation sees.
    fn scaled_weight(&self, weight: &Tensor) -> Result<Tensor> {
        match self.demodulation {
            Demodulation::Raw => Ok(weight.clone()),
            Demodulation::FanIn => scaled(weight, fan_in_gain(weight)?),
        }
    }
}

impl Walk for Layer {
    fn walk(&self, path: &str, out: &mut Tensors) {
        put(out, path, "weight", &self.weight);
        put(out, path, "bias", &self.bias);
        put(out, path, "resample_filter", &self.filter);
        if let Some(noise) = &self.noise {
            put(out, path, "noise_strength", &noise.strength);
            put(out, path, "noise_const", &noise.constant);
        }
        self.affine.walk(&join(path, "affine"), out);
    }
}

/// A 1×1 modulated convolution from features to the picture's channels.
#[derive(Debug, Clone)]
pub(crate) struct ToRgb {
    affine: Dense,
    weight: Tensor,
    bias: Tensor,
    clamp: Option<f64>,
}

impl ToRgb {
    pub fn new(vb: &VarBuilder<'_>, cfg: &SynthesisConfig, inputs: usize) -> Result<Self> {
        let outputs = cfg.img_channels;
        Ok(Self {
            weight: vb.get_with_hints((outputs, inputs, 1, 1), "weight", normal(1.0))?,
            bias: vb.get_with_hints(outputs, "bias", Init::Const(0.0))?,
            affine: Dense::new(&vb.pp("affine"), &DenseConfig::affine(cfg.w_dim, inputs))?,
            clamp: cfg.conv_clamp,
        })
    }

    pub fn affine(&self) -> &Dense {
        &self.affine
    }

    pub fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }

    /// `x: [n, i, h, w]` and a style `[n, i]` to `[n, colours, h, w]`, in `x`'s type.
    pub fn forward(&self, x: &Tensor, style: &Style, activations: Activations) -> Result<Tensor> {
        let mut inputs = vec![x.clone()];
        inputs.extend(style.tensors().cloned());
        let (layer, style) = (self.clone(), style.clone());
        activations.of(&inputs, move |inputs| {
            layer.modulated(&inputs[0], &style.with_tensors(&inputs[1..]))
        })
    }

    fn modulated(&self, x: &Tensor, style: &Style) -> Result<Tensor> {
        let Some(styles) = style.by_sample()? else {
            return self.convolve(x, style);
        };
        let own = styles.iter().enumerate();
        let own = own.map(|(at, style)| self.convolve(&x.narrow(0, at, 1)?, style));
        Ok(Tensor::cat(&own.collect::<Result<Vec<_>>>()?, 0)?)
    }

    fn convolve(&self, x: &Tensor, style: &Style) -> Result<Tensor> {
        let code = scaled(&style.code, fan_in_gain(&self.weight)?)?;
        let conv = ModulatedConv {
            up: 1,
            down: 1,
            padding: 0,
            filter: None,
            demodulate: false,
            flip_weight: true,
            noise: None,
            channel_factor: style.channel_factor.as_ref(),
        };
        let act = spec(Activation::Linear, 1.0, self.clamp);
        let weight = style.weight(&self.weight)?;
        let bias = style.bias(&self.bias)?;
        let style = (&code, style.weight_change());
        layer(x, &weight, style, &conv, &bias, &act)
    }
}

impl Walk for ToRgb {
    fn walk(&self, path: &str, out: &mut Tensors) {
        put(out, path, "weight", &self.weight);
        put(out, path, "bias", &self.bias);
        self.affine.walk(&join(path, "affine"), out);
    }
}

/// `1/sqrt(i k^2)` of a weight `[o, i, k, k]`.
pub(crate) fn fan_in_gain(weight: &Tensor) -> Result<f64> {
    let (_, inputs, kh, kw) = weight.dims4()?;
    Ok(1.0 / ((inputs * kh * kw) as f64).sqrt())
}

/// Modulated convolution, with the demodulated weight changed or not, bias, activation, clamp; the result in `x`'s type, whatever that of
/// the weight is.
fn layer(
    x: &Tensor,
    weight: &Tensor,
    (styles, change): (&Tensor, Option<WeightChange<'_>>),
    conv: &ModulatedConv<'_>,
    bias: &Tensor,
    act: &BiasAct,
) -> Result<Tensor> {
    let y = match change {
        None if weight.dtype() == DType::F32 => {
            modulated_layer(x, weight, styles, conv, Some(bias), act)?
        }
        None => {
            let full = x.to_dtype(weight.dtype())?;
            modulated_layer(&full, weight, styles, conv, Some(bias), act)?
        }
        Some(change) => {
            let full = x.to_dtype(weight.dtype())?;
            let y = domain_modulated_conv2d(&full, weight, styles, conv, change)?;
            bias_act(&y, Some(bias), act)?
        }
    };
    Ok(y.to_dtype(x.dtype())?)
}

/// Activation, gain, clamp; `gain` multiplies the activation's own gain and the limit.
fn spec(act: Activation, gain: f64, clamp: Option<f64>) -> BiasAct {
    BiasAct {
        act,
        alpha: None,
        gain: Some(act.default_gain() * gain),
        clamp: clamp.map(|limit| limit * gain),
        dim: 1,
    }
}

/// Bias, activation, gain, clamp, as [`spec`] has them; `bias` is of `x`'s type.
pub(crate) fn finish(
    x: &Tensor,
    bias: Option<&Tensor>,
    act: Activation,
    gain: f64,
    clamp: Option<f64>,
) -> Result<Tensor> {
    Ok(bias_act(x, bias, &spec(act, gain, clamp))?)
}

/// Checks a style code at the door.
pub(crate) fn check_style(name: &str, style: &Tensor, affine: &Dense, n: usize) -> Result<()> {
    let expected = [n, affine.outputs()];
    if style.dims() == expected {
        return Ok(());
    }
    Err(Error::Shape {
        what: format!("style {name}"),
        expected: format!("{expected:?}"),
        found: style.dims().to_vec(),
    })
}
