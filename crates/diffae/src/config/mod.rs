//! What fixes the networks. Saved beside their weights.

pub(crate) mod check;
mod published;

use domex_diffusion::{Betas, Diffusion, HeadOrder};
use serde::{Deserialize, Serialize};

use crate::Result;

/// All of a diffusion autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The decoder.
    pub unet: UNetConfig,
    /// The semantic encoder.
    pub encoder: EncoderConfig,
    /// The latent prior; None for an autoencoder without one.
    pub latent: Option<LatentConfig>,
    /// The schedules.
    pub diffusion: DiffusionConfig,
    /// What the U-Net's last layer says.
    #[serde(default)]
    pub prediction: Prediction,
}

/// What a U-Net's last layer says of a noisy picture; [`UNet::forward`](crate::UNet::forward) makes noise of either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The noise: the published networks.
    #[default]
    Noise,
    /// The velocity, whose mean of squares weights all times evenly, so that what noise hides is learnt much sooner
    /// (Salimans and Ho 2022, arXiv 2202.00512).
    Velocity,
}

/// The conditional U-Net. A *level* is a size of the picture: level 0 the whole one, each next one half as large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UNetConfig {
    /// Width and height of a picture.
    pub image_size: usize,
    /// Colours of a picture.
    pub in_channels: usize,
    /// Colours of the prediction.
    pub out_channels: usize,
    /// Size of the sinusoidal timestep embedding.
    pub model_channels: usize,
    /// Size of the time embedding that the blocks get.
    pub embed_channels: usize,
    /// Size of `z_sem`.
    pub cond_channels: usize,
    /// Channels at each level on the way down.
    pub input_channels: Vec<usize>,
    /// Channels at each level on the way up; those of level 0 are also the first convolution's.
    pub output_channels: Vec<usize>,
    /// Residual blocks of a level on the way down. On the way up there is one more than `num_res_blocks`.
    pub num_input_res_blocks: usize,
    /// See `num_input_res_blocks`.
    pub num_res_blocks: usize,
    /// Sizes of the picture at which blocks have attention.
    pub attention_resolutions: Vec<usize>,
    /// Heads of attention on the way down and in the middle.
    pub heads: Heads,
    /// Heads of attention on the way up.
    pub heads_upsample: Heads,
    /// Where queries, keys and values lie.
    pub head_order: HeadOrder,
    /// How levels are connected.
    pub resampling: Resampling,
    /// Pixels on a side of the patches that the network works on ([`domex_diffusion::patches`]); 1 in published networks.
    #[serde(default = "pixels")]
    pub patch: usize,
}

/// The semantic encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Width and height of a picture.
    pub image_size: usize,
    /// Colours of a picture.
    pub in_channels: usize,
    /// Size of `z_sem`.
    pub out_channels: usize,
    /// Channels at each level.
    pub channels: Vec<usize>,
    /// Residual blocks of a level.
    pub num_res_blocks: usize,
    /// Sizes of the picture at which blocks have attention.
    pub attention_resolutions: Vec<usize>,
    /// Heads of attention.
    pub heads: Heads,
    /// Where queries, keys and values lie.
    pub head_order: HeadOrder,
    /// How levels are connected.
    pub resampling: Resampling,
    /// Pixels on a side of the patches that the network works on; 1 in published networks.
    #[serde(default = "pixels")]
    pub patch: usize,
}

/// A patch of one pixel.
fn pixels() -> usize {
    1
}

/// The latent prior: an MLP that is given its input again at some layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentConfig {
    /// Size of `z_sem`.
    pub channels: usize,
    /// Size of the layers between.
    pub hidden_channels: usize,
    /// Layers, with the last one.
    pub layers: usize,
    /// Layers that get the input again, by index.
    pub skip_layers: Vec<usize>,
    /// Size of the sinusoidal timestep embedding.
    pub time_channels: usize,
    /// Linear layers behind it.
    pub time_layers: usize,
    /// Whether an activation follows the last of those.
    pub time_last_activation: bool,
    /// The activation.
    pub activation: Activation,
    /// What follows the last layer.
    pub last_activation: Activation,
    /// Whether layers are normalized.
    pub use_norm: bool,
    /// What is added to the factors that come from the time.
    pub condition_bias: f64,
}

/// The schedules of pictures and of latents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionConfig {
    /// Steps of training, for both.
    pub train_steps: usize,
    /// The schedule of pictures.
    pub betas: Betas,
    /// The schedule of latents.
    pub latent_betas: Betas,
    /// Whether the networks see time scaled to 0 .. 1000.
    pub rescale_timesteps: bool,
}

/// Heads of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heads {
    /// So many.
    Count(usize),
    /// As many as have so many channels each.
    Channels(usize),
}

