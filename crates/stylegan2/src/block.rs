//! One resolution of the synthesis network.
//!
//! With `u` = upsampling by the filter with gain 4 (figure 7 of arXiv 1912.04958):
//!
//! ```text
//! orig    x = conv1(conv0(x))
//! skip    x = conv1(conv0(x)),                                img = u(img) + torgb(x)
//! resnet  x = sqrt(1/2) skip(x) + sqrt(1/2) conv1(conv0(x))
//! ```
//!
//! `conv0` doubles the size. The first block starts from a learnt constant `const: [c, 4, 4]` and
//! has `conv1` only. Where the picture is not carried along, the last block alone has a `torgb`.

use std::f64::consts::FRAC_1_SQRT_2;

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use domex_ops::upfirdn2d::upsample2d;

use crate::Result;
use crate::activations::Activations;
use crate::config::{Architecture, SynthesisConfig};
use crate::conv::{Conv, ConvConfig};
use crate::dense::Dense;
use crate::layer::{Layer, ToRgb};
use crate::modulation::Style;
use crate::noise::Noise;
use crate::resample;
use crate::weights::{Tensors, Walk, join, normal, put};

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Block {
    resolution: usize,
    start: Start,
    conv1: Layer,
    to_rgb: Option<ToRgb>,
    filter: Tensor,
    half: bool,
}

/// Where the features of a block come from.
#[derive(Debug, Clone)]
enum Start {
    Const(Tensor),
    Below { conv0: Layer, skip: Option<Conv> },
}

/// Features and picture on the way through the blocks.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub x: Option<Tensor>,
    pub img: Option<Tensor>,
    /// Layers with noise that were passed.
    pub noisy: usize,
}

impl Block {
    /// Reads the block at `resolution` from the node `b{resolution}`.
    pub fn new(vb: &VarBuilder<'_>, cfg: &SynthesisConfig, resolution: usize) -> Result<Self> {
        let outputs = cfg.features(resolution)?;
        let filter = resample::buffer(vb, &cfg.resample_filter)?;
        let start = if resolution == 4 {
            Start::Const(vb.get_with_hints((outputs, 4, 4), "const", normal(1.0))?)
        } else {
            let inputs = cfg.features(resolution / 2)?;
            let conv0 = Layer::new(&vb.pp("conv0"), cfg, [inputs, outputs], resolution, 2)?;
            Start::Below { conv0, skip: None }
        };
        let conv1 = Layer::new(&vb.pp("conv1"), cfg, [outputs, outputs], resolution, 1)?;
        let last = resolution == cfg.img_resolution;
        let to_rgb = if last || cfg.architecture == Architecture::Skip {
            Some(ToRgb::new(&vb.pp("torgb"), cfg, outputs)?)
        } else {
            None
        };
        let mut block = Self {
            resolution,
            start,
            conv1,
            to_rgb,
            filter,
            half: cfg.is_half(resolution),
        };
        if let (Start::Below { skip, .. }, Architecture::Resnet) =
            (&mut block.start, cfg.architecture)
        {
            let shape = ConvConfig {
                up: 2,
                ..ConvConfig::skip(cfg.features(resolution / 2)?, outputs)
            };
            // The published block gives this layer no clamp.
            *skip = Some(Conv::new(
                &vb.pp("skip"),
                shape,
                &cfg.resample_filter,
                None,
            )?);
        }
        Ok(block)
    }

    pub fn resolution(&self) -> usize {
        self.resolution
    }

    /// Whether this block may run in float16.
    pub fn is_half(&self) -> bool {
        self.half
    }

