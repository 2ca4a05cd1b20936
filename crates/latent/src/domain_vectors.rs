//! Domains as vectors of a few thousand numbers beside a generator whose weights stay as they are.
//!
//! A domain i has for each layer an offset δ to its style and a factor φ to its input channels. A sample gets as much of them
//! as its latent has gone along the domain's direction v_i, through a gate g:
//!
//! ```text
//! style_l(w) + Σ_i g(α_i) δ_{i,l},   channels_l · (1 + Σ_i g(α_i) φ_{i,l}),   α_i = ⟨w − w̄, v_i⟩ / s_i
//! ```
//!
//! Offsets alone are directions of StyleSpace (StyleDomain, arXiv 2212.10229), factors alone the domain modulation of
//! HyperDomainNet (arXiv 2210.08884). A domain may also have [matrices](crate::matrices): `g(α_i) ΔA_{i,l} w / √D` is added to the
//! style, `g(α_i) O_{i,l}` to the weight, `g(α_i) Γ_{i,l}` to the deviations of its kernels, and `g(α_i) Δb_{i,l}` to the bias. Where it has a
//! [mapping](crate::mapping), layers read `w + g(α_i) m_i(w)` and its own ΔA reads `w + m_i(w)`. Where every gate is closed, the network is the source network.
//!
//! Cost of a layer with d domains for n samples: offsets and factors a product of `[n, d]` and `[d, channels]`; a change of an
//! affine map one or two products like the map's own, for each domain whose gate is open; what changes a weight or a bias a
//! weight for each sample. A mapping costs two products for each row of a latent.

use candle_core::{D, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::basis::Basis;
use crate::mapping::Mapping;
use crate::matrices::AffineChange;
use crate::modulation::{Layer, Modulation, Modulations, Modulator};
use crate::subspace::Domain;
use crate::{Error, Result};

/// How a domain's vectors come in along its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// g(α) = α.
    #[default]
    Linear,
    /// Closed up to |α| = 0.1, where the base's own spread along a dormant direction ends; from there, with
    /// t = (|α| − 0.1) / 0.9, first t² (2 − t), which leaves zero and meets one without a kink, then t, up to 1.5. The
    /// sign is that of α: below the base lies the opposite of the domain.
    Smooth,
}

impl Gate {
    /// |α| up to which a smooth gate is closed.
    pub const CLOSED: f64 = 0.1;
    /// What a smooth gate opens to at most.
    pub const LARGEST: f64 = 1.5;

    /// g of each number, differentiable.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn open(self, alpha: &Tensor) -> Result<Tensor> {
        if self == Self::Linear {
            return Ok(alpha.clone());
        }
        let t = ((alpha.abs()? - Self::CLOSED)? / (1.0 - Self::CLOSED))?;
        let t = t.clamp(0.0, Self::LARGEST)?;
        let low = t.minimum(1.0)?;
        let high = (&t - &low)?;
        let rising = (low.sqr()? * (2.0 - &low)?)?;
        Ok(((rising + high)? * alpha.sign()?)?)
    }
}

/// What the domains do to one layer.
#[derive(Debug, Clone, Default)]
pub struct LayerVectors {
    /// Added to its style, `[domains, channels]`.
    pub offset: Option<Tensor>,
    /// What its channels are multiplied with, less one, `[domains, channels]`.
    pub factor: Option<Tensor>,
    /// Changes of its affine map, with their domains.
    pub affine: Vec<(usize, AffineChange)>,
    /// Offsets of its weight, `[outputs, channels]`, with their domains.
    pub weight: Vec<(usize, Tensor)>,
    /// What is added to the deviations of its kernels, `[outputs, channels]`.
    pub deviation: Vec<(usize, Tensor)>,
    /// What is added to its bias, `[outputs]`.
    pub bias: Vec<(usize, Tensor)>,
}

/// What domains add in one row of a latent: `[n, D]` with the domain.
type Mapped = Vec<(usize, Tensor)>;

impl LayerVectors {
    /// Whether no domain does anything to the layer.
    pub(crate) fn is_empty(&self) -> bool {
        let has_rows = self.offset.is_some() || self.factor.is_some();
        !has_rows && self.affine.is_empty() && self.matrices().all(|(_, own)| own.is_empty())
    }

    /// What changes the layer's own weight and bias.
    fn matrices(&self) -> impl Iterator<Item = (&'static str, &Vec<(usize, Tensor)>)> {
        [
            ("offset of the weight", &self.weight),
            ("change of the deviations", &self.deviation),
            ("change of the bias", &self.bias),
        ]
        .into_iter()
    }

