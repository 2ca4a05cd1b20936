//! Residual blocks that halve the picture (He et al. 2016, arXiv 1603.05027: norm and activation before each convolution).
//!
//! `y = skip(mean₂(x)) + conv₂(a(norm₂(conv₁(a(norm₁(x))))))` with `conv₁` of stride 2, a 1 × 1 `skip`, leaky rectifiers `a`; the last
//! map is activated once more.
//!
//! Tensors: `stem.{weight,bias}`, `block{i}.{norm1,conv1,norm2,conv2}.{weight,bias}`, `block{i}.skip.weight`, `norm.{weight,bias}`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Activation, BiasAct, Pool, avg_pool2d, bias_act, conv2d, group_norm};

use crate::Result;

/// Channels of a norm's group.
const GROUP: usize = 16;

/// A convolution or a norm.
#[derive(Debug, Clone)]
struct Layer {
    weight: Tensor,
    bias: Tensor,
}

impl Layer {
    fn conv(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, 3, 3), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    fn norm(vb: &VarBuilder<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get(channels, "weight")?,
            bias: vb.get(channels, "bias")?,
        })
    }

    fn convolve(&self, x: &Tensor, stride: usize) -> Result<Tensor> {
        Ok(conv2d(x, &self.weight, Some(&self.bias), stride, 1)?)
    }

    /// The norm, and the activation behind it.
    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        let channels = x.dim(1)?;
        let groups = match channels.is_multiple_of(GROUP) {
            true => channels / GROUP,
            false => 1,
        };
        let x = group_norm(x, groups, Some(&self.weight), Some(&self.bias), 1e-5)?;
        Ok(bias_act(&x, None, &BiasAct::new(Activation::Lrelu))?)
    }
}

#[derive(Debug, Clone)]
struct Block {
    norms: [Layer; 2],
    convs: [Layer; 2],
    skip: Tensor,
}

impl Block {
    fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            norms: [
                Layer::norm(&vb.pp("norm1"), inputs)?,
                Layer::norm(&vb.pp("norm2"), outputs)?,
            ],
            convs: [
                Layer::conv(&vb.pp("conv1"), inputs, outputs)?,
                Layer::conv(&vb.pp("conv2"), outputs, outputs)?,
            ],
            skip: vb.get((outputs, inputs, 1, 1), "skip.weight")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.convs[0].convolve(&self.norms[0].activate(x)?, 2)?;
        let h = self.convs[1].convolve(&self.norms[1].activate(&h)?, 1)?;
        let past = avg_pool2d(x, &Pool::new(2, 2), true)?;
        Ok((conv2d(&past, &self.skip, None, 1, 0)? + h)?)
    }
}

/// See the top of this module.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    stem: Layer,
    blocks: Vec<Block>,
    norm: Layer,
}

impl Blocks {
    pub fn new(vb: &VarBuilder<'_>, widths: &[usize; 4]) -> Result<Self> {
        let block = |i: usize| Block::new(&vb.pp(format!("block{i}")), widths[i - 1], widths[i]);
        Ok(Self {
            stem: Layer::conv(&vb.pp("stem"), 3, widths[0])?,
            blocks: (1..widths.len()).map(block).collect::<Result<_>>()?,
            norm: Layer::norm(&vb.pp("norm"), widths[3])?,
        })
    }

    /// `[n, 3, size, size]` to `[n, channels, size / 16, size / 16]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.stem.convolve(x, 2)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        self.norm.activate(&x)
    }
}
