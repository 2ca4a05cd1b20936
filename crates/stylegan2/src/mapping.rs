//! Mapping network: `z` and label to `w`.
//!
//! ```text
//! x = z rsqrt(mean(z^2) + 1e-8)
//! y = embed(c), normalised the same way
//! w = fc_k(... fc_0([x, y]))
//! ```
//!
//! Tensors: `embed.weight`, `embed.bias`, `fc{i}.weight`, `fc{i}.bias`, and the running mean
//! `w_avg: [w_dim]`. Follows `MappingNetwork` of stylegan2-ada-pytorch, `training/networks.py`;
//! truncation is section 3.3 of arXiv 1812.04948, appendix B.
//!
//! Left out on purpose: copies of w for every layer. [`broadcast`] makes them, so that the maths
//! of the latent space sees one row per sample.

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};
use domex_ops::pixel_norm;

use crate::config::MappingConfig;
use crate::dense::{Dense, DenseConfig};
use crate::error::expect_dims;
use crate::weights::{Tensors, Walk, buffer, join, put};
use crate::{Error, Result};

/// Published decay of the running mean.
pub(crate) const W_AVG_BETA: f64 = 0.995;

/// Added to the mean square of z.
const EPSILON: f64 = 1e-8;

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Mapping {
    embed: Option<Dense>,
    layers: Vec<Dense>,
    w_avg: Option<Tensor>,
    cfg: MappingConfig,
}

impl Mapping {
    /// Reads the network from the node that holds `fc0`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its full name.
    pub fn new(vb: &VarBuilder<'_>, cfg: &MappingConfig) -> Result<Self> {
        let embed = if cfg.c_dim > 0 {
            let embed = DenseConfig::linear(cfg.c_dim, cfg.embed_features);
            Some(Dense::new(&vb.pp("embed"), &embed)?)
        } else {
            None
        };
        let layers = cfg
            .layer_sizes()
            .into_iter()
            .enumerate()
            .map(|(index, (input, output))| {
                let layer = DenseConfig {
                    input,
                    output,
                    activation: cfg.activation,
                    lr_multiplier: cfg.lr_multiplier,
                    bias_init: 0.0,
                };
                Dense::new(&vb.pp(format!("fc{index}")), &layer)
            })
            .collect::<Result<_>>()?;
        let w_avg = match cfg.w_avg_beta {
            Some(_) => Some(buffer(vb, cfg.w_dim, "w_avg", Init::Const(0.0))?),
            None => None,
        };
        Ok(Self {
            embed,
            layers,
            w_avg,
            cfg: cfg.clone(),
        })
    }

    /// `z: [n, z_dim]` and `label: [n, c_dim]` to `w: [n, w_dim]`, with no truncation. A network
    /// without labels takes `None`; one without z (a discriminator's) `None` for z.
    ///
    /// # Errors
    ///
    /// An input that is missing, not wanted or of the wrong shape.
    pub fn forward(&self, z: Option<&Tensor>, label: Option<&Tensor>) -> Result<Tensor> {
        let z = input("z", z, self.cfg.z_dim)?;
        let label = input("label", label, self.cfg.c_dim)?;
        let x = z.map(|z| pixel_norm(z, 1, EPSILON)).transpose()?;
        let y = match (&self.embed, label) {
            (Some(embed), Some(label)) => Some(pixel_norm(&embed.forward(label)?, 1, EPSILON)?),
            _ => None,
        };
        let mut x = match (x, y) {
            (Some(x), Some(y)) => {
                expect_dims(
                    "label",
                    &y,
                    &[Some(x.dim(0)?), Some(self.cfg.embed_features)],
                )?;
                Tensor::cat(&[x, y], 1)?
            }
            (Some(x), None) | (None, Some(x)) => x,
            (None, None) => return Err(Error::config("mapping input", "none", "z or a label")),
        };
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(x)
    }

    /// Running mean of w, `[w_dim]`; `None` for a network that tracks none.
    pub fn w_avg(&self) -> Option<&Tensor> {
        self.w_avg.as_ref()
    }

    /// Replaces the running mean. A network that had none tracks it from now on.
    ///
    /// # Errors
    ///
    /// A shape other than `[w_dim]`.
    pub(crate) fn set_w_avg(&mut self, mean: &Tensor) -> Result<()> {
        expect_dims("w_avg", mean, &[Some(self.cfg.w_dim)])?;
        self.w_avg = Some(mean.detach());
        self.cfg.w_avg_beta.get_or_insert(W_AVG_BETA);
        Ok(())
    }