    /// Checks the shapes of all parts.
    fn check(&self, layer: &Layer, domains: usize, width: usize) -> Result<()> {
        let name = &layer.name;
        let rows = vec![domains, layer.channels];
        let parts = [("offset", &self.offset), ("factor", &self.factor)];
        let parts = parts
            .into_iter()
            .filter_map(|(what, part)| Some((what, part.as_ref()?, rows.clone())));
        let matrices = self.matrices().flat_map(|(what, own)| {
            let stored = match what.ends_with("bias") {
                true => vec![layer.outputs],
                false => vec![layer.outputs, layer.channels],
            };
            own.iter()
                .map(move |(_, matrix)| (what, matrix, stored.clone()))
        });
        for (what, found, expected) in parts.chain(matrices) {
            if found.dims() != expected {
                let what = format!("{what} of layer {name}");
                return Err(Error::shape(what, format!("{expected:?}"), found.dims()));
            }
        }
        if layer.kernel == 1 && !self.deviation.is_empty() {
            let what = "layer with a change of the deviations";
            return Err(Error::setting(what, name, "one whose kernels have a size"));
        }
        for (_, change) in &self.affine {
            change.check(name, layer.channels, width)?;
        }
        let own = self.affine.iter().map(|(domain, _)| domain);
        let matrices = self.matrices().flat_map(|(_, own)| own);
        let own = own.chain(matrices.map(|(domain, _)| domain));
        check_domain(own.max(), domains)
    }

    /// What a layer gets of them: `opened: [n, domains]` of latents `[n, D]`. `is_open` says which domains matter.
    fn modulation(
        &self,
        opened: &Tensor,
        (latents, mapped): (&Tensor, &Mapped),
        is_open: &[bool],
    ) -> Result<Modulation> {
        let weighted = |rows: &Tensor| domex_ops::matmul(opened, rows);
        let mut style_offset = self.offset.as_ref().map(weighted).transpose()?;
        for (domain, change) in self.affine.iter().filter(|(domain, _)| is_open[*domain]) {
            let gate = opened.narrow(1, *domain, 1)?;
            let own = mapped.iter().find(|(of, _)| of == domain);
            let step = match own {
                Some((_, own)) => change.forward(&(latents + own)?)?,
                None => change.forward(latents)?,
            };
            style_offset = sum(style_offset, step.broadcast_mul(&gate)?)?;
        }
        let gated = |parts: &[(usize, Tensor)], rank| gated(opened, parts, is_open, rank);
        let kernels = |matrices: Option<Tensor>| match matrices {
            Some(all) => Ok::<_, Error>(Some(all.unsqueeze(3)?.unsqueeze(4)?)),
            None => Ok(None),
        };
        let factor = self.factor.as_ref().map(weighted).transpose()?;
        Ok(Modulation {
            latent_offset: gated(mapped, 2)?,
            style_offset,
            channel_factor: factor.map(|factor| factor + 1.0).transpose()?,
            weight_offset: kernels(gated(&self.weight, 3)?)?,
            kernel_deviation: kernels(gated(&self.deviation, 3)?)?,
            bias_offset: gated(&self.bias, 2)?,
            ..Modulation::default()
        })
    }
}

fn check_domain(last: Option<&usize>, domains: usize) -> Result<()> {
    match last {
        Some(last) if *last >= domains => Err(Error::setting(
            "domain of a layer's matrices",
            last,
            format!("below {domains}"),
        )),
        _ => Ok(()),
    }
}

fn sum(before: Option<Tensor>, step: Tensor) -> Result<Option<Tensor>> {
    Ok(Some(match before {
        Some(before) => (before + step)?,
        None => step,
    }))
}

