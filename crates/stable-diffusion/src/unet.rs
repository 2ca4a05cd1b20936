//! The U-Net: noisy latents, their time and a text to what is predicted (Rombach et al. 2022, arXiv 2112.10752).
//!
//! Keys and arithmetic are those of `UNet2DConditionModel` of huggingface/diffusers, from whose networks the reference values of the
//! tests come. A level is residual blocks, each followed by attention where the level attends: to itself, to the text, then
//! GEGLU, `(W x) · GELU(V x)` with the exact GELU. On the way down everything that a level makes is kept for the way up.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::timestep_embedding;
use domex_ops::{Gelu, gelu, layer_norm, upsample_nearest};

use crate::layers::{
    Attention, Conv, GroupNorm, Linear, ResBlock, ResBlockConfig, TimeEmbedding, to_picture,
    to_tokens,
};
use crate::{Error, Result, UNetConfig};

/// Layer norm; its ε is the same in all published networks and stands in no configuration.
#[derive(Debug, Clone)]
struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    fn new(vb: &VarBuilder<'_>, width: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get(width, "weight")?,
            bias: vb.get(width, "bias")?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(layer_norm(x, Some(&self.weight), Some(&self.bias), 1e-5)?)
    }
}

/// What a level does to tokens, between a norm and a sum with what came in.
#[derive(Debug, Clone)]
struct Transformer {
    norm: GroupNorm,
    project_in: Linear,
    norms: [LayerNorm; 3],
    itself: Attention,
    text: Attention,
    gate: Linear,
    out: Linear,
    project_out: Linear,
}

impl Transformer {
    fn new(vb: &VarBuilder<'_>, width: usize, heads: usize, cfg: &UNetConfig) -> Result<Self> {
        let block = vb.pp("transformer_blocks.0");
        let norm = |name| LayerNorm::new(&block.pp(name), width);
        let projection = |name| match cfg.linear_projection {
            true => Linear::new(&vb.pp(name), width, width),
            false => Linear::of_conv(&vb.pp(name), width, width),
        };
        Ok(Self {
            norm: GroupNorm::new(&vb.pp("norm"), width, cfg.groups, 1e-6)?,
            project_in: projection("proj_in")?,
            norms: [norm("norm1")?, norm("norm2")?, norm("norm3")?],
            itself: Attention::new(&block.pp("attn1"), width, width, heads)?,
            text: Attention::new(&block.pp("attn2"), width, cfg.text_width, heads)?,
            gate: Linear::new(&block.pp("ff.net.0.proj"), width, 8 * width)?,
            out: Linear::new(&block.pp("ff.net.2"), 4 * width, width)?,
            project_out: projection("proj_out")?,
        })
    }

    fn forward(&self, x: &Tensor, text: &Tensor) -> Result<Tensor> {
        let mut y = self
            .project_in
            .forward(&to_tokens(&self.norm.forward(x)?)?)?;
        let seen = self.norms[0].forward(&y)?;
        y = (self.itself.forward(&seen, &seen)? + y)?;
        y = (self.text.forward(&self.norms[1].forward(&y)?, text)? + y)?;
        let both = self.gate.forward(&self.norms[2].forward(&y)?)?;
        let half = both.dim(2)? / 2;
        let gate = gelu(&both.narrow(2, half, half)?.contiguous()?, Gelu::Exact)?;
        y = (self.out.forward(&(both.narrow(2, 0, half)? * gate)?)? + y)?;
        Ok((to_picture(&self.project_out.forward(&y)?, x)? + x)?)
    }
}

/// Blocks of one size, and what changes the size after them.
#[derive(Debug, Clone)]
struct Level {
    blocks: Vec<(ResBlock, Option<Transformer>)>,
    resample: Option<Conv>,
}

/// The network. See the top of this module.
#[derive(Debug, Clone)]
pub struct UNet {
    time: TimeEmbedding,
    first: Conv,
    down: Vec<Level>,
    middle: (ResBlock, Transformer, ResBlock),
    up: Vec<Level>,
    norm: GroupNorm,
    last: Conv,
    config: UNetConfig,
}

