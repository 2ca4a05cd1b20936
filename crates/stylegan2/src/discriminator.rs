//! Discriminator: pictures, and labels where the network has classes, to logits.
//!
//! From the highest resolution down to 8, with `d` = downsampling by the filter:
//!
//! ```text
//! orig    x = conv1(conv0(x))
//! skip    x = conv1(conv0(x + fromrgb(img))),                   img = d(img)
//! resnet  x = sqrt(1/2) skip(x) + sqrt(1/2) conv1(conv0(x))
//! ```
//!
//! where `conv1` and `skip` halve the size; then the epilogue at 4×4. In orig
//! and resnet only the first block has a `fromrgb`. Tensors: `b{res}.fromrgb.*`, `b{res}.conv0.*`,
//! `b{res}.conv1.*`, `b{res}.skip.*`, `b4.*`, and `mapping.*` for labels. Follows `Discriminator`
//! of stylegan2-ada-pytorch, `training/networks.py`. A 4×4 discriminator, which the published code
//! cannot build without the skip architecture, reads the picture in its epilogue.

use std::f64::consts::FRAC_1_SQRT_2;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_ops::upfirdn2d::downsample2d;

use crate::activations::Activations;
use crate::config::{Architecture, DiscriminatorConfig, resolutions};
use crate::conv::{Conv, ConvConfig};
use crate::epilogue::Epilogue;
use crate::error::expect_dims;
use crate::mapping::Mapping;
use crate::precision::Precision;
use crate::resample;
use crate::weights::{Spec, Tensors, Walk, builder, join, put, shapes};
use crate::{Error, Result};

/// A discriminator of any of the three architectures, with or without classes.
///
/// Tensors have the published names `b{res}.fromrgb.*`, `b{res}.conv0.*`, `b{res}.conv1.*`,
/// `b{res}.skip.*`, `b4.*`, and `mapping.*` for labels.
#[derive(Debug, Clone)]
pub struct Discriminator {
    blocks: Vec<Block>,
    mapping: Option<Mapping>,
    epilogue: Epilogue,
    activations: Activations,
    dtype: DType,
    device: Device,
    cfg: DiscriminatorConfig,
}

impl Discriminator {
    /// Reads the network from the node that holds `b4`. See
    /// [`Generator::new`](crate::Generator::new) on builders that make tensors up.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &DiscriminatorConfig) -> Result<Self> {
        cfg.validate()?;
        let blocks = resolutions(cfg.img_resolution)
            .into_iter()
            .rev()
            .filter(|resolution| *resolution > 4)
            .map(|resolution| Block::new(&vb.pp(format!("b{resolution}")), cfg, resolution))
            .collect::<Result<_>>()?;
        let mapping = cfg
            .mapping
            .as_ref()
            .map(|mapping| Mapping::new(&vb.pp("mapping"), mapping))
            .transpose()?;
        Ok(Self {
            blocks,
            mapping,
            epilogue: Epilogue::new(&vb.pp("b4"), cfg)?,
            activations: Activations::Kept,
            dtype: vb.dtype(),
            device: vb.device().clone(),
            cfg: cfg.clone(),
        })
    }

    /// Builds the network on exactly these tensors. Variables among them stay live.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; names or shapes that are not the network's.
    pub fn from_tensors(tensors: &Tensors, cfg: &DiscriminatorConfig) -> Result<Self> {
        Self::spec(cfg)?.check(&shapes(tensors))?;
        Self::new(&builder(tensors), cfg)
    }

    /// The same network on other tensors, with the same [`Activations`].
    ///
    /// # Errors
    ///
    /// Names or shapes that are not the network's.
    pub fn with_tensors(&self, tensors: &Tensors) -> Result<Self> {
        let other = Self::from_tensors(tensors, &self.cfg)?;
        Ok(Self {
            activations: self.activations,
            ..other
        })
    }

    /// What a pass keeps for the pass back.
    pub fn activations(&self) -> Activations {
        self.activations
    }

    /// Sets what a pass keeps for the pass back.
    pub fn set_activations(&mut self, activations: Activations) {
        self.activations = activations;
    }

    /// Names and shapes of all tensors, without building the network.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn spec(cfg: &DiscriminatorConfig) -> Result<Spec> {
        cfg.validate()?;
        Spec::record("discriminator", |vb| Self::new(&vb, cfg))
    }

    /// All tensors as they are now, by their published names.
    pub fn tensors(&self) -> Tensors {
        let mut out = Tensors::new();
        self.walk("", &mut out);
        out
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &DiscriminatorConfig {
        &self.cfg
    }

    /// `img: [n, colours, h, w]` in `[-1, 1]` and `label: [n, c_dim]` to logits `[n, 1]`.
    ///
    /// The minibatch statistics make a logit depend on its batch: with groups of g, sample i is
    /// compared with samples i + n/g, i + 2n/g, ...
    ///
    /// # Errors
    ///
    /// A wrong shape; a label that is missing or not wanted; a batch that is no multiple of the
    /// group size.
    pub fn forward(&self, img: &Tensor, label: Option<&Tensor>) -> Result<Tensor> {
        self.run(img, label, |_, _| ())
    }

    /// Like [`forward`](Self::forward), with the features that leave each block: resolution at
    /// which it starts, and `[n, c, h/2, w/2]`.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_blocks(
        &self,
        img: &Tensor,
        label: Option<&Tensor>,
    ) -> Result<(Tensor, Vec<(usize, Tensor)>)> {
        let mut taps = Vec::with_capacity(self.blocks.len());
        let logits = self.run(img, label, |resolution, x| {
            taps.push((resolution, x.clone()));
        })?;
        Ok((logits, taps))
    }

    fn run(
        &self,
        img: &Tensor,
        label: Option<&Tensor>,
        mut tap: impl FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let side = Some(self.cfg.img_resolution);
        expect_dims(
            "picture",
            img,
            &[None, Some(self.cfg.img_channels), side, side],
        )?;
        let cmap = match (&self.mapping, label) {
            (Some(mapping), label) => {
                if let Some(label) = label {
                    expect_dims("label", label, &[Some(img.dim(0)?), Some(self.cfg.c_dim())])?;
                }
                Some(mapping.forward(None, label)?)
            }
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Error::config(
                    "label",
                    "given",
                    "none: this discriminator has no classes",
                ));
            }
        };
        let mut x: Option<Tensor> = None;
        let mut img = Some(img.clone());
        for block in &self.blocks {
            let dtype = Precision::Auto.dtype(block.half, &self.device, self.dtype);
            let (features, rest) =
                block.forward(x.as_ref(), img.as_ref(), dtype, self.activations)?;
            tap(block.resolution, &features);
            x = Some(features);
            img = rest;
        }
        let x = x.map(|x| x.to_dtype(self.dtype)).transpose()?;
        let img = img.map(|img| img.to_dtype(self.dtype)).transpose()?;
        self.epilogue
            .forward(x.as_ref(), img.as_ref(), cmap.as_ref())
    }
}