    /// The affine maps in parameter order, by the names of their layers, with the output channels of these. A convolution takes a
    /// row of the latent of its own; `torgb` shares its row with the next block's first.
    pub fn affines(&self) -> Vec<(&'static str, &Dense, usize)> {
        let mut affines = Vec::with_capacity(3);
        if let Start::Below { conv0, .. } = &self.start {
            affines.push(("conv0", conv0.affine(), conv0.outputs()));
        }
        affines.push(("conv1", self.conv1.affine(), self.conv1.outputs()));
        if let Some(to_rgb) = &self.to_rgb {
            affines.push(("torgb", to_rgb.affine(), to_rgb.outputs()));
        }
        affines
    }

    /// Number of layers with noise.
    pub fn noisy_layers(&self) -> usize {
        let conv0 = match &self.start {
            Start::Const(_) => 0,
            Start::Below { conv0, .. } => usize::from(conv0.has_noise()),
        };
        conv0 + usize::from(self.conv1.has_noise())
    }

    /// One style per entry of [`affines`](Self::affines); features in `dtype`, the
    /// picture in the styles' type.
    pub fn forward(
        &self,
        state: State,
        styles: &[Style],
        noise: &mut Noise<'_>,
        dtype: DType,
        activations: Activations,
    ) -> Result<State> {
        let State { x, img, mut noisy } = state;
        let n = styles[0].code.dim(0)?;
        let full = styles[0].code.dtype();
        let mut styles = styles.iter();
        let mut next = || {
            styles.next().ok_or_else(|| {
                crate::Error::config("styles of a block", "too few", "one per layer")
            })
        };
        let x = match (&self.start, x) {
            (Start::Below { conv0, skip }, Some(x)) => {
                let x = x.to_dtype(dtype)?;
                let around = skip
                    .as_ref()
                    .map(|skip| skip.forward_with(&x, FRAC_1_SQRT_2, activations))
                    .transpose()?;
                let gain = if around.is_some() { FRAC_1_SQRT_2 } else { 1.0 };
                let mut y = conv0.forward(&x, next()?, (noise, noisy), 1.0, activations)?;
                noisy += usize::from(conv0.has_noise());
                y = self
                    .conv1
                    .forward(&y, next()?, (noise, noisy), gain, activations)?;
                match around {
                    Some(around) => (around + y)?,
                    None => y,
                }
            }
            (Start::Below { .. }, None) => {
                return Err(crate::Error::config(
                    "features",
                    "none",
                    "those of the block below",
                ));
            }
            (Start::Const(constant), _) => {
                let (c, h, w) = constant.dims3()?;
                let x = constant.unsqueeze(0)?.broadcast_as((n, c, h, w))?;
                let x = x.contiguous()?.to_dtype(dtype)?;
                self.conv1
                    .forward(&x, next()?, (noise, noisy), 1.0, activations)?
            }
        };
        noisy += usize::from(self.conv1.has_noise());
        let img = match img {
            Some(img) => {
                let filter = self.filter.to_dtype(img.dtype())?;
                Some(upsample2d(&img, Some(&filter), 2, [0; 4], false, 1.0)?)
            }
            None => None,
        };
        let img = match &self.to_rgb {
            None => img,
            Some(to_rgb) => {
                let own = to_rgb.forward(&x, next()?, activations)?;
                let own = own.to_dtype(full)?;
                Some(match img {
                    Some(img) => (img + own)?,
                    None => own,
                })
            }
        };
        Ok(State {
            x: Some(x),
            img,
            noisy,
        })
    }
}

impl Walk for Block {
    fn walk(&self, path: &str, out: &mut Tensors) {
        match &self.start {
            Start::Const(constant) => put(out, path, "const", constant),
            Start::Below { conv0, skip } => {
                conv0.walk(&join(path, "conv0"), out);
                if let Some(skip) = skip {
                    skip.walk(&join(path, "skip"), out);
                }
            }
        }
        self.conv1.walk(&join(path, "conv1"), out);
        if let Some(to_rgb) = &self.to_rgb {
            to_rgb.walk(&join(path, "torgb"), out);
        }
        put(out, path, resample::NAME, &self.filter);
    }
}
