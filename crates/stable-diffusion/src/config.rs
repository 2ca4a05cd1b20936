//! What fixes the networks: the `config.json` of each part of a diffusers folder.
//!
//! Every size is read. What the networks here do not have is refused, and so is an entry of U-Net or autoencoder that nobody here
//! knows and that switches something on. Sources of what entries mean, and of their values where they are absent: huggingface/diffusers
//! `models/unets/unet_2d_condition.py`, `models/autoencoders/autoencoder_kl.py`, `schedulers/scheduling_ddim.py`;
//! huggingface/transformers `models/clip/configuration_clip.py`.

use std::path::Path;

use domex_clip::config::{Activation, TextConfig, TransformerConfig};
use domex_diffusion::Betas;
use serde_json::json;

use crate::entries::Entries;
use crate::{Error, Result};

/// The network that predicts.
#[derive(Debug, Clone, PartialEq)]
pub struct UNetConfig {
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Height and width of the latents that it was trained with.
    pub sample_size: usize,
    /// Channels of each level; each but the last halves the size.
    pub channels: Vec<usize>,
    /// Attention heads of each level.
    pub heads: Vec<usize>,
    /// Whether a level looks at the text and at itself. The middle always does.
    pub attends: Vec<bool>,
    /// Residual blocks of a level on the way down; one more on the way up.
    pub layers: usize,
    /// Groups of the norms.
    pub groups: usize,
    /// Added to the variance in the norms of residual blocks.
    pub eps: f64,
    /// Numbers in a token's state.
    pub text_width: usize,
    /// Whether what leads to attention and away from it is stored as a linear layer, else as a convolution of width 1.
    pub linear_projection: bool,
}

/// The autoencoder between pictures and latents.
#[derive(Debug, Clone, PartialEq)]
pub struct VaeConfig {
    /// Channels of each level; each but the last halves the size.
    pub channels: Vec<usize>,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// Residual blocks of a level of the encoder; the decoder has one more.
    pub layers: usize,
    /// Groups of the norms.
    pub groups: usize,
    /// What latents are multiplied by to have a deviation of about one.
    pub scaling_factor: f64,
}

/// The process that the network was trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessConfig {
    /// Its noise.
    pub betas: Betas,
    /// Its steps.
    pub train_steps: usize,
    /// What the network predicts.
    pub prediction: Prediction,
}

/// What a network predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity.
    Velocity,
}

impl UNetConfig {
    /// That of `unet/config.json`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a network that is not built here.
    pub fn read(path: &Path) -> Result<Self> {
        let mut entries = Entries::read(path)?;
        let channels = entries.list("block_out_channels")?;
        let levels = channels.len();
        let mut attends = Vec::new();
        for word in entries.words("down_block_types", levels)? {
            attends.push(match word.as_str() {
                "CrossAttnDownBlock2D" => true,
                "DownBlock2D" => false,
                _ => {
                    let expected = "CrossAttnDownBlock2D or DownBlock2D";
                    return Err(Error::config(path, "down_block_types", word, expected));
                }
            });
        }
        let up = attends.iter().rev().map(|attends| match attends {
            true => "CrossAttnUpBlock2D",
            false => "UpBlock2D",
        });
        let up: Vec<&str> = up.collect();
        let found = entries.words("up_block_types", levels)?;
        if found != up {
            let (found, expected) = (format!("{found:?}"), format!("{up:?}, as on the way down"));
            return Err(Error::config(path, "up_block_types", found, expected));
        }
        let config = Self {
            latent_channels: entries.size("in_channels")?,
            sample_size: entries.size("sample_size")?,
            heads: entries.sizes("attention_head_dim", levels)?,
            layers: entries.size("layers_per_block")?,
            groups: entries.size("norm_num_groups")?,
            eps: entries.number("norm_eps", 1e-5)?,
            text_width: entries.size("cross_attention_dim")?,
            linear_projection: entries.switch("use_linear_projection")?,
            channels,
            attends,
        };
        entries.fixed(&json!({
            "out_channels": config.latent_channels, "act_fn": "silu", "mid_block_type": "UNetMidBlock2DCrossAttn",
            "center_input_sample": false, "flip_sin_to_cos": true, "freq_shift": 0, "downsample_padding": 1,
            "mid_block_scale_factor": 1, "resnet_time_scale_shift": "default", "resnet_out_scale_factor": 1,
            "time_embedding_type": "positional", "transformer_layers_per_block": 1, "conv_in_kernel": 3, "conv_out_kernel": 3,
            "attention_type": "default",
        }))?;
        entries.finish(&[
            "dropout",
            "upcast_attention",
            "addition_embed_type_num_heads",
        ])?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<()> {
        for (level, &channels) in self.channels.iter().enumerate() {
            let groups = ("norm_num_groups", self.groups);
            for (key, found) in [groups, ("attention_head_dim", self.heads[level])] {
                divides(path, key, found, channels)?;
            }
        }
        let halved = 1 << (self.channels.len() - 1);
        if !self.sample_size.is_multiple_of(halved) {
            let expected = format!("a multiple of {halved}, as the network halves it");
            let found = self.sample_size;
            return Err(Error::config(path, "sample_size", found, expected));
        }
        if !self.channels[0].is_multiple_of(2) {
            let found = self.channels[0];
            let expected = "an even number of channels first, for the time's waves";
            return Err(Error::config(path, "block_out_channels", found, expected));
        }
        Ok(())
    }
}

impl VaeConfig {
    /// That of `vae/config.json`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a network that is not built here.
    pub fn read(path: &Path) -> Result<Self> {
        let mut entries = Entries::read(path)?;
        let channels = entries.list("block_out_channels")?;
        let config = Self {
            latent_channels: entries.size("latent_channels")?,
            layers: entries.size("layers_per_block")?,
            groups: entries.size("norm_num_groups")?,
            scaling_factor: entries.number("scaling_factor", 0.18215)?,
            channels,
        };
        let levels = config.channels.len();
        entries.fixed(&json!({
            "in_channels": 3, "out_channels": 3, "act_fn": "silu", "use_quant_conv": true, "use_post_quant_conv": true,
            "mid_block_add_attention": true, "down_block_types": vec!["DownEncoderBlock2D"; levels],
            "up_block_types": vec!["UpDecoderBlock2D"; levels],
        }))?;
        entries.finish(&["sample_size", "force_upcast"])?;
        for &channels in &config.channels {
            divides(path, "norm_num_groups", config.groups, channels)?;
        }
        Ok(config)
    }

