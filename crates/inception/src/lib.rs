//! Inception-v3 as Fréchet Inception distances are defined on it (Szegedy et al. 2015, arXiv 1512.00567; Heusel et al. 2017,
//! arXiv 1706.08500), with the weights that TensorFlow published in 2015.
//!
//! Tensors stand under the keys of pytorch-fid's `pt_inception-2015-12-05`: `Conv2d_1a_3x3.conv.weight`,
//! `Conv2d_1a_3x3.bn.running_mean`, ..., `Mixed_7c.branch_pool.bn.bias`, `fc.weight`, `fc.bias`. [`Inception::load`] reads that file
//! and safetensors with the same keys. torchvision's classifier has most of these keys and pools otherwise; it is refused.
//!
//! [`prepare`] brings pictures to what the network reads; [`Inception::features`] are the 2048 numbers that FID, KID and the
//! like are taken of, [`Inception::probabilities`] those of the Inception score. Batch normalisation is
//! folded into the convolutions when the network is built, in float64: it is frozen. Gradients reach the pictures.
//!
//! Left out on purpose: training, the auxiliary classifier, and every measure; those are `domex-metrics`'.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_inception::{Config, Inception, Pipeline, prepare};
//!
//! // Zeros stand in for the published weights, in a network a sixteenth as wide.
//! let config = Config { narrow: 16, ..Config::published() };
//! let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
//! let inception = Inception::new(&vb, &config)?;
//! let pictures = Tensor::full(255f32, (2, 3, 64, 48), &Device::Cpu)?;
//! let features = inception.features(&prepare(&pictures, Pipeline::PytorchFid)?)?;
//! assert_eq!(features.dims(), [2, 128]);
//! # Ok::<(), domex_inception::Error>(())
//! ```

mod config;
mod error;
mod input;
mod layers;
mod load;

pub use config::Config;
pub use error::{Error, Result};
pub use input::{Pipeline, SIDE, prepare};

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Weight, softmax};

use layers::{Block, ConvBn, Maker, halve};

/// With one pixel less, the last pooling would have no window.
const SMALLEST: usize = 75;

/// A layer by its key.
#[derive(Debug, Clone)]
enum Layer {
    Conv(ConvBn),
    Block(Block),
    /// The maximum that halves the map; it has no key of its own.
    Halve,
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Conv(conv) => conv.forward(x),
            Self::Block(block) => block.forward(x),
            Self::Halve => halve(x),
        }
    }
}

/// Names of the two maxima in the stem, which have no key.
const POOLS: [&str; 2] = ["maxpool1", "maxpool2"];

/// The last map before each of pytorch-fid's blocks of features ends.
const ENDS: [&str; 3] = [POOLS[0], POOLS[1], "Mixed_6e"];

/// What pytorch-fid calls blocks: maps of three depths, and the features.
#[derive(Debug, Clone)]
pub struct Blocks {
    /// `[n, 64, h, w]`, `[n, 192, h, w]` and `[n, 768, h, w]`.
    pub maps: [Tensor; 3],
    /// `[n, 2048]`.
    pub features: Tensor,
}

impl Blocks {
    /// Means over all pixels of the three maps: the smaller feature vectors, `[n, 64]`, `[n, 192]` and `[n, 768]`.
    ///
    /// # Errors
    ///
    /// A failed tensor operation.
    pub fn pooled(&self) -> Result<[Tensor; 3]> {
        let [a, b, c] = &self.maps;
        Ok([a.mean((2, 3))?, b.mean((2, 3))?, c.mean((2, 3))?])
    }
}

