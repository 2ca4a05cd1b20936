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
//! style, and `g(α_i) O_{i,l}` to the weight. Where every gate is closed, the network is the source network.
//!
//! Cost of a layer with d domains for n samples: offsets and factors a product of `[n, d]` and `[d, channels]`; a change of an
//! affine map one or two products like the map's own, for each domain whose gate is open; an offset of a weight a
//! weight for each sample.

use candle_core::{D, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::basis::Basis;
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
}

impl LayerVectors {
    /// Whether no domain does anything to the layer.
    pub(crate) fn is_empty(&self) -> bool {
        let has_rows = self.offset.is_some() || self.factor.is_some();
        !has_rows && self.affine.is_empty() && self.weight.is_empty()
    }

    /// Checks the shapes of all parts.
    fn check(&self, layer: &Layer, domains: usize, width: usize) -> Result<()> {
        let name = &layer.name;
        let rows = [domains, layer.channels];
        let stored = [layer.outputs, layer.channels];
        let parts = [("offset", &self.offset), ("factor", &self.factor)];
        let parts = parts
            .into_iter()
            .filter_map(|(what, part)| Some((what, part.as_ref()?, rows)));
        let weights = self.weight.iter();
        let weights = weights.map(|(_, offset)| ("offset of the weight", offset, stored));
        for (what, found, expected) in parts.chain(weights) {
            if found.dims() != expected {
                let what = format!("{what} of layer {name}");
                return Err(Error::shape(what, format!("{expected:?}"), found.dims()));
            }
        }
        for (_, change) in &self.affine {
            change.check(name, layer.channels, width)?;
        }
        let own = self.affine.iter().map(|(domain, _)| domain);
        let own = own.chain(self.weight.iter().map(|(domain, _)| domain));
        match own.max() {
            Some(last) if *last >= domains => Err(Error::setting(
                "domain of a layer's matrices",
                last,
                format!("below {domains}"),
            )),
            _ => Ok(()),
        }
    }

    /// What a layer gets of them: `opened: [n, domains]` of latents `[n, D]`. `is_open` says which domains matter.
    fn modulation(
        &self,
        opened: &Tensor,
        latents: &Tensor,
        is_open: &[bool],
    ) -> Result<Modulation> {
        let n = opened.dim(0)?;
        let weighted = |rows: &Tensor| domex_ops::matmul(opened, rows);
        let mut style_offset = self.offset.as_ref().map(weighted).transpose()?;
        for (domain, change) in self.affine.iter().filter(|(domain, _)| is_open[*domain]) {
            let gate = opened.narrow(1, *domain, 1)?;
            let step = change.forward(latents)?.broadcast_mul(&gate)?;
            style_offset = Some(match style_offset {
                Some(sum) => (sum + step)?,
                None => step,
            });
        }
        let mut weight_offset: Option<Tensor> = None;
        for (domain, offset) in self.weight.iter().filter(|(domain, _)| is_open[*domain]) {
            let gate = opened.narrow(1, *domain, 1)?.reshape((n, 1, 1, 1, 1))?;
            let (o, i) = offset.dims2()?;
            let step = offset.reshape((1, o, i, 1, 1))?.broadcast_mul(&gate)?;
            weight_offset = Some(match weight_offset {
                Some(sum) => (sum + step)?,
                None => step,
            });
        }
        let factor = self.factor.as_ref().map(weighted).transpose()?;
        Ok(Modulation {
            style_offset,
            channel_factor: factor.map(|factor| factor + 1.0).transpose()?,
            weight_offset,
            ..Modulation::default()
        })
    }
}

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct DomainVectors {
    layers: Vec<(Layer, LayerVectors)>,
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
            gates: Gates::new(gates, mean)?,
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
        let layer = |(layer, vectors): &(Layer, LayerVectors)| {
            let at = layer.row;
            let (Some(opened), Some(latents)) = (opened.get(at), latents.get(at)) else {
                let expected = format!("below {rows}");
                return Err(Error::setting("row of a modulated layer", at, expected));
            };
            let modulation = vectors.modulation(opened, latents, &is_open)?;
            Ok((layer.name.clone(), modulation))
        };
        self.layers.iter().map(layer).collect()
    }
}

