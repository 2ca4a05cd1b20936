//! The end of the discriminator, at 4×4: minibatch statistics, a convolution, two dense layers.
//!
//! ```text
//! x = x + fromrgb(img)                              (skip architecture only)
//! x = fc(flatten(conv([x, minibatch_std(x)])))      [n, c]
//! y = out(x)                                        [n, 1], or [n, cmap_dim] with labels
//! logit = sum(y * cmap(label)) / sqrt(cmap_dim)     (the projection of arXiv 1802.05637)
//! ```

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::minibatch_std;

use crate::config::{Architecture, DiscriminatorConfig};
use crate::conv::{Conv, ConvConfig};
use crate::dense::{Dense, DenseConfig};
use crate::weights::{Tensors, Walk, join};
use crate::{Error, Result};

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Epilogue {
    from_rgb: Option<Conv>,
    conv: Conv,
    fc: Dense,
    out: Dense,
    group_size: Option<usize>,
    statistics: usize,
}

impl Epilogue {
    /// Reads the epilogue from the node `b4`.
    pub fn new(vb: &VarBuilder<'_>, cfg: &DiscriminatorConfig) -> Result<Self> {
        let features = cfg.features(4)?;
        let taps = &cfg.resample_filter;
        let act = cfg.activation;
        let reads_picture = cfg.architecture == Architecture::Skip || cfg.img_resolution == 4;
        let from_rgb = if reads_picture {
            let shape = ConvConfig::new(cfg.img_channels, features, 1, act);
            // The published epilogue gives this layer no clamp.
            Some(Conv::new(&vb.pp("fromrgb"), shape, taps, None)?)
        } else {
            None
        };
        let statistics = cfg.mbstd_num_channels;
        let shape = ConvConfig::new(features + statistics, features, 3, act);
        let fc = DenseConfig {
            activation: act,
            ..DenseConfig::linear(features * 16, features)
        };
        let out = DenseConfig::linear(features, cfg.cmap_dim().max(1));
        Ok(Self {
            from_rgb,
            conv: Conv::new(&vb.pp("conv"), shape, taps, cfg.conv_clamp)?,
            fc: Dense::new(&vb.pp("fc"), &fc)?,
            out: Dense::new(&vb.pp("out"), &out)?,
            group_size: cfg.mbstd_group_size,
            statistics,
        })
    }

    /// `x: [n, c, 4, 4]` to logits `[n, 1]`.
    pub fn forward(
        &self,
        x: Option<&Tensor>,
        img: Option<&Tensor>,
        cmap: Option<&Tensor>,
    ) -> Result<Tensor> {
        let own = match (&self.from_rgb, img) {
            (Some(from_rgb), Some(img)) => Some(from_rgb.forward(img, 1.0)?),
            _ => None,
        };
        let x = match (x, own) {
            (Some(x), Some(own)) => (x + own)?,
            (Some(x), None) => x.clone(),
            (None, Some(own)) => own,
            (None, None) => {
                return Err(Error::config(
                    "features",
                    "none",
                    "those of the block above",
                ));
            }
        };
        let x = if self.statistics > 0 {
            // A last, smaller batch forms one group of its own.
            let n = x.dim(0)?;
            let group = self.group_size.map(|group| group.min(n));
            minibatch_std(&x, group, self.statistics)?
        } else {
            x
        };
        let x = self.conv.forward(&x, 1.0)?;
        let x = self.fc.forward(&x.flatten_from(1)?)?;
        let y = self.out.forward(&x)?;
        match cmap {
            None => Ok(y),
            Some(cmap) => {
                let scale = 1.0 / (cmap.dim(1)? as f64).sqrt();
                Ok((y.mul(cmap)?.sum_keepdim(1)? * scale)?)
            }
        }
    }
}

impl Walk for Epilogue {
    fn walk(&self, path: &str, out: &mut Tensors) {
        if let Some(from_rgb) = &self.from_rgb {
            from_rgb.walk(&join(path, "fromrgb"), out);
        }
        self.conv.walk(&join(path, "conv"), out);
        self.fc.walk(&join(path, "fc"), out);
        self.out.walk(&join(path, "out"), out);
    }
}
