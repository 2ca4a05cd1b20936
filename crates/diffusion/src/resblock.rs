//! The residual block of *Diffusion Models Beat GANs* with up to two conditions.
//!
//! `h = conv(SiLU(norm(x)))`, with the resampling between SiLU and convolution where there is one. Where the block is
//! conditioned, `h = conv(SiLU((norm(h) (1 + a_t) + b_t) (1 + a_z)))` with `(a_t, b_t)` from the time and `a_z` from a second
//! condition. The result is `skip(x) + h`, `x` being resampled too.
//!
//! Tensors: `in_layers.{0,2}`, `emb_layers.1`, `cond_emb_layers.1`, `out_layers.{0,3}`, `skip_connection`.

use candle_core::Tensor;
use candle_nn::VarBuilder;

use crate::{
    Error, Resample, Result,
    layers::{Conv2d, GroupNorm, Linear, silu},
};

/// What fixes a block's tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResBlockConfig {
    /// Channels that come in.
    pub channels: usize,
    /// Channels that go out.
    pub out_channels: usize,
    /// Size of the time embedding; None: a block without conditions, which is only the first half.
    pub time_channels: Option<usize>,
    /// Size of the second condition, for a block that has it beside the time.
    pub cond_channels: Option<usize>,
    /// What happens to the size.
    pub resample: Resample,
}

/// What conditions the blocks of a network, with their SiLU applied once for all of them.
#[derive(Debug, Clone)]
pub struct Conditions {
    time: Tensor,
    cond: Option<Tensor>,
}

impl Conditions {
    /// Of the time embedding `[n, time_channels]` and a second condition `[n, cond_channels]`.
    ///
    /// # Errors
    ///
    /// An empty tensor.
    pub fn new(time: &Tensor, cond: Option<&Tensor>) -> Result<Self> {
        Ok(Self {
            time: silu(time)?,
            cond: cond.map(silu).transpose()?,
        })
    }
}

/// A residual block: norm, SiLU and convolution, then the same scaled and shifted by its conditions, plus a skip.
#[derive(Debug, Clone)]
pub struct ResBlock {
    norm: GroupNorm,
    conv: Conv2d,
    second: Option<Second>,
    skip: Option<Conv2d>,
    resample: Resample,
}

/// The conditioned half.
#[derive(Debug, Clone)]
struct Second {
    time: Linear,
    cond: Option<Linear>,
    norm: GroupNorm,
    conv: Conv2d,
}

impl ResBlock {
    /// Reads the block from the node that holds `in_layers`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape; channels that the norms cannot group.
    pub fn new(vb: &VarBuilder<'_>, cfg: &ResBlockConfig) -> Result<Self> {
        let (channels, out) = (cfg.channels, cfg.out_channels);
        let second = match cfg.time_channels {
            None => None,
            Some(time) => Some(Second {
                time: Linear::new(&vb.pp("emb_layers.1"), time, 2 * out)?,
                cond: cfg
                    .cond_channels
                    .map(|cond| Linear::new(&vb.pp("cond_emb_layers.1"), cond, out))
                    .transpose()?,
                norm: GroupNorm::new(&vb.pp("out_layers.0"), out)?,
                conv: Conv2d::new(&vb.pp("out_layers.3"), out, out, 3, 1)?,
            }),
        };
        let skip = || Conv2d::new(&vb.pp("skip_connection"), channels, out, 1, 1);
        Ok(Self {
            norm: GroupNorm::new(&vb.pp("in_layers.0"), channels)?,
            conv: Conv2d::new(&vb.pp("in_layers.2"), channels, out, 3, 1)?,
            second,
            skip: (channels != out).then(skip).transpose()?,
            resample: cfg.resample,
        })
    }

    /// `x: [n, channels, h, w]` to `[n, out_channels, h', w']`.
    ///
    /// # Errors
    ///
    /// A wrong shape, or conditions missing that the block has.
    pub fn forward(&self, x: &Tensor, conditions: Option<&Conditions>) -> Result<Tensor> {
        let h = self.resample.apply(&self.norm.silu(x)?)?;
        let x = self.resample.apply(x)?;
        let h = self.conv.forward(&h)?;
        let h = match &self.second {
            Some(second) => second.forward(&h, conditions)?,
            None => h,
        };
        let x = match &self.skip {
            Some(skip) => skip.forward(&x)?,
            None => x,
        };
        Ok((x + h)?)
    }

    /// The layer that acts on the second condition, if the block has one.
    pub fn cond_layer(&self) -> Option<&Linear> {
        self.second.as_ref()?.cond.as_ref()
    }
}

impl Second {
    fn forward(&self, h: &Tensor, conditions: Option<&Conditions>) -> Result<Tensor> {
        let missing = |what| Error::setting("conditions of a residual block", "none", what);
        let conditions = conditions.ok_or_else(|| missing("a time embedding"))?;
        let time = self.time.forward(&conditions.time)?;
        let channels = time.dim(1)? / 2;
        let (a, b) = (
            time.narrow(1, 0, channels)?,
            time.narrow(1, channels, channels)?,
        );
        let cond = match (&self.cond, &conditions.cond) {
            (None, _) => None,
            (Some(layer), Some(cond)) => Some(layer.forward(cond)?),
            (Some(_), None) => return Err(missing("a second condition beside the time")),
        };
        let h = self.norm.conditioned_silu(h, [&a, &b], cond.as_ref())?;
        self.conv.forward(&h)
    }
}
