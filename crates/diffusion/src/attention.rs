//! Attention of all places of a picture to all others.
//!
//! `y = x + proj(attention(q, k, v))` with `q, k, v` from `qkv(norm(x))`, softmax over the keys and the scale `1/√d` of heads of
//! `d` channels. Tensors: `norm`, `qkv` (`[3c, c, 1]`), `proj_out` (`[c, c, 1]`).

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Mask, attention};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    layers::{GroupNorm, Linear},
};

/// How queries, keys and values lie among the channels of `qkv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadOrder {
    /// Head by head, and in each its queries, keys and values: the published networks.
    #[default]
    HeadsFirst,
    /// All queries, all keys, all values, and in each head by head (`use_new_attention_order`).
    KindsFirst,
}

/// Attention over the places of a picture: `y = x + proj(attention(qkv(norm(x))))`, with softmax over the keys and the scale `1/√d`
/// of heads of `d` channels.
#[derive(Debug, Clone)]
pub struct AttentionBlock {
    norm: GroupNorm,
    qkv: Linear,
    proj_out: Linear,
    heads: usize,
    order: HeadOrder,
}

impl AttentionBlock {
    /// Reads the block from the node that holds `qkv`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape; a number of heads that does not divide the channels.
    pub fn new(
        vb: &VarBuilder<'_>,
        channels: usize,
        heads: usize,
        order: HeadOrder,
    ) -> Result<Self> {
        if heads == 0 || !channels.is_multiple_of(heads) {
            let expected = format!("a divisor of the {channels} channels");
            return Err(Error::setting("attention heads", heads, expected));
        }
        Ok(Self {
            norm: GroupNorm::new(&vb.pp("norm"), channels)?,
            qkv: Linear::pointwise(&vb.pp("qkv"), channels, 3 * channels)?,
            proj_out: Linear::pointwise(&vb.pp("proj_out"), channels, channels)?,
            heads,
            order,
        })
    }

    /// `x: [n, c, h, w]` to the same shape.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, c, h, w) = x.dims4()?;
        let places = self.norm.forward(x)?.reshape((n, c, h * w))?;
        let qkv = self.qkv.forward(&places.transpose(1, 2)?.contiguous()?)?;
        let depth = c / self.heads;
        let part = |i: usize| -> Result<Tensor> {
            let picked = match self.order {
                HeadOrder::HeadsFirst => qkv
                    .reshape((n, h * w, self.heads, 3, depth))?
                    .narrow(3, i, 1)?,
                HeadOrder::KindsFirst => qkv.narrow(2, i * c, c)?,
            };
            Ok(picked.contiguous()?.reshape((n, h * w, c))?)
        };
        let y = attention(&part(0)?, &part(1)?, &part(2)?, self.heads, Mask::None)?;
        let y = self.proj_out.forward(&y)?.transpose(1, 2)?;
        Ok((x + y.contiguous()?.reshape((n, c, h, w))?)?)
    }
}
