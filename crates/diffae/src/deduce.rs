//! The configuration from a checkpoint's names and shapes.
//!
//! Shapes tell channels, sizes and depths. On the way up each level but the last ends with a block that doubles the picture, so
//! the way up tells the number of levels and of blocks; the way down and the encoder follow from their number of stages. Which
//! stages have attention tells the resolutions, given the size of a picture ([`Hints`]).
//!
//! What leaves no trace in names and shapes keeps the published default: one head of attention, the published schedules, SiLU
//! and a bias of 1 in the latent prior.

use domex_diffusion::{Betas, HeadOrder};

use crate::config::check::MAX_LEVELS;
use crate::config::{
    Activation, Config, DiffusionConfig, EncoderConfig, Heads, LatentConfig, Prediction,
    Resampling, UNetConfig,
};
use crate::weights::Shapes;
use crate::{Error, Result};

/// The size at which published networks have attention.
const ATTENTION: usize = 16;

/// What a checkpoint says beside its networks' tensors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hints {
    /// Width of a picture, from the stored noise or the training run's settings.
    pub image_size: Option<usize>,
    /// Heads of attention.
    pub heads: Option<usize>,
    /// Steps of training.
    pub train_steps: Option<usize>,
    /// The schedule of pictures.
    pub betas: Option<Betas>,
    /// The schedule of latents.
    pub latent_betas: Option<Betas>,
    /// The bias of the latent prior's conditions.
    pub condition_bias: Option<f64>,
}

impl Config {
    /// Deduces the networks from the shapes under their published names (`input_blocks.0.0.weight`, ...).
    ///
    /// Only what is needed is looked at; [`Autoencoder::from_tensors`](crate::Autoencoder::from_tensors) compares all names and
    /// shapes with the configuration.
    ///
    /// # Errors
    ///
    /// [`Error::Deduce`] when a tensor is missing that every autoencoder has, or the numbers fit no network.
    pub fn deduce(shapes: &Shapes, hints: &Hints) -> Result<Self> {
        let look = Look { shapes };
        let heads = Heads::Count(hints.heads.unwrap_or(1));
        let unet = look.unet(hints.image_size, heads)?;
        let encoder = look.encoder(&unet)?;
        let has_latent = shapes.keys().any(|name| name.starts_with("latent_net."));
        let latent = || look.latent(hints.condition_bias.unwrap_or(1.0));
        let latent = has_latent.then(latent).transpose()?;
        let published = DiffusionConfig::default();
        let config = Self {
            unet,
            encoder,
            latent,
            diffusion: DiffusionConfig {
                train_steps: hints.train_steps.unwrap_or(published.train_steps),
                betas: hints.betas.unwrap_or(published.betas),
                latent_betas: hints.latent_betas.unwrap_or(published.latent_betas),
                ..published
            },
            prediction: Prediction::Noise,
        };
        config.validate()?;
        Ok(config)
    }
}

/// Looks names up.
struct Look<'a> {
    shapes: &'a Shapes,
}

/// The way down of a network as its tensors show it.
struct Down {
    /// Channels that each stage gives.
    channels: Vec<usize>,
    /// Whether each stage has attention.
    attention: Vec<bool>,
    /// Stages that halve by a convolution.
    convs: Vec<usize>,
}

