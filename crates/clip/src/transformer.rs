//! The attention blocks that both towers are made of.
//!
//! `x ← x + attention(norm1(x))`, then `x ← x + fc2(act(fc1(norm2(x))))`, for `x: [n, t, w]`.
//! Attention with `h` heads of `d = w / h` channels: `softmax(q kᵀ / √d + mask) v`, each head apart
//! (Vaswani et al. 2017, arXiv 1706.03762). Quick GELU is `x · sigmoid(1.702 x)`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{layer_norm, linear, matmul, softmax};

use crate::config::{Activation, TransformerConfig};
use crate::{Result, frozen};

/// `x Wᵀ + b`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Tensor, // [out, in]
    bias: Tensor,   // [out]
}

impl Linear {
    pub(crate) fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: frozen(vb, (outputs, inputs), "weight")?,
            bias: frozen(vb, outputs, "bias")?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, Some(&self.bias))?)
    }
}

/// Normalisation of the last dimension.
#[derive(Debug, Clone)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(vb: &VarBuilder<'_>, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: frozen(vb, width, "weight")?,
            bias: frozen(vb, width, "bias")?,
            eps,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(
            x,
            Some(&self.weight),
            Some(&self.bias),
            self.eps,
        )?)
    }
}

/// `q: [n, s, w]`, `k, v: [n, t, w]`, `mask: [s, t]` added to the scores. Gives `[n, s, w]`.
pub(crate) fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: Option<&Tensor>,
) -> Result<Tensor> {
    let (n, s, width) = q.dims3()?;
    let split = |x: &Tensor| -> Result<Tensor> {
        let (n, t, width) = x.dims3()?;
        Ok(x.reshape((n, t, heads, width / heads))?
            .transpose(1, 2)?
            .contiguous()?) // [n, h, t, d]
    };
    let scale = ((width / heads) as f64).sqrt().recip();
    let scores = matmul(&split(&(q * scale)?)?, &split(k)?.transpose(2, 3)?)?; // [n, h, s, t]
    let scores = match mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    let mixed = matmul(&softmax(&scores, 3)?, &split(v)?)?; // [n, h, s, d]
    Ok(mixed
        .transpose(1, 2)?
        .contiguous()?
        .reshape((n, s, width))?)
}

#[derive(Debug, Clone)]
struct Block {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    activation: Activation,
}

impl Block {
    fn new(vb: &VarBuilder<'_>, cfg: &TransformerConfig) -> Result<Self> {
        let (width, attention) = (cfg.width, vb.pp("self_attn"));
        let square = |name: &str| Linear::new(&attention.pp(name), width, width);
        Ok(Self {
            norm1: LayerNorm::new(&vb.pp("layer_norm1"), width, cfg.eps)?,
            query: square("q_proj")?,
            key: square("k_proj")?,
            value: square("v_proj")?,
            out: square("out_proj")?,
            norm2: LayerNorm::new(&vb.pp("layer_norm2"), width, cfg.eps)?,
            fc1: Linear::new(&vb.pp("mlp.fc1"), width, cfg.mlp_width)?,
            fc2: Linear::new(&vb.pp("mlp.fc2"), cfg.mlp_width, width)?,
            heads: cfg.heads,
            activation: cfg.activation,
        })
    }

    fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let y = self.norm1.forward(x)?;
        let (q, k, v) = (
            self.query.forward(&y)?,
            self.key.forward(&y)?,
            self.value.forward(&y)?,
        );
        let x = (x + self.out.forward(&attend(&q, &k, &v, self.heads, mask)?)?)?;
        let y = self.fc1.forward(&self.norm2.forward(&x)?)?;
        Ok((&x + self.fc2.forward(&activate(&y, self.activation)?)?)?)
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    const QUICK: f64 = 1.702;
    match activation {
        // silu(a x) / a; candle's silu takes half the time of its pieces.
        Activation::QuickGelu => Ok(((x * QUICK)?.silu()? * QUICK.recip())?),
        Activation::Gelu => Ok(x.gelu_erf()?),
    }
}

/// All blocks of a tower, below `encoder.layers`.
#[derive(Debug, Clone)]
pub(crate) struct Transformer {
    blocks: Vec<Block>,
}

impl Transformer {
    pub(crate) fn new(vb: &VarBuilder<'_>, cfg: &TransformerConfig) -> Result<Self> {
        let vb = vb.pp("encoder.layers");
        Ok(Self {
            blocks: (0..cfg.layers)
                .map(|i| Block::new(&vb.pp(i), cfg))
                .collect::<Result<_>>()?,
        })
    }

    /// `x: [n, t, w]`, `mask: [t, t]` added to the scores.
    pub(crate) fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        self.blocks
            .iter()
            .try_fold(x.clone(), |x, block| block.forward(&x, mask))
    }
}