impl UNet {
    /// Reads the network.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &UNetConfig) -> Result<Self> {
        let channels = &cfg.channels;
        let (n, first, last) = (channels.len(), channels[0], channels[channels.len() - 1]);
        let inner = ResBlockConfig {
            groups: cfg.groups,
            eps: cfg.eps,
            time: Some(4 * first),
        };
        let level = |vb: &VarBuilder<'_>, at: usize, inputs: &[usize]| -> Result<_> {
            let blocks = inputs.iter().enumerate().map(|(i, &inputs)| {
                let block =
                    ResBlock::new(&vb.pp(format!("resnets.{i}")), inputs, channels[at], inner)?;
                let attention = vb.pp(format!("attentions.{i}"));
                let attention = cfg.attends[at]
                    .then(|| Transformer::new(&attention, channels[at], cfg.heads[at], cfg));
                Ok((block, attention.transpose()?))
            });
            blocks.collect::<Result<Vec<_>>>()
        };
        let down = (0..n).map(|at| {
            let vb = vb.pp(format!("down_blocks.{at}"));
            let mut inputs = vec![channels[at]; cfg.layers];
            inputs[0] = channels[at.saturating_sub(1)];
            let halve = || Conv::halving(&vb.pp("downsamplers.0.conv"), channels[at], 1);
            Ok(Level {
                blocks: level(&vb, at, &inputs)?,
                resample: (at + 1 < n).then(halve).transpose()?,
            })
        });
        let up = (0..n).map(|i| {
            let (vb, at) = (vb.pp(format!("up_blocks.{i}")), n - 1 - i);
            // First what comes from below, then the level's own; beside it what was kept on the way down, at last what the level began
            // with there.
            let inputs = (0..=cfg.layers).map(|block| {
                let from = if block == 0 { (at + 1).min(n - 1) } else { at };
                let kept = if block == cfg.layers {
                    at.saturating_sub(1)
                } else {
                    at
                };
                channels[from] + channels[kept]
            });
            let inputs: Vec<usize> = inputs.collect();
            let double = || Conv::new(&vb.pp("upsamplers.0.conv"), channels[at], channels[at], 3);
            Ok(Level {
                blocks: level(&vb, at, &inputs)?,
                resample: (at > 0).then(double).transpose()?,
            })
        });
        let middle = vb.pp("mid_block");
        let block = |i: usize| ResBlock::new(&middle.pp(format!("resnets.{i}")), last, last, inner);
        let attention = Transformer::new(&middle.pp("attentions.0"), last, cfg.heads[n - 1], cfg)?;
        Ok(Self {
            time: TimeEmbedding::new(&vb.pp("time_embedding"), first, 4 * first)?,
            first: Conv::new(&vb.pp("conv_in"), cfg.latent_channels, first, 3)?,
            down: down.collect::<Result<_>>()?,
            middle: (block(0)?, attention, block(1)?),
            up: up.collect::<Result<_>>()?,
            norm: GroupNorm::new(&vb.pp("conv_norm_out"), first, cfg.groups, cfg.eps)?,
            last: Conv::new(&vb.pp("conv_out"), first, cfg.latent_channels, 3)?,
            config: cfg.clone(),
        })
    }

    /// What the network predicts of `x: [n, latent_channels, h, w]` at the timestep of each sample, with the states
    /// `text: [n, tokens, text_width]`; the size must be one that can be halved as often as the network does it.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn forward(&self, x: &Tensor, timesteps: &[f64], text: &Tensor) -> Result<Tensor> {
        self.check(x, timesteps, text)?;
        let waves = self.config.channels[0];
        let waves = timestep_embedding(timesteps, waves, x.dtype(), x.device())?;
        let time = Some(&self.time.forward(&waves)?);
        let block = |(block, attention): &(ResBlock, Option<Transformer>), x: &Tensor| {
            let x = block.forward(x, time)?;
            match attention {
                Some(attention) => attention.forward(&x, text),
                None => Ok(x),
            }
        };
        let mut x = self.first.forward(x)?;
        let mut kept = vec![x.clone()];
        for level in &self.down {
            for both in &level.blocks {
                x = block(both, &x)?;
                kept.push(x.clone());
            }
            if let Some(halve) = &level.resample {
                x = halve.forward(&x)?;
                kept.push(x.clone());
            }
        }
        let (before, attention, after) = &self.middle;
        x = attention.forward(&before.forward(&x, time)?, text)?;
        x = after.forward(&x, time)?;
        for level in &self.up {
            for both in &level.blocks {
                // As many were kept as there are blocks on the way up.
                let beside = kept.pop().unwrap_or_else(|| x.clone());
                x = block(both, &Tensor::cat(&[&x, &beside], 1)?)?;
            }
            if let Some(conv) = &level.resample {
                x = conv.forward(&upsample_nearest(&x, 2)?)?;
            }
        }
        self.last.forward(&self.norm.silu(&x)?)
    }

    fn check(&self, x: &Tensor, timesteps: &[f64], text: &Tensor) -> Result<()> {
        let (cfg, n) = (&self.config, timesteps.len());
        let halved = 1 << (cfg.channels.len() - 1);
        let fits = matches!(*x.dims(), [m, c, h, w] if m == n && c == cfg.latent_channels
            && h.is_multiple_of(halved) && w.is_multiple_of(halved));
        if !fits {
            return Err(Error::Shape {
                what: "latents",
                found: x.dims().to_vec(),
                expected: format!(
                    "[{n}, {}, h, w] of multiples of {halved}",
                    cfg.latent_channels
                ),
            });
        }
        match *text.dims() {
            [m, _, width] if m == n && width == cfg.text_width => Ok(()),
            _ => Err(Error::Shape {
                what: "states of a text",
                found: text.dims().to_vec(),
                expected: format!("[{n}, tokens, {}]", cfg.text_width),
            }),
        }
    }
}
