//! The published keyword arguments.

use serde::Deserialize;
use serde_json::Value as Json;

use super::{
    Activation, Config, DiffusionConfig, EncoderConfig, Heads, LatentConfig, Prediction,
    Resampling, UNetConfig,
};
use crate::{Error, Result};
use domex_diffusion::HeadOrder;

/// The arguments of the published networks, by their names; what is not here changes no network.
#[derive(Deserialize)]
struct Published {
    image_size: usize,
    in_channels: usize,
    model_channels: usize,
    out_channels: usize,
    num_res_blocks: usize,
    num_input_res_blocks: Option<usize>,
    embed_channels: usize,
    attention_resolutions: Vec<usize>,
    channel_mult: Vec<f64>,
    input_channel_mult: Option<Vec<f64>>,
    conv_resample: bool,
    num_heads: usize,
    num_head_channels: i64,
    num_heads_upsample: i64,
    resblock_updown: bool,
    use_new_attention_order: bool,
    resnet_two_cond: bool,
    resnet_cond_channels: Option<usize>,
    num_classes: Option<usize>,
    enc_out_channels: usize,
    enc_attn_resolutions: Option<Vec<usize>>,
    enc_pool: String,
    enc_num_res_block: usize,
    enc_channel_mult: Option<Vec<f64>>,
    latent_net_conf: Option<Json>,
}

/// The arguments of the published latent prior.
#[derive(Deserialize)]
struct PublishedLatent {
    num_channels: usize,
    skip_layers: Vec<usize>,
    num_hid_channels: usize,
    num_layers: usize,
    num_time_emb_channels: usize,
    activation: Activation,
    use_norm: bool,
    condition_bias: f64,
    last_act: Activation,
    num_time_layers: usize,
    time_last_act: bool,
}

impl Config {
    /// From the keyword arguments of the published autoencoder (`model_channels`, `channel_mult`, ..), with the published
    /// schedules.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for an argument that is missing, of another type, out of range, or of a variant that was never
    /// published.
    pub fn from_published(kwargs: &Json) -> Result<Self> {
        let p = Published::deserialize(kwargs)
            .map_err(|error| Error::config("keyword arguments", error, "an autoencoder's"))?;
        for (name, found, wanted) in [
            ("resnet_two_cond", p.resnet_two_cond.to_string(), "true"),
            ("enc_pool", p.enc_pool.clone(), "adaptivenonzero"),
            ("num_classes", p.num_classes.unwrap_or(0).to_string(), "0"),
        ] {
            if found != wanted {
                return Err(Error::config(name, found, wanted));
            }
        }
        let config = Self {
            unet: p.unet(),
            encoder: p.encoder(),
            latent: match &p.latent_net_conf {
                None => None,
                Some(kwargs) => Some(LatentConfig::from_published(kwargs)?),
            },
            diffusion: DiffusionConfig::default(),
            prediction: Prediction::Noise,
        };
        config.validate()?;
        Ok(config)
    }
}

impl Published {
    fn channels(&self, mult: &[f64]) -> Vec<usize> {
        let width = self.model_channels as f64;
        mult.iter().map(|m| (m * width) as usize).collect()
    }

    fn heads(&self, count: usize) -> Heads {
        match usize::try_from(self.num_head_channels) {
            Ok(depth) => Heads::Channels(depth),
            Err(_) => Heads::Count(count),
        }
    }

    fn head_order(&self) -> HeadOrder {
        if self.use_new_attention_order {
            HeadOrder::KindsFirst
        } else {
            HeadOrder::HeadsFirst
        }
    }

    fn resampling(&self) -> Resampling {
        match (self.resblock_updown, self.conv_resample) {
            (true, _) => Resampling::ResBlock,
            (false, true) => Resampling::Conv,
            (false, false) => Resampling::Plain,
        }
    }

    fn unet(&self) -> UNetConfig {
        let input = self.input_channel_mult.as_ref();
        let up = usize::try_from(self.num_heads_upsample).unwrap_or(self.num_heads);
        UNetConfig {
            image_size: self.image_size,
            in_channels: self.in_channels,
            out_channels: self.out_channels,
            model_channels: self.model_channels,
            embed_channels: self.embed_channels,
            cond_channels: self.resnet_cond_channels.unwrap_or(self.embed_channels),
            input_channels: self.channels(input.unwrap_or(&self.channel_mult)),
            output_channels: self.channels(&self.channel_mult),
            num_input_res_blocks: self.num_input_res_blocks.unwrap_or(self.num_res_blocks),
            num_res_blocks: self.num_res_blocks,
            attention_resolutions: self.attention_resolutions.clone(),
            heads: self.heads(self.num_heads),
            heads_upsample: self.heads(up),
            head_order: self.head_order(),
            resampling: self.resampling(),
            patch: 1,
        }
    }

    fn encoder(&self) -> EncoderConfig {
        let mult = self.enc_channel_mult.as_ref().unwrap_or(&self.channel_mult);
        let attention = self.enc_attn_resolutions.as_ref();
        EncoderConfig {
            image_size: self.image_size,
            in_channels: self.in_channels,
            out_channels: self.enc_out_channels,
            channels: self.channels(mult),
            num_res_blocks: self.enc_num_res_block,
            attention_resolutions: attention.unwrap_or(&self.attention_resolutions).clone(),
            heads: self.heads(self.num_heads),
            head_order: self.head_order(),
            resampling: self.resampling(),
            patch: 1,
        }
    }
}

impl LatentConfig {
    /// From the keyword arguments of the published latent prior (`num_channels`, `skip_layers`, ..).
    ///
    /// # Errors
    ///
    /// As [`Config::from_published`].
    pub fn from_published(kwargs: &Json) -> Result<Self> {
        let p = PublishedLatent::deserialize(kwargs)
            .map_err(|error| Error::config("keyword arguments", error, "a latent prior's"))?;
        let config = Self {
            channels: p.num_channels,
            hidden_channels: p.num_hid_channels,
            layers: p.num_layers,
            skip_layers: p.skip_layers,
            time_channels: p.num_time_emb_channels,
            time_layers: p.num_time_layers,
            time_last_activation: p.time_last_act,
            activation: p.activation,
            last_activation: p.last_act,
            use_norm: p.use_norm,
            condition_bias: p.condition_bias,
        };
        config.validate()?;
        Ok(config)
    }
}
