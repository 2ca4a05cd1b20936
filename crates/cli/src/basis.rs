//! The latent basis that belongs to a model.

use clap::ValueEnum;
use domex_latent::basis::{Basis, BasisKind};

use crate::kinds::Model;

/// Which factorisation gives the basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// The checkpoint's own basis if it has one, else as the Domain Expansion code computes it.
    DomainExpansion,
    /// As genforce's SeFA code computes it: rows of unit length.
    Genforce,
}

/// The checkpoint's own basis where it has one, else the factorisation asked for.
///
/// A basis in the checkpoint must win: its columns' signs and order are what its domains were
/// trained along.
pub fn of(model: &Model, choice: Choice) -> domex_error::Result<Basis> {
    let kind = match (choice, model.expansion()) {
        (Choice::DomainExpansion, Some(expansion)) => return Ok(expansion.basis.clone()),
        (Choice::DomainExpansion, None) => BasisKind::DomainExpansion,
        (Choice::Genforce, _) => BasisKind::Genforce { layers: None },
    };
    Ok(Basis::of(model.generator(), &kind)?)
}

/// Its spectrum: how strongly the network's first matrices react to each direction.
pub fn spectrum(model: &Model, basis: &Basis) -> domex_error::Result<Vec<f64>> {
    if let Some(values) = basis.values() {
        return Ok(values.to_vec());
    }
    let matrices = model.generator().acting_matrices()?;
    Ok(basis.gains(&BasisKind::DomainExpansion, &matrices)?)
}