/// See the [crate docs](crate).
#[derive(Debug, Clone)]
pub struct Inception {
    layers: Vec<(&'static str, Layer)>,
    head: Weight, // [classes, features]
    bias: Tensor, // [classes]
    config: Config,
}

impl Inception {
    /// Reads the network from the node that holds `Conv2d_1a_3x3` and `fc`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its full name; a negative variance.
    pub fn new(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        cfg.check()?;
        let make = Maker { vb, cfg };
        let conv = |name, channels, kernel, stride, keeps_size| -> Result<_> {
            let conv = make.stem(name, channels, kernel, stride, keeps_size)?;
            Ok((name, Layer::Conv(conv)))
        };
        let a = |name, input, pool| Ok((name, Layer::Block(make.a(name, input, pool)?)));
        let c = |name, inner| Ok((name, Layer::Block(make.c(name, 768, inner)?)));
        let layers = [
            conv("Conv2d_1a_3x3", [3, 32], 3, 2, false),
            conv("Conv2d_2a_3x3", [32, 32], 3, 1, false),
            conv("Conv2d_2b_3x3", [32, 64], 3, 1, true),
            Ok((POOLS[0], Layer::Halve)),
            conv("Conv2d_3b_1x1", [64, 80], 1, 1, true),
            conv("Conv2d_4a_3x3", [80, 192], 3, 1, false),
            Ok((POOLS[1], Layer::Halve)),
            a("Mixed_5b", 192, 32),
            a("Mixed_5c", 256, 64),
            a("Mixed_5d", 288, 64),
            Ok(("Mixed_6a", Layer::Block(make.b("Mixed_6a", 288)?))),
            c("Mixed_6b", 128),
            c("Mixed_6c", 160),
            c("Mixed_6d", 160),
            c("Mixed_6e", 192),
            Ok(("Mixed_7a", Layer::Block(make.d("Mixed_7a", 768)?))),
            Ok(("Mixed_7b", Layer::Block(make.e("Mixed_7b", 1280, false)?))),
            Ok(("Mixed_7c", Layer::Block(make.e("Mixed_7c", 2048, true)?))),
        ];
        let head = vb.pp("fc");
        Ok(Self {
            layers: layers.into_iter().collect::<Result<_>>()?,
            head: Weight::new(head.get((cfg.classes, cfg.features()), "weight")?.detach()),
            bias: head.get(cfg.classes, "bias")?.detach(),
            config: *cfg,
        })
    }

    /// Sizes of the network.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Shows `seen` every layer's map `[n, c, h, w]` by the layer's key, from the first to the last, which is returned. `x:
    /// [n, 3, h, w]` is as [`prepare`] makes it, of any size from 75 on.
    ///
    /// # Errors
    ///
    /// A wrong shape, pictures that are too small, or `seen`'s error.
    pub fn visit(
        &self,
        x: &Tensor,
        mut seen: impl FnMut(&'static str, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        match *x.dims() {
            [n, 3, h, w] if n > 0 && h.min(w) >= SMALLEST => {}
            _ => {
                let expected = format!("[n, 3, h, w] with sides of at least {SMALLEST}");
                return Err(Error::shape("pictures", x.dims(), expected));
            }
        }
        let mut x = x.clone();
        for (name, layer) in &self.layers {
            x = layer.forward(&x)?;
            seen(name, &x)?;
        }
        Ok(x)
    }

    /// Features `[n, 2048]` of `x: [n, 3, h, w]` as [`prepare`] makes it.
    ///
    /// # Errors
    ///
    /// As [`visit`](Self::visit).
    pub fn features(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.visit(x, |_, _| Ok(()))?.mean((2, 3))?)
    }

    /// Features with the maps of the three depths before them.
    ///
    /// # Errors
    ///
    /// As [`visit`](Self::visit).
    pub fn blocks(&self, x: &Tensor) -> Result<Blocks> {
        let mut maps = Vec::with_capacity(ENDS.len());
        let last = self.visit(x, |name, map| {
            if ENDS.contains(&name) {
                maps.push(map.clone());
            }
            Ok(())
        })?;
        let maps = <[Tensor; 3]>::try_from(maps)
            .map_err(|maps| Error::shape("maps", &[maps.len()], "[3]"))?;
        Ok(Blocks {
            maps,
            features: last.mean((2, 3))?,
        })
    }

    /// Logits `[n, classes]` of features `[n, 2048]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(self.head.linear(features, Some(&self.bias))?)
    }

    /// Logits without the classifier's bias, which the Inception score leaves out.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn unbiased_logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(self.head.linear(features, None)?)
    }

    /// Class probabilities `[n, classes]` for the Inception score: of [`unbiased_logits`](Self::unbiased_logits).
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn probabilities(&self, features: &Tensor) -> Result<Tensor> {
        Ok(softmax(&self.unbiased_logits(features)?, 1)?)
    }
}

#[cfg(test)]
mod tests;