/// How the levels of a network are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resampling {
    /// By residual blocks that resample inside: the published networks.
    ResBlock,
    /// By a strided convolution down, and nearest neighbours and a convolution up.
    Conv,
    /// By means of 2 × 2 blocks down, and nearest neighbours up.
    Plain,
}

/// An activation of the latent prior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// The identity.
    None,
    /// Rectifier.
    Relu,
    /// Rectifier with slope 0.2 below zero.
    Lrelu,
    /// `x σ(x)`.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
}

impl Default for DiffusionConfig {
    /// The published one.
    fn default() -> Self {
        Self {
            train_steps: 1000,
            betas: Betas::Linear,
            latent_betas: Betas::Constant(0.008),
            rescale_timesteps: false,
        }
    }
}

impl DiffusionConfig {
    /// The process of pictures, as trained.
    ///
    /// # Errors
    ///
    /// A schedule that cannot be.
    pub fn pictures(&self) -> Result<Diffusion> {
        self.process(&self.betas)
    }

    /// The process of latents, as trained.
    ///
    /// # Errors
    ///
    /// A schedule that cannot be.
    pub fn latents(&self) -> Result<Diffusion> {
        self.process(&self.latent_betas)
    }

    fn process(&self, betas: &Betas) -> Result<Diffusion> {
        let process = Diffusion::new(betas, self.train_steps)?;
        Ok(process.with_rescaled_timesteps(self.rescale_timesteps))
    }
}

impl Config {
    /// A network of pictures of 16² for tests and examples.
    #[must_use]
    pub fn tiny() -> Self {
        Self::with_levels(16, 8, &[1, 2], &[1, 2, 2], 32, 8)
    }

    /// The networks of ffhq64.
    #[must_use]
    pub fn ffhq64() -> Self {
        Self::with_levels(64, 64, &[1, 2, 4, 8], &[1, 2, 4, 8, 8], 512, 16)
    }

    /// The networks of ffhq128, horse128 and bedroom128, with the prior of ffhq128.
    #[must_use]
    pub fn ffhq128() -> Self {
        Self::with_levels(128, 128, &[1, 1, 2, 3, 4], &[1, 1, 2, 3, 4, 4], 512, 16)
    }

    /// The networks of ffhq256.
    #[must_use]
    pub fn ffhq256() -> Self {
        let (down, encoder) = ([1, 1, 2, 2, 4, 4], [1, 1, 2, 2, 4, 4, 4]);
        Self::with_levels(256, 128, &down, &encoder, 512, 16)
    }

    /// What the published networks have in common: `width` times `channel_mult` channels at each level of the U-Net and `encoder_mult`
    /// of the encoder, `cond` numbers in `z_sem`, and attention where a picture has `attention` pixels on a side.
    #[must_use]
    pub fn with_levels(
        image_size: usize,
        width: usize,
        channel_mult: &[usize],
        encoder_mult: &[usize],
        cond: usize,
        attention: usize,
    ) -> Self {
        let channels = |mult: &[usize]| mult.iter().map(|m| m * width).collect::<Vec<_>>();
        let heads = Heads::Count(1);
        Self {
            unet: UNetConfig {
                image_size,
                in_channels: 3,
                out_channels: 3,
                model_channels: width,
                embed_channels: cond,
                cond_channels: cond,
                input_channels: channels(channel_mult),
                output_channels: channels(channel_mult),
                num_input_res_blocks: 2,
                num_res_blocks: 2,
                attention_resolutions: vec![attention],
                heads,
                heads_upsample: heads,
                head_order: HeadOrder::HeadsFirst,
                resampling: Resampling::ResBlock,
                patch: 1,
            },
            encoder: EncoderConfig {
                image_size,
                in_channels: 3,
                out_channels: cond,
                channels: channels(encoder_mult),
                num_res_blocks: 2,
                attention_resolutions: vec![attention],
                heads,
                head_order: HeadOrder::HeadsFirst,
                resampling: Resampling::ResBlock,
                patch: 1,
            },
            latent: Some(LatentConfig::published(cond)),
            diffusion: DiffusionConfig::default(),
            prediction: Prediction::Noise,
        }
    }
}

impl LatentConfig {
    /// The published prior of codes of `channels` numbers.
    #[must_use]
    pub fn published(channels: usize) -> Self {
        Self {
            channels,
            hidden_channels: 4 * channels,
            layers: 10,
            skip_layers: (1..10).collect(),
            time_channels: 64,
            time_layers: 2,
            time_last_activation: false,
            activation: Activation::Silu,
            last_activation: Activation::None,
            use_norm: true,
            condition_bias: 1.0,
        }
    }
}
