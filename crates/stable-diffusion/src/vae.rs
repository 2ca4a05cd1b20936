//! The autoencoder: pictures to latents of an eighth of their size, and back (Rombach et al. 2022, arXiv 2112.10752).
//!
//! Keys and arithmetic are those of `AutoencoderKL` of huggingface/diffusers. The encoder gives a distribution, of which the mean is
//! taken: nothing here is random.

use candle_core::{D, Tensor};
use candle_nn::VarBuilder;
use domex_ops::upsample_nearest;

use crate::layers::{Attention, Conv, GroupNorm, ResBlock, ResBlockConfig, to_picture, to_tokens};
use crate::{Result, VaeConfig};

const EPS: f64 = 1e-6;

/// Two residual blocks with attention of all places to all others between them.
#[derive(Debug, Clone)]
struct Middle {
    blocks: [ResBlock; 2],
    norm: GroupNorm,
    attention: Attention,
}

impl Middle {
    fn new(vb: &VarBuilder<'_>, channels: usize, cfg: ResBlockConfig) -> Result<Self> {
        let block =
            |i: usize| ResBlock::new(&vb.pp(format!("resnets.{i}")), channels, channels, cfg);
        let attention = vb.pp("attentions.0");
        Ok(Self {
            blocks: [block(0)?, block(1)?],
            norm: GroupNorm::new(&attention.pp("group_norm"), channels, cfg.groups, EPS)?,
            attention: Attention::with_biases(&attention, channels)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.blocks[0].forward(x, None)?;
        let tokens = to_tokens(&self.norm.forward(&x)?)?;
        let seen = self.attention.forward(&tokens, &tokens)?;
        self.blocks[1].forward(&(to_picture(&seen, &x)? + &x)?, None)
    }
}

/// One half: a convolution, levels and the middle between them and the end.
#[derive(Debug, Clone)]
struct Half {
    first: Conv,
    levels: Vec<(Vec<ResBlock>, Option<Conv>)>,
    middle: Middle,
    norm: GroupNorm,
    last: Conv,
}

impl Half {
    /// `channels` in the order in which they are passed; the middle is where the picture is smallest.
    fn new(
        vb: &VarBuilder<'_>,
        [inputs, outputs]: [usize; 2],
        channels: &[usize],
        is_encoder: bool,
        cfg: &VaeConfig,
    ) -> Result<Self> {
        let inner = ResBlockConfig {
            groups: cfg.groups,
            eps: EPS,
            time: None,
        };
        let (n, first, end) = (channels.len(), channels[0], channels[channels.len() - 1]);
        let (levels, layers, deep) = match is_encoder {
            true => ("down_blocks", cfg.layers, end),
            false => ("up_blocks", cfg.layers + 1, first),
        };
        let levels = (0..n).map(|at| {
            let (vb, width) = (vb.pp(format!("{levels}.{at}")), channels[at]);
            let blocks = (0..layers).map(|i| {
                let inputs = if i == 0 {
                    channels[at.saturating_sub(1)]
                } else {
                    width
                };
                ResBlock::new(&vb.pp(format!("resnets.{i}")), inputs, width, inner)
            });
            let resample = || match is_encoder {
                true => Conv::halving(&vb.pp("downsamplers.0.conv"), width, 0),
                false => Conv::new(&vb.pp("upsamplers.0.conv"), width, width, 3),
            };
            Ok((
                blocks.collect::<Result<Vec<_>>>()?,
                (at + 1 < n).then(resample).transpose()?,
            ))
        });
        Ok(Self {
            first: Conv::new(&vb.pp("conv_in"), inputs, first, 3)?,
            levels: levels.collect::<Result<_>>()?,
            middle: Middle::new(&vb.pp("mid_block"), deep, inner)?,
            norm: GroupNorm::new(&vb.pp("conv_norm_out"), end, cfg.groups, EPS)?,
            last: Conv::new(&vb.pp("conv_out"), end, outputs, 3)?,
        })
    }

    fn levels(
        &self,
        x: &Tensor,
        resample: impl Fn(&Conv, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let mut x = x.clone();
        for (blocks, conv) in &self.levels {
            for block in blocks {
                x = block.forward(&x, None)?;
            }
            if let Some(conv) = conv {
                x = resample(conv, &x)?;
            }
        }
        Ok(x)
    }

    fn end(&self, x: &Tensor) -> Result<Tensor> {
        self.last.forward(&self.norm.silu(x)?)
    }
}

/// The autoencoder. See the top of this module.
#[derive(Debug, Clone)]
pub struct Vae {
    encoder: Half,
    decoder: Half,
    moments: Conv,
    latents: Conv,
    config: VaeConfig,
}

impl Vae {
    /// Reads the network.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &VaeConfig) -> Result<Self> {
        let (c, twice) = (cfg.latent_channels, 2 * cfg.latent_channels);
        let mut reversed = cfg.channels.clone();
        reversed.reverse();
        Ok(Self {
            encoder: Half::new(&vb.pp("encoder"), [3, twice], &cfg.channels, true, cfg)?,
            decoder: Half::new(&vb.pp("decoder"), [c, 3], &reversed, false, cfg)?,
            moments: Conv::new(&vb.pp("quant_conv"), twice, twice, 1)?,
            latents: Conv::new(&vb.pp("post_quant_conv"), c, c, 1)?,
            config: cfg.clone(),
        })
    }

    /// Latents `[n, c, h/f, w/f]` of `pictures: [n, 3, h, w]` in `[-1, 1]`, in the scale of the U-Net; `f` is
    /// [`VaeConfig::factor`].
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn encode(&self, pictures: &Tensor) -> Result<Tensor> {
        let x = self.encoder.first.forward(pictures)?;
        // On the right and at the bottom alone, as the published networks learnt it.
        let halve = |conv: &Conv, x: &Tensor| {
            let x = x.pad_with_zeros(D::Minus1, 0, 1)?;
            conv.forward(&x.pad_with_zeros(D::Minus2, 0, 1)?)
        };
        let x = self.encoder.levels(&x, halve)?;
        let x = self.encoder.end(&self.encoder.middle.forward(&x)?)?;
        let mean = self
            .moments
            .forward(&x)?
            .narrow(1, 0, self.config.latent_channels)?;
        Ok((mean * self.config.scaling_factor)?)
    }

    /// Pictures of latents in the scale of the U-Net, not clamped.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let x = (latents / self.config.scaling_factor)?;
        let x = self.decoder.first.forward(&self.latents.forward(&x)?)?;
        let double = |conv: &Conv, x: &Tensor| conv.forward(&upsample_nearest(x, 2)?);
        let x = self
            .decoder
            .levels(&self.decoder.middle.forward(&x)?, double)?;
        self.decoder.end(&x)
    }
}
