//! A layer of the synthesis network: modulated convolution, and a leaky ReLU on densely sampled features.
//!
//! Stored as `weight: [o, i, k, k]`, `bias: [o]`, `affine.weight: [i, w_dim]`, `affine.bias: [i]`, the mean square of its input
//! `magnitude_ema: []`, and where it filters `up_filter: [taps]`, `down_filter: [taps]` or, radially symmetric, `[taps, taps]`:
//!
//! ```text
//! s = affine(w)
//! x = demodulated_conv(x, W, s) / √magnitude_ema + bias
//! y = down(clamp(√2 lrelu(up(x))))
//! ```
//!
//! Weight and style are normalised before the demodulation. To RGB has no demodulation and no leaky ReLU; its style is multiplied by `1/√i`. Follows
//! `SynthesisLayer` of stylegan3, `training/networks_stylegan3.py`, in float32 everywhere.
//!
//! The published program divides a batch's styles by the root of their mean square over all samples. The demodulation takes that out again but for
//! its 10⁻⁸, so here each sample's are divided by their own, and a batch equals its samples one by one.

use candle_core::{D, Device, Tensor};
use candle_nn::{Init, VarBuilder};
use domex_ops::{
    Activation, BiasAct, ModulatedConv, UpFirDn, bias_act, modulated_layer, recompute, upfirdn2d,
};
use domex_stylegan2::dense::{Dense, DenseConfig};
use domex_stylegan2::expect_dims;
use domex_stylegan2::weights::{Tensors, Walk, buffer, join, normal, put};

use crate::Result;
use crate::config::LayerShape;

/// Names of the filters.
pub(crate) const UP_FILTER: &str = "up_filter";
pub(crate) const DOWN_FILTER: &str = "down_filter";

/// The name of the mean square of what a layer reads.
pub(crate) const MAGNITUDE: &str = "magnitude_ema";

/// Numbers that densely sampled features may have at once: on a CPU what its cache holds, on a device what it is kept busy by.
fn dense_at_once(device: &Device) -> usize {
    match device.is_cpu() {
        true => 1 << 20,
        false => 1 << 26,
    }
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    affine: Dense,
    weight: Tensor,
    bias: Tensor,
    magnitude_ema: Tensor,
    up_filter: Option<Tensor>,
    down_filter: Option<Tensor>,
    shape: LayerShape,
    clamp: Option<f64>,
}

impl Layer {
    pub fn new(
        vb: &VarBuilder<'_>,
        w_dim: usize,
        shape: LayerShape,
        clamp: Option<f64>,
    ) -> Result<Self> {
        let ([i, o], k) = (shape.channels, shape.kernel);
        // What filters start as, `init` knows.
        let filter = |dims: Option<Vec<usize>>, name| {
            dims.map(|dims| buffer(vb, dims, name, Init::Const(0.0)))
                .transpose()
        };
        let up = shape.up_filter.map(|(taps, _)| vec![taps]);
        let down = shape.down_filter.map(|(taps, _)| match shape.radial {
            true => vec![taps; 2],
            false => vec![taps],
        });
        Ok(Self {
            affine: Dense::new(&vb.pp("affine"), &DenseConfig::affine(w_dim, i))?,
            weight: vb.get_with_hints((o, i, k, k), "weight", normal(1.0))?,
            bias: vb.get_with_hints(o, "bias", Init::Const(0.0))?,
            magnitude_ema: buffer(vb, (), MAGNITUDE, Init::Const(1.0))?,
            up_filter: filter(up, UP_FILTER)?,
            down_filter: filter(down, DOWN_FILTER)?,
            shape,
            clamp,
        })
    }

    pub fn affine(&self) -> &Dense {
        &self.affine
    }

    pub fn name(&self) -> &str {
        &self.shape.name
    }

    /// `x: [n, i, h, w]` and a row of the latent `[n, w_dim]` to `[n, o, h', w']`.
    pub fn forward(&self, x: &Tensor, w: &Tensor) -> Result<Tensor> {
        let [inputs, _] = self.shape.channels;
        let [size, _] = self.shape.sizes.map(Some);
        expect_dims(&self.shape.name, x, &[None, Some(inputs), size, size])?;
        let x = self.convolved(x, &self.affine.forward(w)?)?;
        if self.shape.is_to_rgb {
            return self.activated(&x);
        }
        let (n, c, h, w) = x.dims4()?;
        let dense = (h * self.shape.up) * (w * self.shape.up);
        let mut parts = Vec::new();
        self.filter_by_halves(
            &x.reshape((1, n * c, h, w))?,
            (dense_at_once(x.device()) / dense).max(1),
            &mut parts,
        )?;
        let y = match parts.as_slice() {
            [whole] => whole.clone(),
            parts => Tensor::cat(parts, 1)?,
        };
        let (_, _, h, w) = y.dims4()?;
        Ok(y.reshape((n, c, h, w))?)
    }

