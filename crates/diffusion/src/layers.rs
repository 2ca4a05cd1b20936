//! The layers that the blocks are made of, under their published keys.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Activation, BiasAct, bias_act, conv2d, group_norm, group_norm_silu, linear};

use crate::{Error, Result};

/// `x · σ(x)` of a tensor of any shape.
///
/// # Errors
///
/// An empty tensor, or one of integers.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    let how = BiasAct {
        gain: Some(1.0),
        ..BiasAct::new(Activation::Swish)
    };
    Ok(bias_act(x, None, &how)?)
}

/// A convolution with bias and a square kernel, padded so that stride 1 keeps the size: `weight: [out, in, k, k]`, `bias: [out]`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
}

impl Conv2d {
    /// Reads the layer with kernels of `kernel × kernel`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(
        vb: &VarBuilder<'_>,
        channels: usize,
        out_channels: usize,
        kernel: usize,
        stride: usize,
    ) -> Result<Self> {
        Ok(Self {
            weight: vb.get((out_channels, channels, kernel, kernel), "weight")?,
            bias: vb.get(out_channels, "bias")?,
            stride,
        })
    }

    /// `x: [n, in, h, w]` to `[n, out, ⌈h/stride⌉, ⌈w/stride⌉]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let padding = self.weight.dim(2)? / 2;
        Ok(conv2d(
            x,
            &self.weight,
            Some(&self.bias),
            self.stride,
            padding,
        )?)
    }
}

/// A fully connected layer with bias: `weight: [out, in]`, `bias: [out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Reads the layer.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    /// A layer of one-dimensional convolutions of width 1, `weight: [out, in, 1]`, which act on each place alone.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn pointwise(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, 1), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    /// `weight` as stored.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// `x: [.., in]` to `[.., out]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // A view: an optimizer's writes are followed.
        let weight = match self.weight.rank() {
            2 => self.weight.clone(),
            _ => self.weight.flatten_from(1)?,
        };
        Ok(linear(x, &weight, Some(&self.bias))?)
    }
}

/// Group norm of at most 32 groups with ε = 1e-5: `weight: [c]`, `bias: [c]`.
#[derive(Debug, Clone)]
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
}

const EPS: f64 = 1e-5;

impl GroupNorm {
    /// Groups of a norm of that many channels.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for more than 32 channels that are no multiple of 32.
    pub fn groups(channels: usize) -> Result<usize> {
        let groups = channels.min(32);
        if groups == 0 || !channels.is_multiple_of(groups) {
            let expected = "1 to 32 or a multiple of 32, for the 32 groups of the norms";
            return Err(Error::setting("channels", channels, expected));
        }
        Ok(groups)
    }

    /// Reads the layer.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape; those of [`groups`](Self::groups).
    pub fn new(vb: &VarBuilder<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            groups: Self::groups(channels)?,
            weight: vb.get(channels, "weight")?,
            bias: vb.get(channels, "bias")?,
        })
    }

    /// The norm of `x: [n, c, ..]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(group_norm(x, self.groups, weight, bias, EPS)?)
    }

    /// SiLU of the norm of `x: [n, c, ..]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn silu(&self, x: &Tensor) -> Result<Tensor> {
        let [scale, shift] = self.affine(x.dim(0)?)?;
        Ok(group_norm_silu(x, self.groups, &scale, &shift, EPS)?)
    }

    /// SiLU of `(norm(x) · (1 + a) + b) · (1 + c)` with `a, b, c: [n, c]`; `c` may be absent.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn conditioned_silu(
        &self,
        x: &Tensor,
        [a, b]: [&Tensor; 2],
        c: Option<&Tensor>,
    ) -> Result<Tensor> {
        // On [n, c] numbers, all of it: the picture is passed once.
        let [scale, shift] = self.affine(x.dim(0)?)?;
        let a = (a + 1.0)?;
        let (mut scale, mut shift) = ((scale * &a)?, ((shift * a)? + b)?);
        if let Some(c) = c {
            let c = (c + 1.0)?;
            scale = (scale * &c)?;
            shift = (shift * c)?;
        }
        Ok(group_norm_silu(x, self.groups, &scale, &shift, EPS)?)
    }

    /// Weight and bias for each of `n` samples.
    fn affine(&self, n: usize) -> Result<[Tensor; 2]> {
        let spread = |t: &Tensor| t.broadcast_as((n, t.elem_count()))?.contiguous();
        Ok([spread(&self.weight)?, spread(&self.bias)?])
    }
}
