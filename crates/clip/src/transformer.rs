//! The attention blocks that both encoders are made of, and other transformers that can be brought to their names.
//!
//! `x ← x + attention(norm1(x))`, then `x ← x + fc2(act(fc1(norm2(x))))`, for `x: [n, t, w]`.
//! Attention with `h` heads of `d = w / h` channels: `softmax(q kᵀ / √d + mask) v`, each head apart
//! (Vaswani et al. 2017, arXiv 1706.03762). Quick GELU is `x · sigmoid(1.702 x)`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Gelu, Mask, Weight, attention, gelu, layer_norm};

use crate::Result;
use crate::config::{Activation, TransformerConfig};
use crate::weights::Weights;

/// `x Wᵀ + b`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Weight, // [out, in]
    bias: Tensor,   // [out]
}

impl Linear {
    pub(crate) fn new(vb: &Weights<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: Weight::new(vb.get((outputs, inputs), "weight")?),
            bias: vb.get(outputs, "bias")?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.weight.linear(x, Some(&self.bias))?)
    }

    pub(crate) fn weights(&self) -> [&Tensor; 2] {
        [self.weight.tensor(), &self.bias]
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
    pub(crate) fn new(vb: &Weights<'_>, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: vb.get(width, "weight")?,
            bias: vb.get(width, "bias")?,
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

    pub(crate) fn weights(&self) -> [&Tensor; 2] {
        [&self.weight, &self.bias]
    }
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
    fn new(vb: &Weights<'_>, cfg: &TransformerConfig) -> Result<Self> {
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

    fn forward(&self, x: &Tensor, mask: Mask) -> Result<Tensor> {
        self.rest(x, &self.attend(x, mask)?)
    }

    /// What each token gathers from those it sees.
    fn attend(&self, x: &Tensor, mask: Mask) -> Result<Tensor> {
        let y = self.norm1.forward(x)?;
        let (q, k, v) = (
            self.query.forward(&y)?,
            self.key.forward(&y)?,
            self.value.forward(&y)?,
        );
        Ok(attention(&q, &k, &v, self.heads, mask)?)
    }

    /// What follows attention, token by token.
    fn rest(&self, x: &Tensor, gathered: &Tensor) -> Result<Tensor> {
        let x = (x + self.out.forward(gathered)?)?;
        let y = self.fc1.forward(&self.norm2.forward(&x)?)?;
        Ok((&x + self.fc2.forward(&activate(&y, self.activation)?)?)?)
    }

    fn weights(&self) -> impl Iterator<Item = &Tensor> {
        let norms = [&self.norm1, &self.norm2].map(LayerNorm::weights);
        let layers = [
            &self.query,
            &self.key,
            &self.value,
            &self.out,
            &self.fc1,
            &self.fc2,
        ];
        norms
            .into_iter()
            .chain(layers.map(Linear::weights))
            .flatten()
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let form = match activation {
        Activation::QuickGelu => Gelu::Quick,
        Activation::Gelu => Gelu::Exact,
    };
    Ok(gelu(x, form)?)
}

/// All blocks of an encoder, below `encoder.layers`.
#[derive(Debug, Clone)]
pub struct Transformer {
    blocks: Vec<Block>,
}

impl Transformer {
    /// Reads the blocks, which pass no gradient on to their weights, from the node that holds `encoder.layers`:
    /// `{i}.layer_norm1`, `{i}.self_attn.{q,k,v,out}_proj`, `{i}.layer_norm2`, `{i}.mlp.fc1` and `{i}.mlp.fc2`, weights and biases.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its full name.
    pub fn frozen(vb: &VarBuilder<'_>, cfg: &TransformerConfig) -> Result<Self> {
        Self::new(&Weights::frozen(vb), cfg)
    }

    pub(crate) fn new(vb: &Weights<'_>, cfg: &TransformerConfig) -> Result<Self> {
        let vb = vb.pp("encoder.layers");
        Ok(Self {
            blocks: (0..cfg.layers)
                .map(|i| Block::new(&vb.pp(i), cfg))
                .collect::<Result<_>>()?,
        })
    }

    /// All weights, in a fixed order.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Tensor> {
        self.blocks.iter().flat_map(Block::weights)
    }

    /// `x: [n, t, w]`.
    pub(crate) fn forward(&self, x: &Tensor, mask: Mask) -> Result<Tensor> {
        self.blocks
            .iter()
            .try_fold(x.clone(), |x, block| block.forward(&x, mask))
    }

    /// Some tokens `[k, w]` of the result for `x: [n, t, w]`, by their places among all `n · t`: of the last block only what
    /// they need is computed.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a place that is not there.
    pub fn forward_some(&self, x: &Tensor, mask: Mask, places: &Tensor) -> Result<Tensor> {
        let some = |x: &Tensor| x.flatten(0, 1)?.index_select(places, 0);
        let Some((last, blocks)) = self.blocks.split_last() else {
            return Ok(some(x)?);
        };
        let mut x = x.clone();
        for block in blocks {
            x = block.forward(&x, mask)?;
        }
        last.rest(&some(&x)?, &some(&last.attend(&x, mask)?)?)
    }
}