    /// Planes `[1, n, h, w]` are filtered at most `at_once` at a time: what lies between the filters has several times as many numbers as the rest of
    /// the layer, and is computed again on the way back. By halves, as candle's gradient of a narrow part is as large as the whole.
    fn filter_by_halves(
        &self,
        planes: &Tensor,
        at_once: usize,
        parts: &mut Vec<Tensor>,
    ) -> Result<()> {
        let count = planes.dim(1)?;
        if count <= at_once {
            let layer = self.clone();
            let again = move |planes: &[Tensor]| layer.filtered(&planes[0]);
            parts.push(recompute(std::slice::from_ref(planes), again)?);
            return Ok(());
        }
        let half = count / 2;
        for (first, count) in [(0, half), (half, count - half)] {
            self.filter_by_halves(&planes.narrow(1, first, count)?, at_once, parts)?;
        }
        Ok(())
    }

    /// The modulated convolution of `x: [n, i, h, w]` with styles `[n, i]`, with the bias, `[n, o, h + k - 1, w + k - 1]`.
    fn convolved(&self, x: &Tensor, styles: &Tensor) -> Result<Tensor> {
        let LayerShape {
            channels: [i, _],
            kernel: k,
            ..
        } = self.shape;
        let demodulate = !self.shape.is_to_rgb;
        let (weight, styles) = match demodulate {
            true => (unit(&self.weight, (1, 2, 3))?, unit(styles, D::Minus1)?),
            false => (self.weight.clone(), (styles / ((i * k * k) as f64).sqrt())?),
        };
        let gain = self.magnitude_ema.sqrt()?.recip()?;
        let gain = gain.reshape((1, 1))?.broadcast_as((1, i))?.contiguous()?;
        let conv = ModulatedConv {
            padding: k - 1,
            demodulate,
            channel_factor: Some(&gain),
            ..ModulatedConv::default()
        };
        let act = BiasAct::new(Activation::Linear);
        let bias = Some(&self.bias);
        Ok(modulated_layer(x, &weight, &styles, &conv, bias, &act)?)
    }

    /// The leaky ReLU of densely sampled features; planes are independent of each other.
    fn filtered(&self, x: &Tensor) -> Result<Tensor> {
        let LayerShape {
            up,
            down,
            padding: [before, after],
            ..
        } = self.shape;
        let how = UpFirDn {
            up: [up; 2],
            padding: [before, after, before, after],
            gain: (up * up) as f64,
            ..UpFirDn::default()
        };
        let x = upfirdn2d(x, self.up_filter.as_ref(), &how)?;
        let x = self.activated(&x)?;
        let how = UpFirDn {
            down: [down; 2],
            ..UpFirDn::default()
        };
        Ok(upfirdn2d(&x, self.down_filter.as_ref(), &how)?)
    }

    fn activated(&self, x: &Tensor) -> Result<Tensor> {
        let act = match self.shape.is_to_rgb {
            true => Activation::Linear,
            false => Activation::Lrelu,
        };
        let how = BiasAct {
            clamp: self.clamp,
            ..BiasAct::new(act)
        };
        Ok(bias_act(x, None, &how)?)
    }
}

/// Divided by the root of its mean square along `dims`.
fn unit(x: &Tensor, dims: impl candle_core::shape::Dims) -> Result<Tensor> {
    let length = x.sqr()?.mean_keepdim(dims)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}

impl Walk for Layer {
    fn walk(&self, path: &str, out: &mut Tensors) {
        put(out, path, "weight", &self.weight);
        put(out, path, "bias", &self.bias);
        put(out, path, MAGNITUDE, &self.magnitude_ema);
        for (name, filter) in [
            (UP_FILTER, &self.up_filter),
            (DOWN_FILTER, &self.down_filter),
        ] {
            if let Some(filter) = filter {
                put(out, path, name, filter);
            }
        }
        self.affine.walk(&join(path, "affine"), out);
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use domex_ops::testing::{max_difference, randn};
    use domex_stylegan2::weights::builder;

    use super::*;
    use crate::{GeneratorConfig, init};

    #[test]
    fn planes_filtered_a_few_at_a_time_are_those_filtered_at_once() {
        let config = GeneratorConfig::tiny();
        let tensors = init::generator(&config, 1, DType::F64, &Device::Cpu).unwrap();
        let shape = config.synthesis.layers().remove(1);
        let vb = builder(&tensors).pp("synthesis").pp(&shape.name);
        let size = shape.sizes[0] + shape.kernel - 1;
        let layer = Layer::new(&vb, config.w_dim(), shape, None).unwrap();
        let planes = Var::from_tensor(&randn(&[1, 7, size, size], 2)).unwrap();
        let filtered = |at_once| {
            let mut parts = Vec::new();
            layer
                .filter_by_halves(&planes, at_once, &mut parts)
                .unwrap();
            let y = Tensor::cat(&parts, 1).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            (parts.len(), y, grads.get(&planes).unwrap().clone())
        };
        let (one, whole, slope) = filtered(7);
        let (several, parts, slope_of_parts) = filtered(2);
        assert_eq!((one, several), (1, 4));
        assert_eq!(max_difference(&parts, &whole), 0.0);
        assert_eq!(max_difference(&slope_of_parts, &slope), 0.0);
    }
}
