//! Offsets in StyleSpace: for each new domain a vector added to the style of each layer, in proportion to how far a latent
//! has gone along the domain's direction.
//!
//! ```text
//! style_l(w) + Σ_i α_i(w) δ_{i,l},   α_i(w) = ⟨w − w̄, v_i⟩ / s_i
//! ```
//!
//! The weights stay the source's, so on the base subspace nothing changes. That directions of StyleSpace adapt a generator
//! to near domains: Alanov et al. 2023, *StyleDomain*, arXiv 2212.10229.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use domex_latent::Expansion;
use domex_latent::modulation::{DomainOffsets, Layer};
use domex_train::Parameters;
use domex_train::ema::{Ema, EmaConfig};

use super::{Domains, Parametrisation};
use crate::{Error, Result, Trainee};

/// See the [module docs](self).
pub struct Stylespace {
    /// `offset.{layer}`: `[new domains, channels]`.
    parameters: Parameters,
    ema: Ema,
    layers: Vec<Layer>,
    /// Offsets of the domains that the generator had.
    earlier: BTreeMap<String, Tensor>,
}

impl Stylespace {
    pub(super) fn attach(
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
            return Err(Error::setting(
                "parametrisation",
                "\"stylespace\"",
                expected,
            ));
        }
        let new = &domains.layout.domains()[domains.earlier..];
        let mean = trainee.mean()?;
        let variable = |layer: &Layer| -> Result<(String, Var)> {
            let zeros = Tensor::zeros((new.len(), layer.channels), mean.dtype(), mean.device())?;
            Ok((key(layer), Var::from_tensor(&zeros)?))
        };
        let variables = layers.iter().map(variable).collect::<Result<_>>()?;
        let parameters = Parameters::new(variables);
        let ema = Ema::new(&parameters, ema)?;
        let modulator = |rows: &BTreeMap<String, Tensor>| -> Result<Arc<DomainOffsets>> {
            let own = layers
                .iter()
                .filter_map(|layer| Some((layer.clone(), rows.get(&key(layer))?.clone())));
            Ok(Arc::new(DomainOffsets::new(
                own.collect(),
                new,
                domains.basis,
                &mean,
            )?))
        };
        let live = parameters
            .iter()
            .map(|(name, var)| (name.to_owned(), var.as_tensor().clone()));
        let live = modulator(&live.collect())?;
        let averaged = modulator(&ema.average().frozen())?;
        trainee.modulate(live, averaged);
        let earlier = trainee
            .expansion()
            .map(|expansion| expansion.offsets.clone());
        Ok(Self {
            parameters,
            ema,
            layers,
            earlier: earlier.unwrap_or_default(),
        })
    }
}

impl Parametrisation for Stylespace {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn ema(&self) -> &Ema {
        &self.ema
    }

    fn row_of(&self, parameter: &str, _: &dyn Trainee) -> Option<usize> {
        let layer = self.layers.iter().find(|layer| key(layer) == parameter);
        layer.map(|layer| layer.row)
    }

    fn changes_base(&self) -> bool {
        false
    }

    fn record(&self, expansion: Expansion) -> Result<Expansion> {
        let averages = self.ema.average().frozen();
        let mut offsets = BTreeMap::new();
        for layer in &self.layers {
            let Some(new) = averages.get(&key(layer)) else {
                continue;
            };
            let new = new.to_device(&Device::Cpu)?;
            let before = expansion.layout.domains().len() - new.dim(0)?;
            let rows = match self.earlier.get(&layer.name) {
                Some(earlier) => Tensor::cat(&[&earlier.to_device(&Device::Cpu)?, &new], 0)?,
                None => new.pad_with_zeros(0, before, 0)?,
            };
            offsets.insert(layer.name.clone(), rows);
        }
        Ok(expansion.with_offsets(offsets)?)
    }
}

/// What the variable of a layer is called.
fn key(layer: &Layer) -> String {
    format!("offset.{}", layer.name)
}