#[cfg(test)]
mod tests {
    use domex_ops::testing::{assert_gradients, max_difference, randn};

    use super::*;

    fn smooth(alpha: &[f64]) -> Vec<f64> {
        let alpha = Tensor::new(alpha, &Device::Cpu).unwrap();
        Gate::Smooth.open(&alpha).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_smooth_gate_is_closed_around_the_base_and_one_in_the_domain() {
        assert_eq!(smooth(&[0.0, 0.05, -0.1, 0.1]), [0.0, 0.0, 0.0, 0.0]);
        assert!((smooth(&[1.0])[0] - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_smooth_gate_rises_and_ends() {
        let steps: Vec<f64> = (0..40).map(|i| f64::from(i) / 20.0).collect();
        let opened = smooth(&steps);
        assert!(opened.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(smooth(&[2.0, 100.0]), [Gate::LARGEST, Gate::LARGEST]);
    }

    #[test]
    fn a_smooth_gate_has_no_kink_at_the_domain() {
        let at = smooth(&[0.999, 1.0, 1.001]);
        let (before, after) = (at[1] - at[0], at[2] - at[1]);
        assert!((before / after - 1.0).abs() < 1e-2, "{before} {after}");
    }

    #[test]
    fn below_the_base_lies_the_opposite() {
        let (plus, minus) = (smooth(&[0.7]), smooth(&[-0.7]));
        assert_eq!(plus[0], -minus[0]);
    }

    #[test]
    fn gradients_go_through_a_smooth_gate() {
        let alpha = Tensor::new(&[0.3, 0.8, 1.2, -0.6], &Device::Cpu).unwrap();
        let open = |x: &[Tensor]| Ok(Gate::Smooth.open(&x[0]).unwrap());
        assert_gradients("smooth gate", open, &[alpha]);
    }

    /// Three domains of a latent of four numbers; one layer of two channels.
    fn vectors(gates: &[Gate]) -> DomainVectors {
        let basis = Basis::given(Tensor::eye(4, candle_core::DType::F64, &Device::Cpu).unwrap());
        let domains: Vec<Domain> = (0..gates.len())
            .map(|i| Domain {
                name: format!("domain {i}"),
                dimension: 3 - i,
                distance: 2.0,
                task: serde_json::Value::Null,
            })
            .collect();
        let layer = Layer {
            name: "b4.conv1".to_owned(),
            channels: 2,
            outputs: 3,
            resolution: 4,
            row: 0,
        };
        let rows = |seed| Some(randn(&[gates.len(), 2], seed));
        let own = LayerVectors {
            offset: rows(1),
            factor: rows(2),
            ..LayerVectors::default()
        };
        let mean = Tensor::zeros(4, candle_core::DType::F64, &Device::Cpu).unwrap();
        DomainVectors::new(vec![(layer, own)], gates, &domains, &basis.unwrap(), &mean).unwrap()
    }

    /// The same where domain 1 changes the affine map too, and domain 2 the weight.
    fn with_matrices() -> DomainVectors {
        let mut all = vectors(&[Gate::Smooth; 3]);
        let (_, own) = &mut all.layers[0];
        own.affine = vec![(1, AffineChange::Full(randn(&[2, 4], 3)))];
        own.weight = vec![(2, randn(&[3, 2], 4))];
        all
    }

    fn latent(w: [f64; 4]) -> Tensor {
        Tensor::new(&[[w]], &Device::Cpu).unwrap()
    }

    #[test]
    fn closed_gates_leave_every_layer_as_it_is() {
        let vectors = vectors(&[Gate::Smooth; 3]);
        // The base's own spread along the directions.
        let found = vectors.modulate(&latent([5.0, 0.1, -0.1, 0.15])).unwrap();
        assert!(found.is_empty());
    }

    #[test]
    fn a_domain_gets_its_own_vectors() {
        let vectors = vectors(&[Gate::Smooth; 3]);
        let found = vectors.modulate(&latent([0.0, 0.0, 2.0, 0.0])).unwrap();
        let found = &found["b4.conv1"];
        let own = |rows: &Option<Tensor>| rows.as_ref().unwrap().narrow(0, 1, 1).unwrap();
        let (_, expected) = &vectors.layers[0];
        let offset = found.style_offset.as_ref().unwrap();
        assert!(max_difference(offset, &own(&expected.offset)) < 1e-12);
        let factor = (found.channel_factor.as_ref().unwrap() - 1.0).unwrap();
        assert!(max_difference(&factor, &own(&expected.factor)) < 1e-12);
    }

    #[test]
    fn a_change_of_the_affine_map_is_a_step_of_each_style() {
        let (with, without) = (with_matrices(), vectors(&[Gate::Smooth; 3]));
        let w = Tensor::new(
            &[[[1.0, -2.0, 2.0, 0.0]], [[0.5, 0.0, 1.0, 0.0]]],
            &Device::Cpu,
        );
        let w = w.unwrap();
        let offset = |vectors: &DomainVectors| {
            let found = vectors.modulate(&w).unwrap();
            found["b4.conv1"].style_offset.clone().unwrap()
        };
        let found = (offset(&with) - offset(&without)).unwrap();
        // √D is 2.
        let map = (randn(&[2, 4], 3) / 2.0).unwrap();
        let gates = Tensor::new(&[[1.0], [smooth(&[0.5])[0]]], &Device::Cpu).unwrap();
        let steps = w.squeeze(1).unwrap().matmul(&map.t().unwrap()).unwrap();
        let expected = steps.broadcast_mul(&gates).unwrap();
        assert!(max_difference(&found, &expected) < 1e-12);
    }

    #[test]
    fn an_offset_of_the_weight_comes_through_for_its_own_samples_only() {
        let w = Tensor::new(
            &[[[0.0, 2.0, 0.0, 0.0]], [[0.0, 0.0, 2.0, 0.0]]],
            &Device::Cpu,
        );
        let found = with_matrices().modulate(&w.unwrap()).unwrap();
        let offset = found["b4.conv1"].weight_offset.as_ref().unwrap();
        assert_eq!(offset.dims(), [2, 3, 2, 1, 1]);
        let sample = |at: usize| offset.narrow(0, at, 1).unwrap().reshape((3, 2)).unwrap();
        assert!(max_difference(&sample(0), &randn(&[3, 2], 4)) < 1e-12);
        assert_eq!(
            max_difference(&sample(1), &sample(1).zeros_like().unwrap()),
            0.0
        );
    }

    #[test]
    fn matrices_of_closed_gates_are_not_looked_at() {
        let found = with_matrices()
            .modulate(&latent([3.0, 0.0, 0.0, 2.0]))
            .unwrap();
        let found = &found["b4.conv1"];
        assert!(found.weight_offset.is_none());
        let (_, own) = &vectors(&[Gate::Smooth; 3]).layers[0];
        let first = own.offset.as_ref().unwrap().narrow(0, 0, 1).unwrap();
        assert!(max_difference(found.style_offset.as_ref().unwrap(), &first) < 1e-12);
    }

    #[test]
    fn gates_of_both_kinds_stand_side_by_side() {
        let mixed = vectors(&[Gate::Linear, Gate::Smooth, Gate::Linear]);
        let w = latent([0.0, 0.1, 1.3, 0.1]);
        let alpha = mixed.strengths(&w).unwrap();
        let opened: Vec<f64> = mixed
            .gates
            .open(&alpha)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert_eq!((opened[0], opened[2]), (0.05, 0.05));
        assert_eq!(opened[1], smooth(&[0.65])[0]);
    }
}
