//! Residual blocks that halve a picture (He et al. 2016, arXiv 1603.05027: norm and activation before each convolution), as small
//! networks on pictures are made of.
//!
//! `y = skip(mean₂(x)) + conv₂(a(norm₂(conv₁(a(norm₁(x))))))` with `conv₁` of stride 2, means of 2 × 2 pixels on the way past, a 1 × 1
//! `skip`, and leaky rectifiers `a`.
//!
//! Tensors: `stem.{weight,bias}`, `block{i}.{norm1,conv1,norm2,conv2}.{weight,bias}`, `block{i}.skip.weight`, with `i` from 1.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_residual::Blocks;
//!
//! let blocks = Blocks::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), &[8, 16, 32])?;
//! let maps = blocks.forward(&Tensor::zeros((1, 3, 32, 32), DType::F32, &Device::Cpu)?)?;
//! assert_eq!(maps[2].dims(), [1, 32, 4, 4]);
//! # Ok::<(), domex_ops::Error>(())
//! ```

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Activation, BiasAct, Pool, Result, avg_pool2d, bias_act, conv2d, group_norm};

/// Channels of a norm's group.
const GROUP: usize = 16;

/// A convolution of 3 × 3.
#[derive(Debug, Clone)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
}

/// Group norm, and the activation behind it.
#[derive(Debug, Clone)]
pub struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Conv {
    fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, 3, 3), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    fn forward(&self, x: &Tensor, stride: usize) -> Result<Tensor> {
        conv2d(x, &self.weight, Some(&self.bias), stride, 1)
    }
}

impl Norm {
    /// Reads `weight` and `bias` `[channels]`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, channels: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get(channels, "weight")?,
            bias: vb.get(channels, "bias")?,
        })
    }

    /// `x: [n, channels, h, w]`, normalized in groups of 16 channels (all at once where that does not divide them) and activated.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let channels = x.dim(1)?;
        let groups = match channels.is_multiple_of(GROUP) {
            true => channels / GROUP,
            false => 1,
        };
        let x = group_norm(x, groups, Some(&self.weight), Some(&self.bias), 1e-5)?;
        bias_act(&x, None, &BiasAct::new(Activation::Lrelu))
    }
}

#[derive(Debug, Clone)]
struct Block {
    norms: [Norm; 2],
    convs: [Conv; 2],
    skip: Tensor,
}

impl Block {
    fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            norms: [
                Norm::new(&vb.pp("norm1"), inputs)?,
                Norm::new(&vb.pp("norm2"), outputs)?,
            ],
            convs: [
                Conv::new(&vb.pp("conv1"), inputs, outputs)?,
                Conv::new(&vb.pp("conv2"), outputs, outputs)?,
            ],
            skip: vb.get((outputs, inputs, 1, 1), "skip.weight")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.convs[0].forward(&self.norms[0].forward(x)?, 2)?;
        let h = self.convs[1].forward(&self.norms[1].forward(&h)?, 1)?;
        let past = avg_pool2d(x, &Pool::new(2, 2), true)?;
        Ok((conv2d(&past, &self.skip, None, 1, 0)? + h)?)
    }
}

/// A first convolution, and blocks. See the [crate's docs](crate).
#[derive(Debug, Clone)]
pub struct Blocks {
    stem: Conv,
    blocks: Vec<Block>,
}

impl Blocks {
    /// Reads `stem` and a block for each further width; `widths` are the channels of the maps, one at least.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, widths: &[usize]) -> Result<Self> {
        let block = |(i, pair): (usize, &[usize])| {
            Block::new(&vb.pp(format!("block{}", i + 1)), pair[0], pair[1])
        };
        let first = widths.first().copied().unwrap_or_default();
        Ok(Self {
            stem: Conv::new(&vb.pp("stem"), 3, first)?,
            blocks: widths
                .windows(2)
                .enumerate()
                .map(block)
                .collect::<Result<_>>()?,
        })
    }

    /// Pictures `[n, 3, h, w]` to the map after the first convolution, which halves them, and after each block.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let mut maps = vec![self.stem.forward(pictures, 2)?];
        for block in &self.blocks {
            maps.push(block.forward(&maps[maps.len() - 1])?);
        }
        Ok(maps)
    }
}