    /// How many pixels on a side are one number of the latents.
    pub fn factor(&self) -> usize {
        1 << (self.channels.len() - 1)
    }
}

impl ProcessConfig {
    /// That of `scheduler/scheduler_config.json`. How a sampler of another program walks is passed over.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or a process that is none of latent diffusion.
    pub fn read(path: &Path) -> Result<Self> {
        let mut entries = Entries::read(path)?;
        entries.fixed(&json!({ "rescale_betas_zero_snr": false }))?;
        let schedule = entries.take("beta_schedule");
        let schedule = schedule.unwrap_or_else(|| json!("linear"));
        if schedule != "scaled_linear" {
            return Err(entries.wrong("beta_schedule", &schedule, "\"scaled_linear\""));
        }
        if let Some(betas) = entries.take("trained_betas") {
            return Err(entries.wrong("trained_betas", &betas, "null"));
        }
        let prediction = match entries.take("prediction_type") {
            None => Prediction::Epsilon,
            Some(value) => match value.as_str() {
                Some("epsilon") => Prediction::Epsilon,
                Some("v_prediction") => Prediction::Velocity,
                _ => {
                    let expected = "\"epsilon\" or \"v_prediction\"";
                    return Err(entries.wrong("prediction_type", &value, expected));
                }
            },
        };
        Ok(Self {
            betas: Betas::ScaledLinear {
                first: entries.number("beta_start", 0.0001)?,
                last: entries.number("beta_end", 0.02)?,
            },
            train_steps: entries.size("num_train_timesteps")?,
            prediction,
        })
    }
}

/// That of `text_encoder/config.json`.
///
/// # Errors
///
/// A file that cannot be read, or another network than CLIP's text encoder.
pub fn text_config(path: &Path) -> Result<TextConfig> {
    let mut entries = Entries::read(path)?;
    entries.fixed(&json!({ "model_type": "clip_text_model" }))?;
    let activation = match entries.take("hidden_act") {
        None => Activation::QuickGelu,
        Some(value) => match value.as_str() {
            Some("quick_gelu") => Activation::QuickGelu,
            Some("gelu") => Activation::Gelu,
            _ => return Err(entries.wrong("hidden_act", &value, "\"quick_gelu\" or \"gelu\"")),
        },
    };
    let config = TextConfig {
        transformer: TransformerConfig {
            width: entries.size("hidden_size")?,
            layers: entries.size("num_hidden_layers")?,
            heads: entries.size("num_attention_heads")?,
            mlp_width: entries.size("intermediate_size")?,
            activation,
            eps: entries.number("layer_norm_eps", 1e-5)?,
        },
        vocab_size: entries.size("vocab_size")?,
        context_length: entries.size("max_position_embeddings")?,
        end_token: None,
    };
    config
        .validate()
        .map_err(|error| Error::file(path, error.to_string()))?;
    Ok(config)
}

fn divides(path: &Path, key: &str, divisor: usize, channels: usize) -> Result<()> {
    match channels.is_multiple_of(divisor) {
        true => Ok(()),
        false => {
            let expected = format!("a divisor of {channels} channels");
            Err(Error::config(path, key, divisor, expected))
        }
    }
}