impl Look<'_> {
    fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    fn dim(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = self.shapes.get(name).ok_or_else(|| {
            Error::deduce(format!(
                "there is no tensor {name}, which every diffusion autoencoder has"
            ))
        })?;
        shape.get(axis).copied().ok_or_else(|| {
            Error::deduce(format!(
                "tensor {name} has shape {shape:?}, expected more than {axis} dimensions"
            ))
        })
    }

    fn down(&self, prefix: &str) -> Result<Down> {
        let first = self.dim(&format!("{prefix}input_blocks.0.0.weight"), 0)?;
        let mut down = Down {
            channels: vec![first],
            attention: vec![false],
            convs: Vec::new(),
        };
        for i in 1.. {
            let node = format!("{prefix}input_blocks.{i}");
            let (res, conv) = (
                format!("{node}.0.in_layers.2.weight"),
                format!("{node}.0.op.weight"),
            );
            if self.has(&res) {
                down.channels.push(self.dim(&res, 0)?);
            } else if self.has(&conv) {
                down.channels.push(self.dim(&conv, 0)?);
                down.convs.push(i);
            } else {
                break;
            }
            down.attention
                .push(self.has(&format!("{node}.1.qkv.weight")));
        }
        Ok(down)
    }

    fn unet(&self, image_size: Option<usize>, heads: Heads) -> Result<UNetConfig> {
        let time = "time_embed.time_embed.0.weight";
        let (embed_channels, model_channels) = (self.dim(time, 0)?, self.dim(time, 1)?);
        let cond = "middle_block.0.cond_emb_layers.1.weight";
        let down = self.down("")?;

        // The way up: channels of each stage, and which of them double.
        let mut ups = Vec::new();
        let mut channels = Vec::new();
        for i in 0.. {
            let node = format!("output_blocks.{i}");
            let res = format!("{node}.0.in_layers.2.weight");
            if !self.has(&res) {
                break;
            }
            channels.push(self.dim(&res, 0)?);
            let doubles = |j: usize| {
                self.has(&format!("{node}.{j}.in_layers.0.weight"))
                    || self.has(&format!("{node}.{j}.conv.weight"))
            };
            if doubles(1) || doubles(2) {
                ups.push(i);
            }
        }
        let levels = ups.len() + 1;
        let stages = channels.len();
        let per_level = stages / levels;
        let mut doubled = ups.iter().enumerate();
        let regular = doubled.all(|(k, &up)| up + 1 == (k + 1) * per_level);
        if per_level < 2 || !stages.is_multiple_of(levels) || !regular || levels > MAX_LEVELS {
            return Err(Error::deduce(format!(
                "{stages} stages on the way up, of which {ups:?} double the picture, are no whole levels"
            )));
        }
        let num_input_res_blocks =
            blocks_of_levels(down.channels.len(), levels).ok_or_else(|| {
                let found = down.channels.len();
                Error::deduce(format!(
                    "{found} stages on the way down are no {levels} levels"
                ))
            })?;
        let resampling =
            self.resampling(&down, levels, &format!("output_blocks.{}", per_level - 1));
        let input_channels = down.of_levels(levels, num_input_res_blocks);
        let output_channels = (0..levels).rev().map(|k| channels[k * per_level]);
        let output_channels: Vec<usize> = output_channels.collect();
        let levels_of_attention = down.levels_with_attention(levels, num_input_res_blocks)?;
        let image_size = match (image_size, levels_of_attention.first()) {
            (Some(size), _) => size,
            (None, Some(&level)) => ATTENTION << level,
            (None, None) => {
                return Err(Error::deduce(
                    "neither the stored noise x_T nor the settings of the training run nor attention tells the size of a picture",
                ));
            }
        };
        let attention_resolutions = levels_of_attention.iter();
        let attention_resolutions = attention_resolutions.map(|level| image_size >> level);
        Ok(UNetConfig {
            image_size,
            in_channels: self.dim("input_blocks.0.0.weight", 1)?,
            out_channels: self.dim("out.2.weight", 0)?,
            model_channels,
            embed_channels,
            cond_channels: self.dim(cond, 1)?,
            input_channels,
            output_channels,
            num_input_res_blocks,
            num_res_blocks: per_level - 1,
            attention_resolutions: attention_resolutions.collect(),
            heads,
            heads_upsample: heads,
            head_order: HeadOrder::HeadsFirst,
            resampling,
            patch: 1,
        })
    }

    /// Networks without tensors in their halvings are only told from the way up, and not at all where it has none either.
    fn resampling(&self, down: &Down, levels: usize, up: &str) -> Resampling {
        let conv = |j: usize| self.has(&format!("{up}.{j}.conv.weight"));
        if levels > 1 && (!down.convs.is_empty() || conv(1) || conv(2)) {
            Resampling::Conv
        } else {
            Resampling::ResBlock
        }
    }

    /// The encoder has no way up. The number of its stages leaves a few choices of levels and blocks; channels change, and
    /// attention comes and goes, at the borders of levels only.
    fn encoder(&self, unet: &UNetConfig) -> Result<EncoderConfig> {
        let down = self.down("encoder.")?;
        let stages = down.channels.len();
        let mut choices = Vec::new();
        for levels in 1..=MAX_LEVELS.min(stages / 2) {
            let Some(blocks) = blocks_of_levels(stages, levels) else {
                continue;
            };
            let fits = down.fits(levels, blocks)
                && down
                    .levels_with_attention(levels, blocks)
                    .is_ok_and(|found| attention_fits(&found, levels, unet));
            if fits {
                choices.push((levels, blocks));
            }
        }
        let as_unet = choices.iter().find(|(_, n)| *n == unet.num_res_blocks);
        let &(levels, num_res_blocks) = match (as_unet, choices.as_slice()) {
            (Some(choice), _) => choice,
            (None, [choice]) => choice,
            _ => {
                return Err(Error::deduce(format!(
                    "the encoder's {stages} stages can be {choices:?} (levels, blocks of each); write the configuration by hand"
                )));
            }
        };
        let attention = down.levels_with_attention(levels, num_res_blocks)?;
        let attention = attention.iter().map(|level| unet.image_size >> level);
        Ok(EncoderConfig {
            image_size: unet.image_size,
            in_channels: self.dim("encoder.input_blocks.0.0.weight", 1)?,
            out_channels: self.dim("encoder.out.3.weight", 0)?,
            channels: down.of_levels(levels, num_res_blocks),
            num_res_blocks,
            attention_resolutions: attention.collect(),
            heads: unet.heads,
            head_order: unet.head_order,
            resampling: unet.resampling,
            patch: 1,
        })
    }

    fn latent(&self, condition_bias: f64) -> Result<LatentConfig> {
        let linear = |i: usize| format!("latent_net.layers.{i}.linear.weight");
        let time = |i: usize| format!("latent_net.time_embed.{}.weight", 2 * i);
        let layers = (0..).take_while(|&i| self.has(&linear(i))).count();
        let time_layers = (0..).take_while(|&i| self.has(&time(i))).count();
        let channels = self.dim(&time(0), 0)?;
        let hidden_channels = self.dim(&linear(0), 0)?;
        let mut skip_layers = Vec::new();
        for i in 0..layers {
            let plain = if i == 0 { channels } else { hidden_channels };
            if self.dim(&linear(i), 1)? != plain {
                skip_layers.push(i);
            }
        }
        Ok(LatentConfig {
            channels,
            hidden_channels,
            layers,
            skip_layers,
            time_channels: self.dim(&time(0), 1)?,
            time_layers,
            time_last_activation: false,
            activation: Activation::Silu,
            last_activation: Activation::None,
            use_norm: self.has("latent_net.layers.0.norm.weight"),
            condition_bias,
        })
    }
}

