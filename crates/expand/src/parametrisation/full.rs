//! All weights that the trainee can train, as published.

use domex_latent::Expansion;
use domex_latent::domain_vectors::Gate;
use domex_latent::matrices::Matrices;
use domex_train::Parameters;
use domex_train::ema::{Ema, EmaConfig};

use super::Parametrisation;
use crate::{Result, Trainee};

/// See the [module docs](self).
pub struct Full {
    parameters: Parameters,
    ema: Ema,
    /// Vectors that the generator had, for domains that it had: they stay.
    kept: Option<Expansion>,
}

impl Full {
    pub(super) fn attach(trainee: &mut dyn Trainee, ema: EmaConfig) -> Result<Self> {
        let parameters = trainee.train_weights()?;
        let ema = Ema::new(&parameters, ema)?;
        trainee.average_weights(&ema.average().frozen())?;
        Ok(Self {
            parameters,
            ema,
            kept: trainee.expansion().cloned(),
        })
    }
}

impl Parametrisation for Full {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn ema(&self) -> &Ema {
        &self.ema
    }

    fn row_of(&self, parameter: &str, trainee: &dyn Trainee) -> Option<usize> {
        trainee.row_of(parameter)
    }

    fn record(&self, expansion: Expansion) -> Result<Expansion> {
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.has_vectors()) else {
            return Ok(expansion);
        };
        // The new domains need none.
        let domains = expansion.layout.domains().len();
        let new = domains - kept.layout.domains().len();
        let (mut offsets, mut factors) = (kept.offsets.clone(), kept.factors.clone());
        for rows in offsets.values_mut().chain(factors.values_mut()) {
            *rows = rows.pad_with_zeros(0, 0, new)?;
        }
        let mut gates = kept.gates.clone();
        gates.resize(domains, Gate::Linear);
        let mut matrices = kept.matrices.clone();
        matrices.resize(domains, Matrices::default());
        let expansion = expansion.with_vectors(offsets, factors, gates)?;
        Ok(expansion.with_matrices(matrices)?)
    }
}
