//! The modified ResNet: pixels to features.
//!
//! Against He et al. 2016 it has a stem of three convolutions, averages before every convolution
//! that would have a stride (which removes aliases), and pools with attention whose query is the mean
//! of the last feature map (Radford et al. 2021, arXiv 2103.00020, section 2.4).
//! Keys: `visual.…` of openai/CLIP `clip/model.py`.
//!
//! Batch normalisation uses the stored statistics, so it is a factor and a shift for each channel, and
//! goes into the convolution before it: `w ← w γ/√(σ² + ε)`, `b = β − μ γ/√(σ² + ε)`.

use candle_core::Tensor;
use domex_ops::{Activation, BiasAct, Mask, Pool, Weight, attention, avg_pool2d, bias_act};

use crate::config::ResNetConfig;
use crate::transformer::Linear;
use crate::weights::Weights;
use crate::{Error, Result};

/// ε of batch normalisation.
const EPS: f64 = 1e-5;

/// Channels of a block grow by this factor in its last convolution.
const EXPANSION: usize = 4;

/// A convolution with its batch normalisation.
#[derive(Debug, Clone)]
struct Conv {
    weight: Weight,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl Conv {
    /// `conv` and `norm` are the keys of the two; `shape` is `[out, in, kernel]`.
    fn new(
        vb: &Weights<'_>,
        [conv, norm]: [&str; 2],
        shape: [usize; 3],
        stride: usize,
    ) -> Result<Self> {
        let [out, input, kernel] = shape;
        let weight = vb.pp(conv).get((out, input, kernel, kernel), "weight")?;
        let norm = vb.pp(norm);
        let fold = vb.derived();
        let read = |name: &str| -> Result<Tensor> { Ok(norm.get(out, name)?.to_dtype(fold)?) };
        let factor = read("weight")?.div(&(read("running_var")? + EPS)?.sqrt()?)?;
        let bias = read("bias")?.sub(&read("running_mean")?.mul(&factor)?)?;
        let scaled = weight
            .to_dtype(fold)?
            .broadcast_mul(&factor.reshape((out, 1, 1, 1))?)?;
        let dtype = weight.dtype();
        Ok(Self {
            weight: Weight::new(scaled.to_dtype(dtype)?),
            bias: bias.to_dtype(dtype)?,
            stride,
            padding: kernel / 2,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self
            .weight
            .conv2d(x, Some(&self.bias), self.stride, self.padding)?)
    }

    fn relu(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self
            .weight
            .conv2d_relu(x, Some(&self.bias), self.stride, self.padding)?)
    }
}

/// `max(x, 0)` in one pass, and one pass back.
fn relu(x: &Tensor) -> Result<Tensor> {
    let relu = BiasAct {
        gain: Some(1.0),
        ..BiasAct::new(Activation::Relu)
    };
    Ok(bias_act(x, None, &relu)?)
}

/// The mean of each square of `side` pixels.
fn average(x: &Tensor, side: usize) -> Result<Tensor> {
    match side {
        1 => Ok(x.clone()),
        _ => Ok(avg_pool2d(x, &Pool::new(side, side), true)?),
    }
}

#[derive(Debug, Clone)]
struct Bottleneck {
    narrow: Conv,
    middle: Conv,
    widen: Conv,
    shortcut: Option<Conv>,
    stride: usize,
}

impl Bottleneck {
    fn new(vb: &Weights<'_>, input: usize, planes: usize, stride: usize) -> Result<Self> {
        let out = EXPANSION * planes;
        let shortcut = match stride > 1 || input != out {
            true => Some(Conv::new(
                &vb.pp("downsample"),
                ["0", "1"],
                [out, input, 1],
                1,
            )?),
            false => None,
        };
        Ok(Self {
            narrow: Conv::new(vb, ["conv1", "bn1"], [planes, input, 1], 1)?,
            middle: Conv::new(vb, ["conv2", "bn2"], [planes, planes, 3], 1)?,
            widen: Conv::new(vb, ["conv3", "bn3"], [out, planes, 1], 1)?,
            shortcut,
            stride,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.middle.relu(&self.narrow.relu(x)?)?;
        let y = self.widen.forward(&average(&y, self.stride)?)?;
        let x = match &self.shortcut {
            Some(conv) => conv.forward(&average(x, self.stride)?)?,
            None => x.clone(),
        };
        relu(&(x + y)?)
    }
}

/// Attention over all pixels; the query is their mean.
#[derive(Debug, Clone)]
struct AttentionPool {
    positions: Tensor, // [1, 1 + g², c]
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
}

impl AttentionPool {
    fn new(vb: &Weights<'_>, cfg: &ResNetConfig, embed_dim: usize) -> Result<Self> {
        let (channels, grid) = (32 * cfg.width, cfg.image_size / 32);
        let square = |name: &str| Linear::new(&vb.pp(name), channels, channels);
        Ok(Self {
            positions: vb
                .get((1 + grid * grid, channels), "positional_embedding")?
                .unsqueeze(0)?,
            query: square("q_proj")?,
            key: square("k_proj")?,
            value: square("v_proj")?,
            out: Linear::new(&vb.pp("c_proj"), channels, embed_dim)?,
            heads: cfg.heads,
        })
    }

    /// `x: [n, c, g, g]` to `[n, d]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let pixels = x.flatten_from(2)?.transpose(1, 2)?; // [n, g², c]
        let x =
            Tensor::cat(&[&pixels.mean_keepdim(1)?, &pixels], 1)?.broadcast_add(&self.positions)?;
        let query = self.query.forward(&x.narrow(1, 0, 1)?.contiguous()?)?;
        let pooled = attention(
            &query,
            &self.key.forward(&x)?,
            &self.value.forward(&x)?,
            self.heads,
            Mask::None,
        )?;
        Ok(self.out.forward(&pooled)?.squeeze(1)?)
    }
}

/// A modified ResNet.
#[derive(Debug, Clone)]
pub struct ModifiedResNet {
    stem: [Conv; 3],
    blocks: Vec<Bottleneck>,
    pool: AttentionPool,
    image_size: usize,
}

impl ModifiedResNet {
    pub(crate) fn new(vb: &Weights<'_>, cfg: &ResNetConfig, embed_dim: usize) -> Result<Self> {
        let (vb, width) = (vb.pp("visual"), cfg.width);
        let stem = [
            Conv::new(&vb, ["conv1", "bn1"], [width / 2, 3, 3], 2)?,
            Conv::new(&vb, ["conv2", "bn2"], [width / 2, width / 2, 3], 1)?,
            Conv::new(&vb, ["conv3", "bn3"], [width, width / 2, 3], 1)?,
        ];
        let mut blocks = Vec::new();
        let mut input = width;
        for (stage, &count) in cfg.layers.iter().enumerate() {
            let planes = width << stage;
            let vb = vb.pp(format!("layer{}", stage + 1));
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                blocks.push(Bottleneck::new(&vb.pp(block), input, planes, stride)?);
                input = EXPANSION * planes;
            }
        }
        let pool = AttentionPool::new(&vb.pp("attnpool"), cfg, embed_dim)?;
        Ok(Self {
            stem,
            blocks,
            pool,
            image_size: cfg.image_size,
        })
    }

    /// Features `[n, d]` of `pixels: [n, 3, image_size, image_size]`.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let size = self.image_size;
        match *pixels.dims() {
            [_, 3, h, w] if h == size && w == size => {}
            _ => {
                return Err(Error::shape(
                    "pixels",
                    pixels.dims(),
                    format!("[n, 3, {size}, {size}]"),
                ));
            }
        }
        let x = self
            .stem
            .iter()
            .try_fold(pixels.clone(), |x, conv| conv.relu(&x))?;
        let x = self
            .blocks
            .iter()
            .try_fold(average(&x, 2)?, |x, block| block.forward(&x))?;
        self.pool.forward(&x)
    }
}
