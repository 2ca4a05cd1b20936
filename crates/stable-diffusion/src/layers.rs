//! The layers that U-Net and autoencoder share, under the keys of diffusers.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::layers::silu;
use domex_ops::{Mask, attention, conv2d, group_norm, group_norm_silu, linear};

use crate::Result;

/// A convolution with bias.
#[derive(Debug, Clone)]
pub(crate) struct Conv {
    weight: Tensor, // [out, in, k, k]
    bias: Tensor,   // [out]
    stride: usize,
    padding: usize,
}

impl Conv {
    /// With a kernel that keeps the size.
    pub fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize, kernel: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, kernel, kernel), "weight")?,
            bias: vb.get(outputs, "bias")?,
            stride: 1,
            padding: kernel / 2,
        })
    }

    /// With a kernel of 3 that halves the size, of a picture that is padded on all sides or by who calls.
    pub fn halving(vb: &VarBuilder<'_>, channels: usize, padding: usize) -> Result<Self> {
        Ok(Self {
            stride: 2,
            padding,
            ..Self::new(vb, channels, channels, 3)?
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let bias = Some(&self.bias);
        Ok(conv2d(x, &self.weight, bias, self.stride, self.padding)?)
    }
}

/// A fully connected layer.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Tensor, // [out, in]
    bias: Option<Tensor>,
}

impl Linear {
    pub fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            bias: Some(vb.get(outputs, "bias")?),
            ..Self::without_bias(vb, inputs, outputs)?
        })
    }

    pub fn without_bias(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs), "weight")?,
            bias: None,
        })
    }

    /// One that is stored as a convolution of width 1.
    pub fn of_conv(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = vb.get((outputs, inputs, 1, 1), "weight")?;
        Ok(Self {
            weight: weight.flatten_from(1)?,
            bias: Some(vb.get(outputs, "bias")?),
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, self.bias.as_ref())?)
    }
}

/// Group norm.
#[derive(Debug, Clone)]
pub(crate) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

impl GroupNorm {
    pub fn new(vb: &VarBuilder<'_>, channels: usize, groups: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: vb.get(channels, "weight")?,
            bias: vb.get(channels, "bias")?,
            groups,
            eps,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(group_norm(x, self.groups, weight, bias, self.eps)?)
    }

    /// SiLU of the norm.
    pub fn silu(&self, x: &Tensor) -> Result<Tensor> {
        let n = x.dim(0)?;
        let spread = |t: &Tensor| t.broadcast_as((n, t.elem_count()))?.contiguous();
        let (scale, shift) = (spread(&self.weight)?, spread(&self.bias)?);
        Ok(group_norm_silu(x, self.groups, &scale, &shift, self.eps)?)
    }
}

/// `skip(x) + conv2(SiLU(norm2(conv1(SiLU(norm1(x))) + proj(SiLU(t)))))`, with the time `t` or without.
#[derive(Debug, Clone)]
pub(crate) struct ResBlock {
    norms: [GroupNorm; 2],
    convs: [Conv; 2],
    time: Option<Linear>,
    skip: Option<Conv>,
}

/// What fixes the norms of residual blocks, and how wide a time embedding is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResBlockConfig {
    pub groups: usize,
    pub eps: f64,
    pub time: Option<usize>,
}

impl ResBlock {
    pub fn new(
        vb: &VarBuilder<'_>,
        inputs: usize,
        outputs: usize,
        cfg: ResBlockConfig,
    ) -> Result<Self> {
        let norm = |name, channels| GroupNorm::new(&vb.pp(name), channels, cfg.groups, cfg.eps);
        let conv = |name, channels| Conv::new(&vb.pp(name), channels, outputs, 3);
        let time = cfg.time;
        let time = time.map(|width| Linear::new(&vb.pp("time_emb_proj"), width, outputs));
        let skip = (inputs != outputs)
            .then(|| Conv::new(&vb.pp("conv_shortcut"), inputs, outputs, 1))
            .transpose()?;
        Ok(Self {
            norms: [norm("norm1", inputs)?, norm("norm2", outputs)?],
            convs: [conv("conv1", inputs)?, conv("conv2", outputs)?],
            time: time.transpose()?,
            skip,
        })
    }

    /// `time: [n, w]` is SiLU of the time embedding.
    pub fn forward(&self, x: &Tensor, time: Option<&Tensor>) -> Result<Tensor> {
        let mut h = self.convs[0].forward(&self.norms[0].silu(x)?)?;
        if let (Some(layer), Some(time)) = (&self.time, time) {
            let shift = layer.forward(time)?;
            h = h.broadcast_add(&shift.unsqueeze(2)?.unsqueeze(3)?)?;
        }
        let h = self.convs[1].forward(&self.norms[1].silu(&h)?)?;
        let x = match &self.skip {
            Some(skip) => skip.forward(x)?,
            None => x.clone(),
        };
        Ok((x + h)?)
    }
}

/// Attention of tokens `[n, s, w]` to others `[n, t, v]` or to themselves: `to_out(attention(to_q, to_k, to_v))`.
#[derive(Debug, Clone)]
pub(crate) struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl Attention {
    /// Without biases but at the end; `inputs` is the width of what is looked at.
    pub fn new(vb: &VarBuilder<'_>, width: usize, inputs: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            query: Linear::without_bias(&vb.pp("to_q"), width, width)?,
            key: Linear::without_bias(&vb.pp("to_k"), inputs, width)?,
            value: Linear::without_bias(&vb.pp("to_v"), inputs, width)?,
            out: Linear::new(&vb.pp("to_out.0"), width, width)?,
            heads,
        })
    }

    /// With biases and one head.
    pub fn with_biases(vb: &VarBuilder<'_>, width: usize) -> Result<Self> {
        let layer = |name| Linear::new(&vb.pp(name), width, width);
        Ok(Self {
            query: layer("to_q")?,
            key: layer("to_k")?,
            value: layer("to_v")?,
            out: layer("to_out.0")?,
            heads: 1,
        })
    }

    pub fn forward(&self, x: &Tensor, seen: &Tensor) -> Result<Tensor> {
        let (q, k, v) = (
            self.query.forward(x)?,
            self.key.forward(seen)?,
            self.value.forward(seen)?,
        );
        self.out
            .forward(&attention(&q, &k, &v, self.heads, Mask::None)?)
    }
}

/// `[n, c, h, w]` as tokens `[n, h·w, c]`.
pub(crate) fn to_tokens(x: &Tensor) -> Result<Tensor> {
    Ok(x.flatten_from(2)?.transpose(1, 2)?.contiguous()?)
}

/// The way back, to the shape of `like: [n, c, h, w]`.
pub(crate) fn to_picture(tokens: &Tensor, like: &Tensor) -> Result<Tensor> {
    Ok(tokens
        .transpose(1, 2)?
        .contiguous()?
        .reshape(like.shape())?)
}

/// SiLU of a time embedding `[n, w]` made of waves `[n, c]`: what residual blocks take.
#[derive(Debug, Clone)]
pub(crate) struct TimeEmbedding([Linear; 2]);

impl TimeEmbedding {
    pub fn new(vb: &VarBuilder<'_>, waves: usize, width: usize) -> Result<Self> {
        Ok(Self([
            Linear::new(&vb.pp("linear_1"), waves, width)?,
            Linear::new(&vb.pp("linear_2"), width, width)?,
        ]))
    }

    pub fn forward(&self, waves: &Tensor) -> Result<Tensor> {
        let inner = silu(&self.0[0].forward(waves)?)?;
        Ok(silu(&self.0[1].forward(&inner)?)?)
    }
}
