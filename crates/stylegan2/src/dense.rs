//! Fully connected layer with equalised learning rate (section 4.1 of arXiv 1710.10196).
//!
//! `y = act(x (gain W)^T + lr b)` with `gain = lr / sqrt(in)`; stored are `weight: [out, in]` and
//! `bias: [out]`. The gains are applied in the forward pass: a scaled copy would go stale once an
//! optimizer writes the variable.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use domex_ops::{Activation, BiasAct, bias_act, linear};

use crate::Result;
use crate::weights::{Tensors, Walk, normal, put};

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Dense {
    weight: Tensor,
    bias: Tensor,
    lr_multiplier: f64,
    activation: Activation,
}

/// What fixes a layer.
#[derive(Debug, Clone, Copy)]
pub struct DenseConfig {
    /// Inputs.
    pub input: usize,
    /// Outputs.
    pub output: usize,
    /// What follows the product.
    pub activation: Activation,
    /// Multiplies weight and bias as they are stored.
    pub lr_multiplier: f64,
    /// What a new bias starts at.
    pub bias_init: f64,
}

impl DenseConfig {
    /// A linear layer at full learning rate.
    pub fn linear(input: usize, output: usize) -> Self {
        Self {
            input,
            output,
            activation: Activation::Linear,
            lr_multiplier: 1.0,
            bias_init: 0.0,
        }
    }

    /// The affine map from a row of the latent to a style: its bias starts at 1.
    pub fn affine(w_dim: usize, features: usize) -> Self {
        Self {
            bias_init: 1.0,
            ..Self::linear(w_dim, features)
        }
    }
}

impl Dense {
    /// Reads the layer from the node that holds `weight`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &DenseConfig) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints(
                (cfg.output, cfg.input),
                "weight",
                normal(cfg.lr_multiplier),
            )?,
            bias: vb.get_with_hints(cfg.output, "bias", Init::Const(cfg.bias_init))?,
            lr_multiplier: cfg.lr_multiplier,
            activation: cfg.activation,
        })
    }

    /// `x: [n, in]` to `[n, out]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let fan_in = self.weight.dim(1)? as f64;
        // A batch of rows is smaller than the weight, and so is its gradient.
        let x = scaled(x, self.lr_multiplier / fan_in.sqrt())?;
        let bias = scaled(&self.bias, self.lr_multiplier)?;
        if matches!(self.activation, Activation::Linear) {
            return Ok(linear(&x, &self.weight, Some(&bias))?);
        }
        let x = linear(&x, &self.weight, None)?;
        Ok(bias_act(&x, Some(&bias), &BiasAct::new(self.activation))?)
    }

    /// The weight as stored: `[out, in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.weight.dims()[0]
    }
}

impl Walk for Dense {
    fn walk(&self, path: &str, out: &mut Tensors) {
        put(out, path, "weight", &self.weight);
        put(out, path, "bias", &self.bias);
    }
}

/// `x * factor`, and `x` itself when the factor is 1.
pub(crate) fn scaled(x: &Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 {
        return Ok(x.clone());
    }
    Ok((x * factor)?)
}