/// The parts of open domains, each `[..]` or `[n, ..]`, by how far they are open for each sample: `[n, ..]` of this rank.
fn gated(
    opened: &Tensor,
    parts: &[(usize, Tensor)],
    is_open: &[bool],
    rank: usize,
) -> Result<Option<Tensor>> {
    let mut all = None;
    for (domain, part) in parts.iter().filter(|(domain, _)| is_open[*domain]) {
        let mut shape = vec![1; rank];
        shape[0] = opened.dim(0)?;
        let gate = opened.narrow(1, *domain, 1)?.reshape(shape)?;
        all = sum(all, part.broadcast_mul(&gate)?)?;
    }
    Ok(all)
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct DomainVectors {
    layers: Vec<(Layer, LayerVectors)>,
    /// With their domains.
    mappings: Vec<(usize, Mapping)>,
    directions: Tensor, // [D, domains], each divided by its distance
    gates: Gates,
    /// Written in place: it follows a mean that moves while a network is trained.
    mean: Var, // [D]
}

/// The gates of all domains.
#[derive(Debug, Clone)]
enum Gates {
    Alike(Gate),
    /// 1 where the domain's gate is smooth, 0 where it is linear: `[domains]`.
    Mixed(Tensor),
}

impl Gates {
    fn new(gates: &[Gate], like: &Tensor) -> Result<Self> {
        let first = gates.first().copied().unwrap_or_default();
        if gates.iter().all(|gate| *gate == first) {
            return Ok(Self::Alike(first));
        }
        let smooth = gates.iter().map(|gate| f32::from(*gate == Gate::Smooth));
        let smooth = Tensor::new(smooth.collect::<Vec<f32>>(), like.device())?;
        Ok(Self::Mixed(smooth.to_dtype(like.dtype())?))
    }

    /// Of strengths `[.., domains]`.
    fn open(&self, alpha: &Tensor) -> Result<Tensor> {
        match self {
            Self::Alike(gate) => gate.open(alpha),
            Self::Mixed(smooth) => {
                let linear = smooth.affine(-1.0, 1.0)?;
                let opened = Gate::Smooth.open(alpha)?.broadcast_mul(smooth)?;
                Ok((opened + alpha.broadcast_mul(&linear)?)?)
            }
        }
    }
}

impl DomainVectors {
    /// The vectors of each layer for these domains, and a gate for each domain, on the device and in the type of
    /// `mean: [D]`, the mean latent. Variables among them stay live.
    ///
    /// # Errors
    ///
    /// No domain, or shapes that do not fit.
    pub fn new(
        layers: Vec<(Layer, LayerVectors)>,
        gates: &[Gate],
        domains: &[Domain],
        basis: &Basis,
        mean: &Tensor,
    ) -> Result<Self> {
        if domains.is_empty() {
            return Err(Error::setting("domains with vectors", 0, "at least one"));
        }
        if gates.len() != domains.len() {
            let expected = format!("{}, one for each domain", domains.len());
            return Err(Error::setting("number of gates", gates.len(), expected));
        }
        for (layer, vectors) in &layers {
            vectors.check(layer, domains.len(), basis.latent_dim())?;
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
            mappings: Vec::new(),
            gates: Gates::new(gates, mean)?,
            directions: vectors
                .contiguous()?
                .index_select(&columns, 1)?
                .broadcast_div(&distances)?,
            mean: Var::from_tensor(&mean.detach())?,
        })
    }

    /// The same where these domains have mappings, which all layers of [`new`](Self::new) read the latent through.
    ///
    /// # Errors
    ///
    /// A domain that is not there, or shapes that do not fit.
    pub fn with_mappings(mut self, mappings: Vec<(usize, Mapping)>) -> Result<Self> {
        let [width, domains] = <[usize; 2]>::from(self.directions.dims2()?);
        check_domain(mappings.iter().map(|(domain, _)| domain).max(), domains)?;
        for (_, mapping) in &mappings {
            mapping.check(width)?;
        }
        self.mappings = mappings;
        Ok(self)
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

/// Of which domains something comes through for any sample. Elsewhere than on the CPU, asking would make the device wait.
fn open_domains(opened: &Tensor) -> Result<Vec<bool>> {
    let domains = opened.dim(D::Minus1)?;
    if !matches!(opened.device(), Device::Cpu) {
        return Ok(vec![true; domains]);
    }
    let sums = opened.detach().abs()?.reshape(((), domains))?.sum(0)?;
    let sums = sums.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?;
    Ok(sums.into_iter().map(|sum| sum != 0.0).collect())
}

impl Modulator for DomainVectors {
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
        let opened = self.gates.open(&self.strengths(latents)?)?; // [n, num_ws, domains]
        let is_open = open_domains(&opened)?;
        if !is_open.contains(&true) {
            return Ok(Modulations::new());
        }
        let by_row = |of: &Tensor| {
            let row = |row| Ok(of.narrow(1, row, 1)?.squeeze(1)?.contiguous()?);
            (0..rows).map(row).collect::<Result<Vec<Tensor>>>()
        };
        let (opened, latents) = (by_row(&opened)?, by_row(latents)?);
        let mapped = |latents: &Tensor| -> Result<Mapped> {
            let own = self.mappings.iter().filter(|(domain, _)| is_open[*domain]);
            own.map(|(domain, mapping)| Ok((*domain, mapping.forward(latents)?)))
                .collect()
        };
        // Layers that share a row share what is mapped.
        let mapped = latents.iter().map(mapped).collect::<Result<Vec<_>>>()?;
        let layer = |(layer, vectors): &(Layer, LayerVectors)| {
            let at = layer.row;
            let (Some(opened), Some(latents), Some(mapped)) =
                (opened.get(at), latents.get(at), mapped.get(at))
            else {
                let expected = format!("below {rows}");
                return Err(Error::setting("row of a modulated layer", at, expected));
            };
            let modulation = vectors.modulation(opened, (latents, mapped), &is_open)?;
            Ok((layer.name.clone(), modulation))
        };
        self.layers.iter().map(layer).collect()
    }
}

#[cfg(test)]
mod tests;
