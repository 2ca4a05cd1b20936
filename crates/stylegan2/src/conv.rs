//! Plain convolution layer with equalised learning rate: the discriminator's layers, and the 1×1
//! skip convolution of the resnet generator.
//!
//! `y = act(conv(x, W / sqrt(i k^2)) + bias)`, resampled by the filter when `up` or `down` is 2.
//! Stored are `weight: [o, i, k, k]`, `bias: [o]` and the buffer `resample_filter`.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use domex_ops::{Activation, conv2d_resample};

use crate::Result;
use crate::activations::Activations;
use crate::dense::scaled;
use crate::layer::{fan_in_gain, finish};
use crate::resample;
use crate::weights::{Tensors, Walk, normal, put};

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    filter: Tensor,
    shape: ConvConfig,
    clamp: Option<f64>,
}

/// What fixes a layer, besides what all layers of a network share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConvConfig {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub bias: bool,
    pub activation: Activation,
    pub up: usize,
    pub down: usize,
}

impl ConvConfig {
    /// A convolution with bias that keeps the size.
    pub fn new(inputs: usize, outputs: usize, kernel: usize, activation: Activation) -> Self {
        Self {
            inputs,
            outputs,
            kernel,
            bias: true,
            activation,
            up: 1,
            down: 1,
        }
    }

    /// The 1×1 convolution around a block: no bias, no activation.
    pub fn skip(inputs: usize, outputs: usize) -> Self {
        Self {
            bias: false,
            ..Self::new(inputs, outputs, 1, Activation::Linear)
        }
    }
}

impl Conv {
    pub fn new(
        vb: &VarBuilder<'_>,
        shape: ConvConfig,
        taps: &[f64],
        clamp: Option<f64>,
    ) -> Result<Self> {
        let ConvConfig {
            inputs,
            outputs,
            kernel,
            ..
        } = shape;
        let weight = (outputs, inputs, kernel, kernel);
        let bias = if shape.bias {
            Some(vb.get_with_hints(outputs, "bias", Init::Const(0.0))?)
        } else {
            None
        };
        Ok(Self {
            weight: vb.get_with_hints(weight, "weight", normal(1.0))?,
            bias,
            filter: resample::buffer(vb, taps)?,
            shape,
            clamp,
        })
    }

    /// [`forward`](Self::forward), which keeps its activations or does not.
    pub fn forward_with(&self, x: &Tensor, gain: f64, activations: Activations) -> Result<Tensor> {
        let layer = self.clone();
        activations.of(std::slice::from_ref(x), move |inputs| {
            layer.forward(&inputs[0], gain)
        })
    }

    /// `x: [n, i, h, w]` to `[n, o, h up / down, w up / down]` in `x`'s type. `gain` multiplies
    /// the output and its limit.
    pub fn forward(&self, x: &Tensor, gain: f64) -> Result<Tensor> {
        let dtype = x.dtype();
        let weight = scaled(&self.weight, fan_in_gain(&self.weight)?)?.to_dtype(dtype)?;
        let ConvConfig {
            up, down, kernel, ..
        } = self.shape;
        let filter = if up > 1 || down > 1 {
            Some(self.filter.to_dtype(dtype)?)
        } else {
            None
        };
        let x = conv2d_resample(
            x,
            &weight,
            filter.as_ref(),
            up,
            down,
            kernel / 2,
            // Correlation, but for layers that double the size.
            up == 1,
        )?;
        let bias = self
            .bias
            .as_ref()
            .map(|bias| bias.to_dtype(dtype))
            .transpose()?;
        finish(&x, bias.as_ref(), self.shape.activation, gain, self.clamp)
    }
}

impl Walk for Conv {
    fn walk(&self, path: &str, out: &mut Tensors) {
        put(out, path, "weight", &self.weight);
        if let Some(bias) = &self.bias {
            put(out, path, "bias", bias);
        }
        put(out, path, resample::NAME, &self.filter);
    }
}
