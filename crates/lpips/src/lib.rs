//! LPIPS, the learned perceptual distance of two pictures (Zhang et al., CVPR 2018, arXiv 1801.03924).
//!
//! A classification network looks at both pictures. At several depths `l` its features are scaled to
//! unit length at each pixel, and their squared difference is summed with learned weights `w_l`:
//!
//! `d(a, b) = Σ_l mean_{h,w} Σ_c w_lc · (â_lchw − b̂_lchw)²`
//!
//! Tensors stand under the published keys: `net.slice1.0.weight`, ..., `lin0.model.1.weight`, ...
//! [`layout`] brings torchvision's backbones and the published heads there.
//!
//! Gradients reach the pictures, and the weights only where the builder holds variables. Compare one picture with
//! many, or hold a target fixed, through [`Lpips::features`] and [`Lpips::between`].
//!
//! [`mod@file`] reads and writes a network in one file; [`published`] makes one of the files that were published.
//!
//! A network of a half type takes pictures of float32, too, and says distances of them in float32: [`domex_ops::half`].
//!
//! Left out on purpose: training, and dropout, which does nothing at evaluation.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::VarBuilder;
//! use domex_lpips::{Backbone, Config, Lpips};
//!
//! // Zeros stand in for the published weights.
//! let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
//! let lpips = Lpips::new(&vb, &Config::new(Backbone::Alex))?;
//! let a = Tensor::zeros((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! let b = Tensor::ones((2, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! assert_eq!(lpips.distance(&a, &b)?.dims(), [2]);
//! # Ok::<(), domex_lpips::Error>(())
//! ```

mod backbone;
mod error;
pub mod file;
pub mod layout;
pub mod published;

pub use backbone::Backbone;
pub use error::{Error, Result};

use backbone::Network;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_ops::{Resize, UnitLength, half, resize, unit_distance};
use serde::{Deserialize, Serialize};

/// Which distance. The published default is version 0.1 with its learned heads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network that looks at the pictures.
    pub backbone: Backbone,
    /// Whether colours are shifted and scaled to the backbone's training data: version 0.1 does,
    /// version 0.0 does not.
    pub scale_input: bool,
    /// Whether the learned heads weigh the channels; without them all weigh 1 (the *baseline*).
    pub heads: bool,
}

impl Config {
    /// Version 0.1 with heads.
    pub fn new(backbone: Backbone) -> Self {
        Self {
            backbone,
            scale_input: true,
            heads: true,
        }
    }
}

/// Mean and spread of ImageNet's colours, for pictures in `[-1, 1]`.
const SHIFT: [f32; 3] = [-0.030, -0.088, -0.188];
const SCALE: [f32; 3] = [0.458, 0.448, 0.450];

/// Added to the length of a feature vector before dividing by it.
const EPS: f64 = 1e-10;

/// Floor of a squared length, far below `EPS²`: it moves no value, and keeps the square root's
/// slope finite where all features are 0. There the published program's gradient is NaN.
const FLOOR: f64 = 1e-36;

/// See the [crate docs](crate).
#[derive(Debug, Clone)]
pub struct Lpips {
    network: Network,
    heads: Vec<Tensor>, // [1, c, 1, 1] each, empty without heads
    scale_input: bool,
    shift: Tensor, // [1, 3, 1, 1]
    scale: Tensor, // [1, 3, 1, 1]
}

/// What the network sees in a picture: features `[n, c, h, w]`, one entry per depth, which are compared at
/// unit length per pixel, and the picture's height and width.
#[derive(Debug, Clone)]
pub struct Features {
    layers: Vec<Tensor>,
    size: (usize, usize),
    /// Of the picture, in which distances are said.
    dtype: DType,
}

impl Features {
    /// The same without a graph: a fixed target.
    pub fn detach(&self) -> Self {
        Self {
            layers: self.layers.iter().map(Tensor::detach).collect(),
            ..*self
        }
    }

    /// Those of `n` pictures from one on.
    ///
    /// # Errors
    ///
    /// Pictures that are not there.
    pub fn some(&self, first: usize, n: usize) -> Result<Self> {
        let layers = self.layers.iter().map(|layer| layer.narrow(0, first, n));
        Ok(Self {
            layers: layers.collect::<candle_core::Result<_>>()?,
            ..*self
        })
    }

    /// Those of these pictures, by their numbers `[m]`; a picture may come more than once.
    ///
    /// # Errors
    ///
    /// Pictures that are not there.
    pub fn rows(&self, numbers: &Tensor) -> Result<Self> {
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.index_select(numbers, 0));
        Ok(Self {
            layers: layers.collect::<candle_core::Result<_>>()?,
            ..*self
        })
    }
}

impl Lpips {
    /// Reads backbone and heads from the node that holds `net` and `lin0`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its full name.
    pub fn new(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        let network = Network::new(&vb.pp("net"), cfg.backbone)?;
        let heads = match cfg.heads {
            true => heads(vb, cfg.backbone)?,
            false => Vec::new(),
        };
        let colours = |values: [f32; 3]| -> Result<Tensor> {
            Ok(Tensor::new(&values, &Device::Cpu)?
                .reshape((1, 3, 1, 1))?
                .to_dtype(vb.dtype())?
                .to_device(vb.device())?)
        };
        Ok(Self {
            network,
            heads,
            scale_input: cfg.scale_input,
            shift: colours(SHIFT)?,
            scale: colours(SCALE)?,
        })
    }

