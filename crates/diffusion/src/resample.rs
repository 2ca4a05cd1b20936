//! Halving and doubling of pictures.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Pool, avg_pool2d, upsample_nearest};

use crate::{Result, layers::Conv2d};

/// What a block does to the size of its picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resample {
    /// Nothing.
    Keep,
    /// Each 2 × 2 block becomes its mean.
    Down,
    /// Each pixel becomes a 2 × 2 block.
    Up,
}

impl Resample {
    /// `x: [n, c, h, w]` in its new size.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a side of 1 that is to be halved.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Keep => x.clone(),
            Self::Down => avg_pool2d(x, &Pool::new(2, 2), true)?,
            Self::Up => upsample_nearest(x, 2)?,
        })
    }
}

/// Halves a picture: a convolution of stride 2 (`op`), or the mean of 2 × 2 blocks.
#[derive(Debug, Clone)]
pub struct Downsample {
    op: Option<Conv2d>,
}

impl Downsample {
    /// Reads the block; without `conv` it has no tensors.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, channels: usize, conv: bool) -> Result<Self> {
        let op = || Conv2d::new(&vb.pp("op"), channels, channels, 3, 2);
        Ok(Self {
            op: conv.then(op).transpose()?,
        })
    }

    /// `x: [n, c, h, w]` to `[n, c, h/2, w/2]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.op {
            Some(op) => op.forward(x),
            None => Resample::Down.apply(x),
        }
    }
}

/// Doubles a picture: each pixel becomes a 2 × 2 block, then a convolution (`conv`) if there is one.
#[derive(Debug, Clone)]
pub struct Upsample {
    conv: Option<Conv2d>,
}

impl Upsample {
    /// Reads the block; without `conv` it has no tensors.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, channels: usize, conv: bool) -> Result<Self> {
        let read = || Conv2d::new(&vb.pp("conv"), channels, channels, 3, 1);
        Ok(Self {
            conv: conv.then(read).transpose()?,
        })
    }

    /// `x: [n, c, h, w]` to `[n, c, 2h, 2w]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = Resample::Up.apply(x)?;
        match &self.conv {
            Some(conv) => conv.forward(&x),
            None => Ok(x),
        }
    }
}
