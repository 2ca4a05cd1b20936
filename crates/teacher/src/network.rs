//! The network: a noisy picture, its time and a text to the velocity.
//!
//! The picture is cut into patches of `patch × patch` pixels, whose values become channels, so that the U-Net works at a
//! fraction of the size; the text's features pass two linear layers and then condition every residual block as the semantic
//! code of a Diffusion Autoencoder does.
//!
//! Tensors: `text_embed.{0,2}` and those of [`UNet`] below `unet`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffae::{Heads, Resampling, UNet, UNetConfig};
use domex_diffusion::layers::{Linear, silu};
use domex_diffusion::{Betas, Diffusion, HeadOrder};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What fixes the network and its process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pixels on a side of a patch.
    pub patch: usize,
    /// Numbers in a text's features.
    pub text_dim: usize,
    /// The U-Net on patches.
    pub unet: UNetConfig,
    /// The noise schedule.
    pub betas: Betas,
    /// Steps of the process as trained.
    pub train_steps: usize,
}

impl Config {
    /// A network of pictures of `size` pixels with these channels at each level of the U-Net, on patches of 2 × 2, for texts of
    /// `text_dim` features.
    pub fn new(size: usize, text_dim: usize, channels: &[usize]) -> Self {
        let patch = 2;
        let colours = 3 * patch * patch;
        let heads = Heads::Count(2);
        Self {
            patch,
            text_dim,
            unet: UNetConfig {
                image_size: size / patch,
                in_channels: colours,
                out_channels: colours,
                model_channels: channels.first().copied().unwrap_or(0),
                embed_channels: 4 * channels.first().copied().unwrap_or(0),
                cond_channels: text_dim,
                input_channels: channels.to_vec(),
                output_channels: channels.to_vec(),
                num_input_res_blocks: 1,
                num_res_blocks: 1,
                attention_resolutions: vec![(size / patch) >> (channels.len().max(1) - 1)],
                heads,
                heads_upsample: heads,
                head_order: HeadOrder::HeadsFirst,
                resampling: Resampling::ResBlock,
            },
            betas: Betas::Cosine,
            train_steps: 1000,
        }
    }

    /// Width and height of a picture.
    pub fn size(&self) -> usize {
        self.unet.image_size.saturating_mul(self.patch)
    }

    /// The process as trained.
    ///
    /// # Errors
    ///
    /// A schedule that cannot be.
    pub fn process(&self) -> Result<Diffusion> {
        Ok(Diffusion::new(&self.betas, self.train_steps)?)
    }

    fn validate(&self) -> Result<()> {
        const MOST: usize = 1 << 12;
        self.unet.validate()?;
        for (what, value) in [("patch", self.patch), ("text_dim", self.text_dim)] {
            if value == 0 || value > MOST {
                return Err(Error::config(what, value, format!("1 to {MOST}")));
            }
        }
        let colours = 3 * self.patch * self.patch;
        for (what, found) in [
            ("unet.in_channels", self.unet.in_channels),
            ("unet.out_channels", self.unet.out_channels),
        ] {
            if found != colours {
                let expected = format!("{colours}, the colours of a patch");
                return Err(Error::config(what, found, expected));
            }
        }
        Ok(())
    }
}

/// The network. See the top of this module.
#[derive(Debug, Clone)]
pub struct Network {
    text: [Linear; 2],
    unet: UNet,
    config: Config,
}

impl Network {
    /// Reads `text_embed` and `unet`; variables stay variables.
    ///
    /// # Errors
    ///
    /// A configuration out of range, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.validate()?;
        let (text, cond) = (vb.pp("text_embed"), config.unet.cond_channels);
        Ok(Self {
            text: [
                Linear::new(&text.pp(0), config.text_dim, cond)?,
                Linear::new(&text.pp(2), cond, cond)?,
            ],
            unet: UNet::new(&vb.pp("unet"), &config.unet)?,
            config: config.clone(),
        })
    }

    /// What fixes the shapes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The velocity in `x: [n, 3, size, size]` at the timestep of each sample, of the shape of `x`. `text: [n, text_dim]` are
    /// features of length 1, or zeros for no text.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn velocity(&self, x: &Tensor, t: &[f64], text: &Tensor) -> Result<Tensor> {
        let (n, size, patch) = (t.len(), self.config.size(), self.config.patch);
        if x.dims() != [n, 3, size, size] {
            let (found, expected) = (format!("{:?}", x.dims()), [n, 3, size, size]);
            return Err(Error::config(
                "noisy pictures",
                found,
                format!("{expected:?}"),
            ));
        }
        if text.dims() != [n, self.config.text_dim] {
            let (found, expected) = (format!("{:?}", text.dims()), [n, self.config.text_dim]);
            return Err(Error::config(
                "features of texts",
                found,
                format!("{expected:?}"),
            ));
        }
        // Of variance 1, not of length 1: what a linear layer expects.
        let text = (text * (self.config.text_dim as f64).sqrt())?;
        let cond = self.text[1].forward(&silu(&self.text[0].forward(&text)?)?)?;
        let side = size / patch;
        let patches = x
            .reshape(&[n, 3, side, patch, side, patch][..])?
            .permute(vec![0, 1, 3, 5, 2, 4])?
            .contiguous()?
            .reshape((n, 3 * patch * patch, side, side))?;
        let velocity = self.unet.forward(&patches, t, &cond)?;
        Ok(velocity
            .reshape(&[n, 3, patch, patch, side, side][..])?
            .permute(vec![0, 1, 4, 2, 5, 3])?
            .contiguous()?
            .reshape((n, 3, size, size))?)
    }
}