    /// The raw features `[n, c, h, w]` at each depth of `pictures: [n, 3, h, w]` in `[-1, 1]`.
    ///
    /// # Errors
    ///
    /// A wrong shape, or pictures too small for the backbone's strides.
    pub fn raw_features(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        match pictures.dims() {
            [_, 3, _, _] => {}
            dims => return Err(Error::shape("pictures", dims, "[n, 3, h, w]")),
        }
        let scaled = match self.scale_input {
            true => self.scale_input(pictures)?,
            false => pictures.clone(),
        };
        self.network
            .forward(&half::enter(&scaled, self.shift.dtype())?)
    }

    /// The mean over all pixels `[n, c]` of the last depth's features: what a Fréchet distance is taken of.
    ///
    /// # Errors
    ///
    /// As [`raw_features`](Self::raw_features).
    pub fn pooled(&self, pictures: &Tensor) -> Result<Tensor> {
        let raw = self.raw_features(pictures)?;
        let last = raw
            .last()
            .ok_or_else(|| Error::shape("features", &[], "at least one depth"))?;
        Ok(half::leave(last, pictures.dtype())?.mean((2, 3))?)
    }

    /// Colours `[n, 3, h, w]` in `[-1, 1]`, shifted and scaled to what the backbone was trained on.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn scale_input(&self, pictures: &Tensor) -> Result<Tensor> {
        let [shift, scale] = [&self.shift, &self.scale].map(|t| t.to_dtype(pictures.dtype()));
        Ok(pictures.broadcast_sub(&shift?)?.broadcast_div(&scale?)?)
    }

    /// What the distance compares; see [`between`](Self::between).
    ///
    /// # Errors
    ///
    /// As [`raw_features`](Self::raw_features).
    pub fn features(&self, pictures: &Tensor) -> Result<Features> {
        let raw = self.raw_features(pictures)?;
        let (_, _, h, w) = pictures.dims4()?;
        Ok(Features {
            layers: raw,
            size: (h, w),
            dtype: pictures.dtype(),
        })
    }

    /// Distances `[n]` of pictures `a, b: [n, 3, h, w]` in `[-1, 1]`. Differentiable in both.
    ///
    /// # Errors
    ///
    /// As [`raw_features`](Self::raw_features), or shapes that differ.
    pub fn distance(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.between(&self.features(a)?, &self.features(b)?)
    }

    /// Distances `[n]` of what was seen before.
    ///
    /// # Errors
    ///
    /// Shapes that differ.
    pub fn between(&self, a: &Features, b: &Features) -> Result<Tensor> {
        let layers = self.layers_between(a, b)?;
        sum(&layers)
    }

    /// The share `[n]` of each depth in the distance.
    ///
    /// # Errors
    ///
    /// Shapes that differ.
    pub fn layers_between(&self, a: &Features, b: &Features) -> Result<Vec<Tensor>> {
        let maps = self.maps(a, b)?;
        maps.iter().map(|map| Ok(map.mean((1, 2, 3))?)).collect()
    }

    /// The distance of each pixel `[n, 1, h, w]`: every depth's map, resized to the pictures' size
    /// (bilinear, `align_corners = false`) and summed.
    ///
    /// # Errors
    ///
    /// Shapes that differ.
    pub fn spatial_between(&self, a: &Features, b: &Features) -> Result<Tensor> {
        let (h, w) = a.size;
        let maps = self.maps(a, b)?;
        let maps = maps
            .iter()
            .map(|map| Ok(resize(map, h, w, Resize::Bilinear)?))
            .collect::<Result<Vec<_>>>()?;
        sum(&maps)
    }

    /// Weighted squared differences `[n, 1, h_l, w_l]` of each depth.
    fn maps(&self, a: &Features, b: &Features) -> Result<Vec<Tensor>> {
        a.layers
            .iter()
            .zip(&b.layers)
            .enumerate()
            .map(|(layer, (one, other))| Ok(half::leave(&self.map(layer, one, other)?, a.dtype)?))
            .collect()
    }

    fn map(&self, layer: usize, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        if a.dims() != b.dims() {
            return Err(Error::shape(
                "second picture's features",
                b.dims(),
                format!("{:?} as the first's", a.dims()),
            ));
        }
        // The features become unit vectors in here: as tensors of their own they would double the memory.
        let head = self.heads.get(layer).map(Tensor::flatten_all).transpose()?;
        let length = UnitLength {
            eps: EPS,
            floor: FLOOR,
        };
        Ok(unit_distance(a, b, head.as_ref(), length)?)
    }
}

fn heads(vb: &VarBuilder<'_>, backbone: Backbone) -> Result<Vec<Tensor>> {
    let channels = backbone.channels();
    channels
        .iter()
        .enumerate()
        .map(|(layer, &c)| Ok(vb.get((1, c, 1, 1), &format!("lin{layer}.model.1.weight"))?))
        .collect()
}

/// `x / (‖x‖ + 1e-10)` for `x: [n, c, h, w]`, with the length taken over the channels of each pixel.
///
/// # Errors
///
/// A wrong shape.
pub fn unit_length(x: &Tensor) -> Result<Tensor> {
    let square = x.sqr()?.sum_keepdim(1)?;
    let length = square.maximum(FLOOR)?.sqrt()?;
    Ok(x.broadcast_div(&(length + EPS)?)?)
}

fn sum(parts: &[Tensor]) -> Result<Tensor> {
    let mut parts = parts.iter();
    let first = parts
        .next()
        .ok_or_else(|| Error::shape("features", &[], "at least one depth"))?;
    Ok(parts.try_fold(first.clone(), |total, part| total.add(part))?)
}
