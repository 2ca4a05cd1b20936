//! The conditional U-Net: a noisy picture, its time and `z_sem` to the noise in it.
//!
//! Every residual block is scaled and shifted by the time and then scaled by `z_sem`. On the way up a block also gets a result
//! of the way down, concatenated behind the running one; each level's are taken last in, first out.
//!
//! Tensors: `time_embed.time_embed.{0,2}`, `input_blocks.*`, `middle_block.*`, `output_blocks.*`, `out.{0,2}`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::layers::{Conv2d, GroupNorm, Linear, silu};
use domex_diffusion::{Conditions, Diffusion, patches, timestep_embedding};
use domex_latent::{ActingMatrix, basis::BasisKinds};
use domex_ops::recompute;

use crate::config::UNetConfig;
use crate::error::{expect_dims, multiples_of};
use crate::sequence::Sequence;
use crate::{Error, Result};

/// The conditional U-Net: a noisy picture, its time and `z_sem` to the noise in it.
#[derive(Debug, Clone)]
pub struct UNet {
    time_embed: [Linear; 2],
    /// With the level of its result.
    input: Vec<(usize, Sequence)>,
    middle: Sequence,
    output: Vec<(usize, Sequence)>,
    norm: GroupNorm,
    conv: Conv2d,
    /// The process whose velocity the last layer says; it says noise without one.
    velocity_of: Option<Diffusion>,
    cfg: UNetConfig,
}