/// Blocks of each level when `stages` are a convolution, the blocks, and a halving between levels.
fn blocks_of_levels(stages: usize, levels: usize) -> Option<usize> {
    let blocks = stages / levels;
    (stages.is_multiple_of(levels) && blocks >= 2).then(|| blocks - 1)
}

/// Whether attention stands where the U-Net has it too, at the levels that both have.
fn attention_fits(found: &[usize], levels: usize, unet: &UNetConfig) -> bool {
    let shared = levels.min(unet.input_channels.len());
    let wanted = |level: usize| {
        unet.attention_resolutions
            .contains(&(unet.image_size >> level))
    };
    (0..shared).all(|level| found.contains(&level) == wanted(level))
}

impl Down {
    /// The first stage of a level's blocks.
    fn start(level: usize, blocks: usize) -> usize {
        1 + level * (blocks + 1)
    }

    /// Channels of each level.
    fn of_levels(&self, levels: usize, blocks: usize) -> Vec<usize> {
        (0..levels)
            .map(|level| self.channels[Self::start(level, blocks)])
            .collect()
    }

    /// Whether channels change at the first block of a level only.
    fn fits(&self, levels: usize, blocks: usize) -> bool {
        let starts: Vec<usize> = (0..levels).map(|l| Self::start(l, blocks)).collect();
        (1..self.channels.len())
            .all(|i| self.channels[i] == self.channels[i - 1] || starts.contains(&i))
    }

    /// The levels whose blocks have attention: all of a level's or none, and no halving.
    fn levels_with_attention(&self, levels: usize, blocks: usize) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        for level in 0..levels {
            let start = Self::start(level, blocks);
            let count = (start..start + blocks)
                .filter(|&i| self.attention[i])
                .count();
            if count == blocks {
                found.push(level);
            } else if count > 0 {
                return Err(Error::deduce(format!(
                    "{count} of the {blocks} blocks of level {level} have attention"
                )));
            }
            if self.attention.get(start + blocks).copied().unwrap_or(false) {
                return Err(Error::deduce(format!(
                    "the halving of level {level} has attention"
                )));
            }
        }
        Ok(found)
    }
}