impl Walk for Discriminator {
    fn walk(&self, path: &str, out: &mut Tensors) {
        for block in &self.blocks {
            block.walk(&join(path, &format!("b{}", block.resolution)), out);
        }
        if let Some(mapping) = &self.mapping {
            mapping.walk(&join(path, "mapping"), out);
        }
        self.epilogue.walk(&join(path, "b4"), out);
    }
}

/// One resolution.
#[derive(Debug, Clone)]
struct Block {
    resolution: usize,
    from_rgb: Option<Conv>,
    conv0: Conv,
    conv1: Conv,
    skip: Option<Conv>,
    filter: Tensor,
    /// Whether the picture goes on to the next block.
    carries_picture: bool,
    half: bool,
}

impl Block {
    fn new(vb: &VarBuilder<'_>, cfg: &DiscriminatorConfig, resolution: usize) -> Result<Self> {
        let here = cfg.features(resolution)?;
        let below = cfg.features(resolution / 2)?;
        let taps = &cfg.resample_filter;
        let act = cfg.activation;
        let conv = |name: &str, shape: ConvConfig, clamp: Option<f64>| {
            Conv::new(&vb.pp(name), shape, taps, clamp)
        };
        let carries_picture = cfg.architecture == Architecture::Skip;
        let first = resolution == cfg.img_resolution;
        let filter = resample::buffer(vb, taps)?;
        let from_rgb = if first || carries_picture {
            let shape = ConvConfig::new(cfg.img_channels, here, 1, act);
            Some(conv("fromrgb", shape, cfg.conv_clamp)?)
        } else {
            None
        };
        let down = ConvConfig {
            down: 2,
            ..ConvConfig::new(here, below, 3, act)
        };
        Ok(Self {
            resolution,
            from_rgb,
            filter,
            conv0: conv("conv0", ConvConfig::new(here, here, 3, act), cfg.conv_clamp)?,
            conv1: conv("conv1", down, cfg.conv_clamp)?,
            skip: if cfg.architecture == Architecture::Resnet {
                let shape = ConvConfig {
                    down: 2,
                    ..ConvConfig::skip(here, below)
                };
                // The published block gives this layer no clamp.
                Some(conv("skip", shape, None)?)
            } else {
                None
            },
            carries_picture,
            half: cfg.is_half(resolution),
        })
    }

    /// Features and the picture for the next block, both in `dtype`.
    fn forward(
        &self,
        x: Option<&Tensor>,
        img: Option<&Tensor>,
        dtype: DType,
        activations: Activations,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let mut x = x.map(|x| x.to_dtype(dtype)).transpose()?;
        let mut rest = None;
        if let (Some(from_rgb), Some(img)) = (&self.from_rgb, img) {
            let img = img.to_dtype(dtype)?;
            let own = from_rgb.forward_with(&img, 1.0, activations)?;
            x = Some(match x {
                Some(x) => (x + own)?,
                None => own,
            });
            if self.carries_picture {
                let filter = self.filter.to_dtype(dtype)?;
                rest = Some(downsample2d(&img, Some(&filter), 2, [0; 4], false, 1.0)?);
            }
        }
        let x = x.ok_or_else(|| Error::config("features", "none", "those of the block above"))?;
        let y = self.conv0.forward_with(&x, 1.0, activations)?;
        let Some(skip) = self.skip.clone() else {
            return Ok((self.conv1.forward_with(&y, 1.0, activations)?, rest));
        };
        let conv1 = self.conv1.clone();
        let x = activations.of(&[x, y], move |inputs| -> Result<Tensor> {
            let around = skip.forward(&inputs[0], FRAC_1_SQRT_2)?;
            Ok((around + conv1.forward(&inputs[1], FRAC_1_SQRT_2)?)?)
        })?;
        Ok((x, rest))
    }
}

impl Walk for Block {
    fn walk(&self, path: &str, out: &mut Tensors) {
        let convs = [
            ("fromrgb", self.from_rgb.as_ref()),
            ("conv0", Some(&self.conv0)),
            ("conv1", Some(&self.conv1)),
            ("skip", self.skip.as_ref()),
        ];
        for (name, conv) in convs {
            if let Some(conv) = conv {
                conv.walk(&join(path, name), out);
            }
        }
        put(out, path, resample::NAME, &self.filter);
    }
}
