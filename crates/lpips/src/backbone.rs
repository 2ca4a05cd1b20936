//! The backbones, layer by layer, with the positions that torchvision gives them.
//!
//! Source of structure and depths: torchvision `models/{alexnet,vgg,squeezenet}.py` and
//! richzhang/PerceptualSimilarity `lpips/pretrained_networks.py`. A tensor's key is
//! `slice{s}.{position}.…`, where the slice counts the depths and the position is torchvision's. The small
//! backbone is the project's own, in the manner of VGG.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Pool, Weight, max_pool2d};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A network trained to classify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backbone {
    /// AlexNet, the published default for measuring.
    Alex,
    /// VGG16, the published choice as a loss for optimising pictures.
    Vgg,
    /// SqueezeNet 1.1, the smallest of the published ones.
    Squeeze,
    /// One 3×3 convolution at each of five depths: for small pictures and small worlds.
    Small,
}

/// One layer. Numbers are channels out, kernel, stride, padding.
#[derive(Debug, Clone, Copy)]
enum Plan {
    Conv(usize, usize, usize, usize, usize), // position first
    Pool {
        kernel: usize,
        ceil: bool,
    },
    Fire {
        position: usize,
        squeeze: usize,
        expand: usize,
    },
}

use Plan::{Conv, Fire};

const POOL3: Plan = Plan::Pool {
    kernel: 3,
    ceil: false,
};
const POOL2: Plan = Plan::Pool {
    kernel: 2,
    ceil: false,
};
const POOL3_CEIL: Plan = Plan::Pool {
    kernel: 3,
    ceil: true,
};

const fn conv3(position: usize, channels: usize) -> Plan {
    Conv(position, channels, 3, 1, 1)
}

const fn fire(position: usize, squeeze: usize, expand: usize) -> Plan {
    Fire {
        position,
        squeeze,
        expand,
    }
}

/// One entry per depth; every convolution is followed by a ReLU.
const ALEX: &[&[Plan]] = &[
    &[Conv(0, 64, 11, 4, 2)],
    &[POOL3, Conv(3, 192, 5, 1, 2)],
    &[POOL3, conv3(6, 384)],
    &[conv3(8, 256)],
    &[conv3(10, 256)],
];

const VGG: &[&[Plan]] = &[
    &[conv3(0, 64), conv3(2, 64)],
    &[POOL2, conv3(5, 128), conv3(7, 128)],
    &[POOL2, conv3(10, 256), conv3(12, 256), conv3(14, 256)],
    &[POOL2, conv3(17, 512), conv3(19, 512), conv3(21, 512)],
    &[POOL2, conv3(24, 512), conv3(26, 512), conv3(28, 512)],
];

const SQUEEZE: &[&[Plan]] = &[
    &[Conv(0, 64, 3, 2, 0)],
    &[POOL3_CEIL, fire(3, 16, 64), fire(4, 16, 64)],
    &[POOL3_CEIL, fire(6, 32, 128), fire(7, 32, 128)],
    &[POOL3_CEIL, fire(9, 48, 192)],
    &[fire(10, 48, 192)],
    &[fire(11, 64, 256)],
    &[fire(12, 64, 256)],
];

const SMALL: &[&[Plan]] = &[
    &[conv3(0, 32)],
    &[POOL2, conv3(3, 64)],
    &[POOL2, conv3(6, 128)],
    &[POOL2, conv3(9, 192)],
    &[POOL2, conv3(12, 256)],
];

impl Backbone {
    fn plan(self) -> &'static [&'static [Plan]] {
        match self {
            Self::Alex => ALEX,
            Self::Vgg => VGG,
            Self::Squeeze => SQUEEZE,
            Self::Small => SMALL,
        }
    }

    /// Channels of the features at each depth.
    pub fn channels(self) -> Vec<usize> {
        let last = |layers: &&[Plan]| {
            layers
                .iter()
                .fold(0, |channels, layer| layer.channels(channels))
        };
        self.plan().iter().map(last).collect()
    }

    /// The slice, counted from 1, that holds torchvision's layer `position`.
    pub(crate) fn slice_of(self, position: usize) -> Option<usize> {
        let holds = |layers: &&[Plan]| {
            layers
                .iter()
                .any(|layer| layer.position() == Some(position))
        };
        self.plan().iter().position(holds).map(|slice| slice + 1)
    }
}

impl Plan {
    fn channels(&self, before: usize) -> usize {
        match *self {
            Conv(_, channels, ..) => channels,
            Plan::Pool { .. } => before,
            Fire { expand, .. } => 2 * expand,
        }
    }