    /// Moves the running mean towards a training batch `w: [n, w_dim]` and returns it:
    /// `w_avg <- batch mean + beta (w_avg - batch mean)`. Not part of the graph.
    ///
    /// The published code does this on every call of the mapping network in training mode, before
    /// the mean is used by a truncation. Here it is a step of its own.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a network that tracks no mean.
    pub fn track(&mut self, w: &Tensor) -> Result<Tensor> {
        expect_dims("w", w, &[None, Some(self.cfg.w_dim)])?;
        let (Some(beta), Some(old)) = (self.cfg.w_avg_beta, &self.w_avg) else {
            return Err(Error::config(
                "w_avg_beta",
                "none",
                "a number: this network tracks no mean of w",
            ));
        };
        let batch = w.detach().mean(0)?;
        let moved = (&batch + ((old - &batch)? * beta)?)?.detach();
        self.w_avg = Some(moved.clone());
        Ok(moved)
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &MappingConfig {
        &self.cfg
    }
}

impl Walk for Mapping {
    fn walk(&self, path: &str, out: &mut Tensors) {
        if let Some(embed) = &self.embed {
            embed.walk(&join(path, "embed"), out);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            layer.walk(&join(path, &format!("fc{index}")), out);
        }
        if let Some(w_avg) = &self.w_avg {
            put(out, path, "w_avg", w_avg);
        }
    }
}

fn input<'a>(what: &str, given: Option<&'a Tensor>, size: usize) -> Result<Option<&'a Tensor>> {
    match (given, size) {
        (None, 0) => Ok(None),
        (Some(_), 0) => Err(Error::config(
            what,
            "given",
            format!("none: this network takes no {what}"),
        )),
        (None, _) => Err(Error::config(
            what,
            "none",
            format!("a tensor [n, {size}]: this network needs a {what}"),
        )),
        (Some(tensor), _) => {
            expect_dims(what, tensor, &[None, Some(size)])?;
            Ok(Some(tensor))
        }
    }
}

/// How strongly latents are drawn to the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truncation {
    /// 1 leaves the latent as it is, 0 makes it the mean.
    pub psi: f64,
    /// Only the first rows, those of the coarse layers; `None` for all.
    pub cutoff: Option<usize>,
}

impl Truncation {
    /// No truncation.
    pub const NONE: Self = Self {
        psi: 1.0,
        cutoff: None,
    };

    /// The same strength for all rows.
    pub fn psi(psi: f64) -> Self {
        Self { psi, cutoff: None }
    }
}

impl Default for Truncation {
    fn default() -> Self {
        Self::NONE
    }
}

/// `mean + psi (w - mean)` for `ws: [n, rows, w_dim]`, in all rows or the first `cutoff`.
/// `mean` is `[w_dim]`. With `psi` 1 the latents come back as they are.
///
/// # Errors
///
/// A wrong shape.
pub fn truncate(ws: &Tensor, mean: &Tensor, truncation: Truncation) -> Result<Tensor> {
    expect_dims("ws", ws, &[None, None, None])?;
    let (_, rows, w_dim) = ws.dims3()?;
    expect_dims("mean of w", mean, &[Some(w_dim)])?;
    let cut = truncation.cutoff.unwrap_or(rows).min(rows);
    if truncation.psi == 1.0 || cut == 0 {
        return Ok(ws.clone());
    }
    let head = ws.narrow(1, 0, cut)?.broadcast_sub(mean)?;
    let head = (head * truncation.psi)?.broadcast_add(mean)?;
    if cut == rows {
        return Ok(head);
    }
    Ok(Tensor::cat(&[head, ws.narrow(1, cut, rows - cut)?], 1)?)
}

/// `w: [n, w_dim]` to `ws: [n, rows, w_dim]`, every row the same.
///
/// # Errors
///
/// A wrong shape.
pub fn broadcast(w: &Tensor, rows: usize) -> Result<Tensor> {
    expect_dims("w", w, &[None, None])?;
    let (n, w_dim) = w.dims2()?;
    Ok(w.unsqueeze(1)?
        .broadcast_as((n, rows, w_dim))?
        .contiguous()?)
}
