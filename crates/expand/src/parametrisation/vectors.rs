//! Vectors beside weights that stay the source's: for each new domain and layer an offset to its style, and a factor to its
//! input channels, through a gate along the domain's direction. See [`domex_latent::domain_vectors`].
//!
//! | | offsets | factors | gate |
//! | --- | --- | --- | --- |
//! | `stylespace` | yes | no | linear: as much as a latent has gone |
//! | `cin-mult` | no | yes | smooth |
//! | `gated` | yes | yes | smooth: closed on the base subspace and around it |
//!
//! On the base subspace nothing changes, so no training on the source domain has to hold it; behind a closed gate it is the
//! source's to the bit. That directions of StyleSpace adapt a generator to near domains: Alanov et al. 2023,
//! *StyleDomain*, arXiv 2212.10229; that factors of input channels do: Alanov et al. 2022, *HyperDomainNet*,
//! arXiv 2210.08884.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use domex_latent::Expansion;
use domex_latent::domain_vectors::{DomainVectors, Gate, LayerVectors};
use domex_latent::expansion::Rows;
use domex_latent::modulation::Layer;
use domex_train::Parameters;
use domex_train::ema::{Ema, EmaConfig};

use super::{Domains, Parametrisation, ParametrisationKind};
use crate::{Error, Result, Trainee};

/// See the [module docs](self).
pub struct Vectors {
    /// `offset.{layer}` and `factor.{layer}`: `[new domains, channels]`.
    parameters: Parameters,
    ema: Ema,
    layers: Vec<Layer>,
    gate: Gate,
    /// What the generator's domains had.
    earlier: Option<Expansion>,
}

/// What a layer has of a domain, and how its variable is called.
#[derive(Debug, Clone, Copy)]
enum Part {
    Offset,
    Factor,
}

impl Part {
    fn key(self, layer: &Layer) -> String {
        match self {
            Self::Offset => format!("offset.{}", layer.name),
            Self::Factor => format!("factor.{}", layer.name),
        }
    }
}

impl Vectors {
    pub(super) fn attach(
        kind: ParametrisationKind,
        trainee: &mut dyn Trainee,
        domains: Domains<'_>,
        ema: EmaConfig,
    ) -> Result<Self> {
        let layers = trainee.layers();
        if layers.is_empty() {
            let expected = format!(
                "\"full\": a generator of kind {} has no styles",
                trainee.kind()
            );
            let found = format!("{:?}", kind.name());
            return Err(Error::setting("parametrisation", found, expected));
        }
        let (parts, gate) = match kind {
            ParametrisationKind::Gated => (&[Part::Offset, Part::Factor][..], Gate::Smooth),
            ParametrisationKind::CinMult => (&[Part::Factor][..], Gate::Smooth),
            _ => (&[Part::Offset][..], Gate::Linear),
        };
        let new = &domains.layout.domains()[domains.earlier..];
        let mean = trainee.mean()?;
        let mut variables = BTreeMap::new();
        for layer in &layers {
            for part in parts {
                let zeros =
                    Tensor::zeros((new.len(), layer.channels), mean.dtype(), mean.device())?;
                variables.insert(part.key(layer), Var::from_tensor(&zeros)?);
            }
        }
        let parameters = Parameters::new(variables);
        let ema = Ema::new(&parameters, ema)?;
        let gates = vec![gate; new.len()];
        let modulator = |rows: &BTreeMap<String, Tensor>| -> Result<Arc<DomainVectors>> {
            let own = |layer: &Layer| {
                let of = |part: Part| rows.get(&part.key(layer)).cloned();
                let vectors = LayerVectors {
                    offset: of(Part::Offset),
                    factor: of(Part::Factor),
                };
                (layer.clone(), vectors)
            };
            let layers = layers.iter().map(own).collect();
            let vectors = DomainVectors::new(layers, &gates, new, domains.basis, &mean)?;
            Ok(Arc::new(vectors))
        };
        let live = parameters
            .iter()
            .map(|(name, var)| (name.to_owned(), var.as_tensor().clone()));
        let live = modulator(&live.collect())?;
        let averaged = modulator(&ema.average().frozen())?;
        trainee.modulate(live, averaged);
        Ok(Self {
            parameters,
            ema,
            layers,
            gate,
            earlier: trainee.expansion().cloned(),
        })
    }

    /// The rows of all domains: those that were there, then the averages of the new ones; zeros where one side has none.
    fn rows(&self, part: Part, earlier: Option<&Rows>, domains: usize) -> Result<Rows> {
        let averages = self.ema.average().frozen();
        let mut all = Rows::new();
        for layer in &self.layers {
            let new = averages.get(&part.key(layer));
            let before = earlier.and_then(|rows| rows.get(&layer.name));
            let rows = match (before, new) {
                (None, None) => continue,
                (Some(before), None) => before.pad_with_zeros(0, 0, domains - before.dim(0)?)?,
                (None, Some(new)) => new.pad_with_zeros(0, domains - new.dim(0)?, 0)?,
                (Some(before), Some(new)) => Tensor::cat(
                    &[
                        &before.to_device(&Device::Cpu)?,
                        &new.to_device(&Device::Cpu)?,
                    ],
                    0,
                )?,
            };
            all.insert(layer.name.clone(), rows.to_device(&Device::Cpu)?);
        }
        Ok(all)
    }
}

impl Parametrisation for Vectors {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn ema(&self) -> &Ema {
        &self.ema
    }

    fn row_of(&self, parameter: &str, trainee: &dyn Trainee) -> Option<usize> {
        let (_, layer) = parameter.split_once('.')?;
        trainee.row_of(layer)
    }

    fn changes_base(&self) -> bool {
        false
    }

    fn record(&self, expansion: Expansion) -> Result<Expansion> {
        let domains = expansion.layout.domains().len();
        let earlier = self.earlier.as_ref();
        let offsets = self.rows(Part::Offset, earlier.map(|e| &e.offsets), domains)?;
        let factors = self.rows(Part::Factor, earlier.map(|e| &e.factors), domains)?;
        let mut gates = earlier.map_or(Vec::new(), |e| e.gates.clone());
        gates.resize(domains, self.gate);
        Ok(expansion.with_vectors(offsets, factors, gates)?)
    }
}
