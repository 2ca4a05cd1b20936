//! The network: a noisy picture, its time and a text to the velocity.
//!
//! The U-Net works on patches of pixels, at a fraction of the size; the text's features pass two linear layers and then condition every residual block as the semantic
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
    /// Numbers in a text's features.
    pub text_dim: usize,
    /// The U-Net.
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
        let heads = Heads::Count(2);
        Self {
            text_dim,
            unet: UNetConfig {
                image_size: size,
                in_channels: 3,
                out_channels: 3,
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
                patch,
            },
            betas: Betas::Cosine,
            train_steps: 1000,
        }
    }

    /// Width and height of a picture.
    pub fn size(&self) -> usize {
        self.unet.image_size
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
        if self.text_dim == 0 || self.text_dim > MOST {
            return Err(Error::config(
                "text_dim",
                self.text_dim,
                format!("1 to {MOST}"),
            ));
        }
        for (what, found) in [
            ("unet.in_channels", self.unet.in_channels),
            ("unet.out_channels", self.unet.out_channels),
        ] {
            if found != 3 {
                return Err(Error::config(what, found, "3, red, green and blue"));
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
        let (n, size) = (t.len(), self.config.size());
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
        Ok(self.unet.forward(x, t, &cond)?)
    }
}