impl UNet {
    /// Reads the network from the node that holds `input_blocks`.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &UNetConfig) -> Result<Self> {
        cfg.validate()?;
        let time = vb.pp("time_embed.time_embed");
        let embed = cfg.embed_channels;
        let time_embed = [
            Linear::new(&time.pp(0), cfg.model_channels, embed)?,
            Linear::new(&time.pp(2), embed, embed)?,
        ];
        let down = cfg.contraction();
        let up = cfg.expansion(&down);
        let build = |name: &str, stages: &[crate::plan::Stage]| {
            let vb = vb.pp(name);
            let stage = |(i, stage): (usize, &crate::plan::Stage)| {
                Ok((stage.level, Sequence::new(&vb.pp(i), &stage.parts)?))
            };
            stages
                .iter()
                .enumerate()
                .map(stage)
                .collect::<Result<Vec<_>>>()
        };
        let width = cfg.output_channels[0];
        let colours = cfg.out_channels * cfg.patch * cfg.patch;
        Ok(Self {
            time_embed,
            input: build("input_blocks", &down.stages)?,
            middle: Sequence::new(&vb.pp("middle_block"), &down.middle)?,
            output: build("output_blocks", &up)?,
            norm: GroupNorm::new(&vb.pp("out.0"), width)?,
            conv: Conv2d::new(&vb.pp("out.2"), width, colours, 3, 1)?,
            velocity_of: None,
            cfg: cfg.clone(),
        })
    }

    /// The same network, whose last layer says the velocity of this process, as trained.
    #[must_use]
    pub(crate) fn with_velocity(mut self, of: Diffusion) -> Self {
        self.velocity_of = Some(of);
        self
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &UNetConfig {
        &self.cfg
    }

    /// The noise in `x: [n, c, h, w]` at the time `t` of each sample, given `cond: [n, cond_channels]`, of the shape of `x`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when the operands do not fit each other or the network, or `h` and `w` cannot be halved as often as it
    /// does.
    pub fn forward(&self, x: &Tensor, t: &[f64], cond: &Tensor) -> Result<Tensor> {
        let prediction = self.prediction(x, t, cond)?;
        match &self.velocity_of {
            None => Ok(prediction),
            Some(process) => Ok(process.noise_of_velocity(x, t, &prediction)?),
        }
    }

    /// What the last layer says: noise, or velocity.
    pub(crate) fn prediction(&self, x: &Tensor, t: &[f64], cond: &Tensor) -> Result<Tensor> {
        self.check(x, t, cond)?;
        let time = timestep_embedding(t, self.cfg.model_channels, x.dtype(), x.device())?;
        let time = self.time_embed[0].forward(&time)?;
        let time = self.time_embed[1].forward(&silu(&time)?)?;
        let conditions = Conditions::new(&time, Some(cond))?;

        let mut laterals: Vec<Vec<Tensor>> = vec![Vec::new(); self.cfg.input_channels.len()];
        let mut h = patches::split(x, self.cfg.patch)?;
        for (level, blocks) in &self.input {
            h = blocks.forward(&h, Some(&conditions))?;
            laterals[*level].push(h.clone());
        }
        h = self.middle.forward(&h, Some(&conditions))?;
        for (level, blocks) in &self.output {
            if let Some(lateral) = laterals[*level].pop() {
                h = Tensor::cat(&[h, lateral], 1)?;
            }
            h = blocks.forward(&h, Some(&conditions))?;
        }
        let patches = self.conv.forward(&self.norm.silu(&h)?)?;
        Ok(patches::join(&patches, self.cfg.patch)?)
    }

    /// As [`forward`](Self::forward), with activations that are computed again on the way back instead of being kept.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_recomputed(&self, x: &Tensor, t: &[f64], cond: &Tensor) -> Result<Tensor> {
        let (network, t) = (self.clone(), t.to_vec());
        recompute(&[x.clone(), cond.clone()], move |inputs| {
            network.forward(&inputs[0], &t, &inputs[1])
        })
    }

    fn check(&self, x: &Tensor, t: &[f64], cond: &Tensor) -> Result<()> {
        let n = t.len();
        expect_dims("x", x, &[Some(n), Some(self.cfg.in_channels), None, None])?;
        expect_dims("z_sem", cond, &[Some(n), Some(self.cfg.cond_channels)])?;
        let halvings = self.cfg.input_channels.len() - 1;
        let unit = self.cfg.patch << halvings;
        if x.dims()[2..].iter().any(|side| !side.is_multiple_of(unit)) {
            return Err(Error::Shape {
                what: "x".to_owned(),
                expected: multiples_of(self.cfg.patch, halvings),
                found: x.dims().to_vec(),
            });
        }
        Ok(())
    }

    /// The layers that act on `z_sem` first, in the order of the parameters, with their names.
    fn cond_layers(&self) -> Vec<(String, &Linear)> {
        let middle = self.middle.cond_layers().map(|(j, layer)| {
            let name = format!("middle_block.{j}.cond_emb_layers.1.weight");
            (name, layer)
        });
        let mut layers = stage_layers("input_blocks", &self.input);
        layers.extend(middle);
        layers.extend(stage_layers("output_blocks", &self.output));
        layers
    }

    /// Every matrix that multiplies `SiLU(z_sem)`, in the order of the parameters.
    pub fn acting_matrices(&self) -> Vec<ActingMatrix> {
        let layers = self.cond_layers().into_iter();
        let matrix = |(name, layer): (String, &Linear)| ActingMatrix {
            name,
            kinds: BasisKinds::ALL,
            weight: layer.weight().clone(),
        };
        layers.map(matrix).collect()
    }

    /// What `z_sem: [n, cond_channels]` becomes in each of those layers, one after the other: `[n, channels of all blocks]`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for a code of another size.
    pub fn stylespace(&self, cond: &Tensor) -> Result<Tensor> {
        expect_dims("z_sem", cond, &[None, Some(self.cfg.cond_channels)])?;
        let cond = silu(cond)?;
        let layers = self.cond_layers();
        let styles = layers.iter().map(|(_, layer)| layer.forward(&cond));
        let styles = styles.collect::<domex_diffusion::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&styles, 1)?)
    }
}

/// The layers of stages that act on `z_sem`, see [`UNet::cond_layers`].
fn stage_layers<'a>(name: &str, stages: &'a [(usize, Sequence)]) -> Vec<(String, &'a Linear)> {
    let mut layers = Vec::new();
    for (i, (_, blocks)) in stages.iter().enumerate() {
        for (j, layer) in blocks.cond_layers() {
            let name = format!("{name}.{i}.{j}.cond_emb_layers.1.weight");
            layers.push((name, layer));
        }
    }
    layers
}
