//! How the layers of a generator are modulated for each sample, beyond what its weights say.
//!
//! A layer that reads the latent turns it into a *style*, one number per input channel. A [`Modulator`] may add to that
//! style (a direction of StyleSpace, arXiv 2011.12799) and may multiply each input channel with a factor that demodulation
//! does not see (domain modulation, arXiv 2210.08884). The generator asks its modulator in every pass, so whoever makes
//! pictures with it need not know that it has one.
//!
//! [`DomainOffsets`] are the offsets of an expanded model: each domain has one vector per layer, and a sample gets as much
//! of it as its latent has gone along the domain's direction,
//!
//! ```text
//! style_l(w) + Σ_i α_i(w) δ_{i,l},   α_i(w) = ⟨w − w̄, v_i⟩ / s_i
//! ```
//!
//! so on the base subspace (α = 0) the network is the source network.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use candle_core::{D, Tensor, Var};

use crate::basis::Basis;
use crate::subspace::Domain;
use crate::{Error, Result};

/// A layer that can be modulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// As the network calls it, such as `b4.conv1`.
    pub name: String,
    /// Numbers in its style.
    pub channels: usize,
    /// The row of a latent `[num_ws, D]` that it reads.
    pub row: usize,
}

/// What is done to one layer.
#[derive(Debug, Clone, Default)]
pub struct Modulation {
    /// Added to its style, `[n, channels]` or `[1, channels]`.
    pub style_offset: Option<Tensor>,
    /// Multiplied with its input channels after demodulation, `[n, channels]` or `[1, channels]`.
    pub channel_factor: Option<Tensor>,
}

/// By the names of layers; those that are not named stay as they are.
pub type Modulations = BTreeMap<String, Modulation>;

/// Says for each sample how the layers are modulated.
pub trait Modulator: Debug + Send + Sync {
    /// For latents `[n, num_ws, D]`. Differentiable.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn modulate(&self, latents: &Tensor) -> Result<Modulations>;

    /// Takes the mean latent `[D]`, which moves while a generator is trained.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    fn set_mean(&self, _mean: &Tensor) -> Result<()> {
        Ok(())
    }
}

/// What several modulators do to a layer together: offsets add up, factors multiply.
///
/// # Errors
///
/// As [`Modulator::modulate`].
pub fn modulations(modulators: &[Arc<dyn Modulator>], latents: &Tensor) -> Result<Modulations> {
    let mut all = Modulations::new();
    for modulator in modulators {
        for (layer, modulation) in modulator.modulate(latents)? {
            let joined = match all.remove(&layer) {
                None => modulation,
                Some(before) => Modulation {
                    style_offset: join(before.style_offset, modulation.style_offset, |a, b| {
                        a.broadcast_add(b)
                    })?,
                    channel_factor: join(
                        before.channel_factor,
                        modulation.channel_factor,
                        Tensor::broadcast_mul,
                    )?,
                },
            };
            all.insert(layer, joined);
        }
    }
    Ok(all)
}

fn join(
    a: Option<Tensor>,
    b: Option<Tensor>,
    both: impl FnOnce(&Tensor, &Tensor) -> candle_core::Result<Tensor>,
) -> Result<Option<Tensor>> {
    Ok(match (a, b) {
        (Some(a), Some(b)) => Some(both(&a, &b)?),
        (a, b) => a.or(b),
    })
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct DomainOffsets {
    layers: Vec<(Layer, Tensor)>, // [domains, channels]
    directions: Tensor,           // [D, domains], each divided by its distance
    /// Written in place: it follows a mean that moves while a network is trained.
    mean: Var, // [D]
}

impl DomainOffsets {
    /// The offsets `[domains, channels]` of each layer for these domains, on the device and in the type of `mean: [D]`, the
    /// mean latent. Variables among them stay live.
    ///
    /// # Errors
    ///
    /// No domain, or shapes that do not fit.
    pub fn new(
        layers: Vec<(Layer, Tensor)>,
        domains: &[Domain],
        basis: &Basis,
        mean: &Tensor,
    ) -> Result<Self> {
        if domains.is_empty() {
            return Err(Error::setting("domains with offsets", 0, "at least one"));
        }
        for (layer, offsets) in &layers {
            if offsets.dims() != [domains.len(), layer.channels] {
                let expected = format!("[{}, {}]", domains.len(), layer.channels);
                let what = format!("offsets of layer {}", layer.name);
                return Err(Error::shape(what, expected, offsets.dims()));
            }
        }
        let columns: Vec<u32> = domains.iter().map(|d| d.dimension as u32).collect();
        let distances: Vec<f64> = domains.iter().map(|d| d.distance).collect();
        let vectors = basis
            .vectors()
            .to_dtype(mean.dtype())?
            .to_device(mean.device())?;
        let columns = Tensor::new(columns, mean.device())?;
        let distances = Tensor::new(distances, mean.device())?.to_dtype(mean.dtype())?;
        Ok(Self {
            layers,
            directions: vectors
                .contiguous()?
                .index_select(&columns, 1)?
                .broadcast_div(&distances)?,
            mean: Var::from_tensor(&mean.detach())?,
        })
    }

    /// How far latents `[.., D]` have gone into each domain, `[.., domains]`: 0 on the base subspace, 1 in the domain.
    fn strengths(&self, latents: &Tensor) -> Result<Tensor> {
        let from_mean = latents.broadcast_sub(&self.mean.as_detached_tensor())?;
        let flat = from_mean.reshape(((), self.directions.dim(0)?))?;
        let strengths = domex_ops::matmul(&flat, &self.directions)?;
        let mut shape = latents.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.directions.dim(D::Minus1)?;
        }
        Ok(strengths.reshape(shape)?)
    }
}

impl Modulator for DomainOffsets {
    fn set_mean(&self, mean: &Tensor) -> Result<()> {
        Ok(self.mean.set(&mean.detach().copy()?)?)
    }

    fn modulate(&self, latents: &Tensor) -> Result<Modulations> {
        let width = self.directions.dim(0)?;
        let rows = match *latents.dims() {
            [_, rows, d] if d == width => rows,
            _ => {
                return Err(Error::shape(
                    "latents",
                    format!("[n, num_ws, {width}]"),
                    latents.dims(),
                ));
            }
        };
        let strengths = self.strengths(latents)?; // [n, num_ws, domains]
        let by_row = (0..rows)
            .map(|row| Ok(strengths.narrow(1, row, 1)?.squeeze(1)?.contiguous()?))
            .collect::<Result<Vec<Tensor>>>()?;
        let layer = |(layer, offsets): &(Layer, Tensor)| {
            let strengths = by_row.get(layer.row).ok_or_else(|| {
                Error::setting(
                    "row of a modulated layer",
                    layer.row,
                    format!("below {rows}"),
                )
            })?;
            let modulation = Modulation {
                style_offset: Some(domex_ops::matmul(strengths, offsets)?),
                channel_factor: None,
            };
            Ok((layer.name.clone(), modulation))
        };
        self.layers.iter().map(layer).collect()
    }
}
