//! The latent prior: an MLP that predicts the noise in a z-normalized `z_sem`.
//!
//! Layer `l`: `h ← W [h, x] + b` (with the input `x` again where the layer has a skip), then
//! `h ← act(norm(h · (bias + cond(act(time)))))`; the last layer is linear alone. `time` is an embedding of the timestep
//! through linear layers with activations between.
//!
//! Tensors: `time_embed.{0,2,..}`, `layers.l.{linear,linear_emb,norm}`. Published files hold `linear_emb` a second time, as
//! `cond_layers.1`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::layers::Linear;
use domex_diffusion::timestep_embedding;
use domex_ops::{Activation as Op, BiasAct, bias_act, layer_norm};

use crate::Result;
use crate::config::{Activation, LatentConfig};
use crate::error::expect_dims;

const EPS: f64 = 1e-5;

/// The latent prior: the noise in a z-normalized `z_sem`.
#[derive(Debug, Clone)]
pub struct LatentNet {
    time_embed: Vec<Linear>,
    layers: Vec<Layer>,
    cfg: LatentConfig,
}

#[derive(Debug, Clone)]
struct Layer {
    linear: Linear,
    /// The last layer has no condition.
    cond: Option<Linear>,
    /// Weight and bias.
    norm: Option<[Tensor; 2]>,
}

impl LatentNet {
    /// Reads the network from the node that holds `layers`.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &LatentConfig) -> Result<Self> {
        cfg.validate()?;
        let (channels, hidden) = (cfg.channels, cfg.hidden_channels);
        let mut time_embed = Vec::with_capacity(cfg.time_layers);
        for i in 0..cfg.time_layers {
            let inputs = if i == 0 { cfg.time_channels } else { channels };
            // Activations have the indices between.
            let vb = vb.pp("time_embed").pp(2 * i);
            time_embed.push(Linear::new(&vb, inputs, channels)?);
        }
        let mut layers = Vec::with_capacity(cfg.layers);
        for i in 0..cfg.layers {
            let vb = vb.pp("layers").pp(i);
            let last = i + 1 == cfg.layers;
            let mut inputs = if i == 0 { channels } else { hidden };
            if cfg.skip_layers.contains(&i) {
                inputs += channels;
            }
            let outputs = if last { channels } else { hidden };
            let cond = || Linear::new(&vb.pp("linear_emb"), channels, outputs);
            let norm = || -> Result<_> {
                let vb = vb.pp("norm");
                Ok([vb.get(outputs, "weight")?, vb.get(outputs, "bias")?])
            };
            layers.push(Layer {
                linear: Linear::new(&vb.pp("linear"), inputs, outputs)?,
                cond: (!last).then(cond).transpose()?,
                norm: (!last && cfg.use_norm).then(norm).transpose()?,
            });
        }
        Ok(Self {
            time_embed,
            layers,
            cfg: cfg.clone(),
        })
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &LatentConfig {
        &self.cfg
    }

    /// The noise in `x: [n, channels]` at the time `t` of each sample, of the shape of `x`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`](crate::Error::Shape) when the operands do not fit each other or the network.
    pub fn forward(&self, x: &Tensor, t: &[f64]) -> Result<Tensor> {
        expect_dims("latent", x, &[Some(t.len()), Some(self.cfg.channels)])?;
        let act = |x: &Tensor| self.cfg.activation.apply(x);
        let mut time = timestep_embedding(t, self.cfg.time_channels, x.dtype(), x.device())?;
        for (i, layer) in self.time_embed.iter().enumerate() {
            time = layer.forward(&time)?;
            if i + 1 < self.time_embed.len() || self.cfg.time_last_activation {
                time = act(&time)?;
            }
        }
        let time = act(&time)?;
        let mut h = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if self.cfg.skip_layers.contains(&i) {
                h = Tensor::cat(&[&h, x], 1)?;
            }
            h = layer.linear.forward(&h)?;
            let Some(cond) = &layer.cond else { continue };
            h = (h * (cond.forward(&time)? + self.cfg.condition_bias)?)?;
            if let Some([weight, bias]) = &layer.norm {
                h = layer_norm(&h, Some(weight), Some(bias), EPS)?;
            }
            h = act(&h)?;
        }
        self.cfg.last_activation.apply(&h)
    }
}

impl Activation {
    fn apply(self, x: &Tensor) -> Result<Tensor> {
        let op = match self {
            Self::None => return Ok(x.clone()),
            Self::Relu => Op::Relu,
            Self::Lrelu => Op::Lrelu,
            Self::Silu => Op::Swish,
            Self::Tanh => Op::Tanh,
        };
        let how = BiasAct {
            gain: Some(1.0),
            ..BiasAct::new(op)
        };
        Ok(bias_act(x, None, &how)?)
    }
}
