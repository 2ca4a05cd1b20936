//! Likeness of two pictures by the features and the styles of a VGG network.
//!
//! With blocks of layers at torchvision's positions, `F_b` the features after block `b` and `G = F Fᵀ` over positions, without
//! any division: `Σ_b mean |F_b(x) − F_b(y)|` over the feature blocks, `Σ_b mean |G_b(x) − G_b(y)|` over the style blocks.
//! Pictures in `[-1, 1]` are normalised by ImageNet's mean and deviation as they are.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_ops::{Pool, Resize, conv2d, matmul, max_pool2d, resize};
use serde::{Deserialize, Serialize};

use crate::layout::Tensors;
use crate::{Error, Result};

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// What fixes the loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VggConfig {
    /// Channels of each 3×3 convolution, which a ReLU follows; `None` for a 2×2 maximum pooling.
    pub layers: Vec<Option<usize>>,
    /// Where blocks begin and the last one ends, counted in convolutions, ReLUs and poolings.
    pub positions: Vec<usize>,
    /// Blocks whose features are compared.
    pub feature_blocks: Vec<usize>,
    /// Blocks whose styles are compared.
    pub style_blocks: Vec<usize>,
    /// Size to which pictures are brought, bilinear, if any.
    pub size: Option<[usize; 2]>,
}

impl VggConfig {
    /// VGG-16 up to its tenth convolution, in the four published blocks.
    #[must_use]
    pub fn vgg16() -> Self {
        let pool = None;
        let layers = [Some(64), Some(64), pool, Some(128), Some(128), pool]
            .into_iter()
            .chain([
                Some(256),
                Some(256),
                Some(256),
                pool,
                Some(512),
                Some(512),
                Some(512),
            ]);
        Self {
            layers: layers.collect(),
            positions: vec![0, 4, 9, 16, 23],
            feature_blocks: vec![0, 1, 2, 3],
            style_blocks: Vec::new(),
            size: Some([224, 224]),
        }
    }
}

#[derive(Debug, Clone)]
enum Layer {
    Conv(Tensor, Tensor),
    Relu,
    Pool,
}

/// See the top of this module. Frozen: gradients reach pictures only.
#[derive(Debug, Clone)]
pub struct VggLoss {
    blocks: Vec<Vec<Layer>>,
    config: VggConfig,
}

impl VggLoss {
    /// Reads the network from the node that holds `features`.
    ///
    /// # Errors
    ///
    /// Blocks that are not there, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &VggConfig) -> Result<Self> {
        let vb = vb.pp("features");
        let (mut layers, mut channels) = (Vec::new(), 3);
        for layer in &cfg.layers {
            match *layer {
                None => layers.push(Layer::Pool),
                Some(outputs) => {
                    let vb = vb.pp(layers.len());
                    let weight = vb.get((outputs, channels, 3, 3), "weight")?;
                    let bias = vb.get(outputs, "bias")?.detach();
                    layers.push(Layer::Conv(weight.detach(), bias));
                    layers.push(Layer::Relu);
                    channels = outputs;
                }
            }
        }
        let rising = cfg.positions.windows(2).all(|pair| pair[0] < pair[1]);
        let last = cfg.positions.last().copied().unwrap_or(0);
        let found = format!("{:?}", cfg.positions);
        if !rising || cfg.positions.len() < 2 || last > layers.len() {
            let expected = format!("rising, up to {}", layers.len());
            return Err(Error::config("positions of VGG's blocks", found, expected));
        }
        let blocks = cfg.positions.len() - 1;
        let named = cfg.feature_blocks.iter().chain(&cfg.style_blocks);
        if let Some(wrong) = named.into_iter().find(|block| **block >= blocks) {
            return Err(Error::config(
                "block of VGG",
                wrong,
                format!("below {blocks}"),
            ));
        }
        let ranges = cfg.positions.windows(2);
        Ok(Self {
            blocks: ranges
                .map(|pair| layers[pair[0]..pair[1]].to_vec())
                .collect(),
            config: cfg.clone(),
        })
    }

    /// The styles of VGG-16 alone, in its published blocks, of torchvision's tensors.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn styles(tensors: Tensors, device: &Device) -> Result<Self> {
        let config = VggConfig::vgg16();
        let config = VggConfig {
            style_blocks: config.feature_blocks,
            feature_blocks: Vec::new(),
            ..config
        };
        let tensors = tensors.into_iter().map(|(name, tensor)| {
            let tensor = tensor.to_device(device)?;
            Ok((name, tensor))
        });
        let vb = VarBuilder::from_tensors(tensors.collect::<Result<_>>()?, DType::F32, device);
        Self::new(&vb, &config)
    }

    /// The loss `[]` of `x, y: [n, 3, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// Shapes that differ, or pictures too small for the pooling.
    pub fn forward(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        if x.dims() != y.dims() {
            return Err(Error::shape(
                "pictures",
                y.dims(),
                format!("{:?}", x.dims()),
            ));
        }
        let (mut x, mut y) = (self.normalised(x)?, self.normalised(y)?);
        let mut total = Tensor::zeros((), x.dtype(), x.device())?;
        for (at, block) in self.blocks.iter().enumerate() {
            (x, y) = (run(block, &x)?, run(block, &y)?);
            if self.config.feature_blocks.contains(&at) {
                total = (total + (&x - &y)?.abs()?.mean_all()?)?;
            }
            if self.config.style_blocks.contains(&at) {
                total = (total + (gram(&x)? - gram(&y)?)?.abs()?.mean_all()?)?;
            }
        }
        Ok(total)
    }

    fn normalised(&self, x: &Tensor) -> Result<Tensor> {
        let row = |values: [f32; 3]| -> Result<Tensor> {
            let row = Tensor::new(&values, x.device())?.to_dtype(x.dtype())?;
            Ok(row.reshape((1, 3, 1, 1))?)
        };
        // Resized first: equal neighbours, such as clamped ones, stay equal then, and pooling takes the first of them as published.
        let x = match self.config.size {
            Some([h, w]) => resize(x, h, w, Resize::Bilinear)?,
            None => x.clone(),
        };
        let x = x.broadcast_sub(&row(MEAN)?)?;
        Ok(x.broadcast_div(&row(DEVIATION)?)?)
    }
}

fn run(block: &[Layer], x: &Tensor) -> Result<Tensor> {
    let mut x = x.clone();
    for layer in block {
        x = match layer {
            Layer::Conv(weight, bias) => conv2d(&x, weight, Some(bias), 1, 1)?,
            Layer::Relu => x.relu()?,
            Layer::Pool => max_pool2d(
                &x,
                &Pool {
                    kernel: 2,
                    stride: 2,
                    padding: 0,
                    ceil_mode: false,
                },
            )?,
        };
    }
    Ok(x)
}

/// `F Fᵀ` over positions, `[n, c, c]`.
fn gram(x: &Tensor) -> Result<Tensor> {
    let flat = x.flatten_from(2)?;
    Ok(matmul(&flat, &flat.transpose(1, 2)?.contiguous()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_vgg_is_refused() {
        let error = VggLoss::styles(Tensors::new(), &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("features.0.weight"), "{error}");
    }

    #[test]
    fn blocks_that_are_not_there_are_refused() {
        let config = VggConfig {
            style_blocks: vec![4],
            ..VggConfig::vgg16()
        };
        let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let error = VggLoss::new(&vb, &config).unwrap_err().to_string();
        assert!(error.contains("below 4"), "{error}");
    }
}