    fn position(&self) -> Option<usize> {
        match *self {
            Conv(position, ..) | Fire { position, .. } => Some(position),
            Plan::Pool { .. } => None,
        }
    }
}

/// A convolution followed by a ReLU.
#[derive(Debug, Clone)]
struct ConvRelu {
    weight: Weight,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl ConvRelu {
    fn new(vb: &VarBuilder<'_>, shape: [usize; 3], stride: usize, padding: usize) -> Result<Self> {
        let [out, input, kernel] = shape;
        Ok(Self {
            weight: Weight::new(vb.get((out, input, kernel, kernel), "weight")?),
            bias: vb.get(out, "bias")?,
            stride,
            padding,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self
            .weight
            .conv2d_relu(x, Some(&self.bias), self.stride, self.padding)?)
    }
}

#[derive(Debug, Clone)]
enum Layer {
    Conv(ConvRelu),
    Pool(Pool),
    /// A 1×1 convolution to few channels, then 1×1 and 3×3 side by side (arXiv 1602.07360).
    Fire(ConvRelu, ConvRelu, ConvRelu),
}

impl Layer {
    fn new(vb: &VarBuilder<'_>, plan: Plan, channels: usize) -> Result<Self> {
        Ok(match plan {
            Conv(position, out, kernel, stride, padding) => Self::Conv(ConvRelu::new(
                &vb.pp(position),
                [out, channels, kernel],
                stride,
                padding,
            )?),
            Plan::Pool { kernel, ceil } => Self::Pool(Pool {
                kernel,
                stride: 2,
                padding: 0,
                ceil_mode: ceil,
            }),
            Fire {
                position,
                squeeze,
                expand,
            } => {
                let vb = vb.pp(position);
                Self::Fire(
                    ConvRelu::new(&vb.pp("squeeze"), [squeeze, channels, 1], 1, 0)?,
                    ConvRelu::new(&vb.pp("expand1x1"), [expand, squeeze, 1], 1, 0)?,
                    ConvRelu::new(&vb.pp("expand3x3"), [expand, squeeze, 3], 1, 1)?,
                )
            }
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Pool(pool) => Ok(max_pool2d(x, pool)?),
            Self::Fire(squeeze, narrow, wide) => {
                let x = squeeze.forward(x)?;
                Ok(Tensor::cat(&[narrow.forward(&x)?, wide.forward(&x)?], 1)?)
            }
        }
    }
}

/// A backbone up to its last depth, frozen.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    slices: Vec<Vec<Layer>>,
    smallest: usize,
}

impl Network {
    pub(crate) fn new(vb: &VarBuilder<'_>, backbone: Backbone) -> Result<Self> {
        let mut channels = 3;
        let mut slices = Vec::new();
        for (index, plans) in backbone.plan().iter().enumerate() {
            let vb = vb.pp(format!("slice{}", index + 1));
            let mut layers = Vec::new();
            for &plan in *plans {
                layers.push(Layer::new(&vb, plan, channels)?);
                channels = plan.channels(channels);
            }
            slices.push(layers);
        }
        // With one pixel less, the last pooling would have no window.
        let smallest = match backbone {
            Backbone::Alex => 31,
            Backbone::Vgg | Backbone::Small => 16,
            Backbone::Squeeze => 25,
        };
        Ok(Self { slices, smallest })
    }

    /// The features of every depth.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let (_, _, h, w) = x.dims4()?;
        if h.min(w) < self.smallest {
            return Err(Error::shape(
                "pictures",
                x.dims(),
                format!("sides of at least {} for this backbone", self.smallest),
            ));
        }
        let mut x = x.clone();
        let mut taps = Vec::with_capacity(self.slices.len());
        for layers in &self.slices {
            for layer in layers {
                x = layer.forward(&x)?;
            }
            taps.push(x.clone());
        }
        Ok(taps)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn the_smallest_picture_is_just_large_enough() {
        for backbone in [
            Backbone::Alex,
            Backbone::Vgg,
            Backbone::Squeeze,
            Backbone::Small,
        ] {
            let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
            let mut network = Network::new(&vb, backbone).unwrap();
            let picture =
                |side| Tensor::zeros((1, 3, side, side), DType::F32, &Device::Cpu).unwrap();
            let smallest = network.smallest;
            let taps = network.forward(&picture(smallest)).unwrap();
            assert_eq!(taps.len(), backbone.channels().len());
            let message = network
                .forward(&picture(smallest - 1))
                .unwrap_err()
                .to_string();
            assert!(message.contains(&smallest.to_string()), "{message}");
            network.smallest = 0;
            assert!(
                network.forward(&picture(smallest - 1)).is_err(),
                "{backbone:?} takes less than {smallest}"
            );
        }
    }
}
