//! The latent basis that belongs to a model.

use domex_latent::basis::{Basis, BasisKind};
use domex_stylegan2::Model;

use crate::args::BasisChoice;

/// The checkpoint's own basis where it has one, else the factorisation asked for.
///
/// A basis in the checkpoint must win: its columns' signs and order are what its domains were
/// trained along.
pub fn of(model: &Model, choice: BasisChoice) -> anyhow::Result<Basis> {
    let kind = match (choice, model.expansion()) {
        (BasisChoice::DomainExpansion, Some(expansion)) => return Ok(expansion.basis.clone()),
        (BasisChoice::DomainExpansion, None) => BasisKind::DomainExpansion,
        (BasisChoice::Genforce, _) => BasisKind::Genforce { layers: None },
    };
    Ok(Basis::of(model.generator(), &kind)?)
}

/// Its spectrum: how strongly the network's first matrices react to each direction.
pub fn spectrum(model: &Model, basis: &Basis) -> anyhow::Result<Vec<f64>> {
    if let Some(values) = basis.values() {
        return Ok(values.to_vec());
    }
    let matrices = domex_latent::Generator::acting_matrices(model.generator())?;
    Ok(basis.gains(&BasisKind::DomainExpansion, &matrices)?)
}
