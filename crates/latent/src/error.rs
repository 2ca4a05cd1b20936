//! What can go wrong in this crate.

use domex_error::{AnyError, UserError};

/// An error of the latent space: what was given, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),

    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),

    /// A random draw failed.
    #[error(transparent)]
    Random(#[from] domex_random::Error),

    /// A network failed while it served as a [`Generator`](crate::Generator).
    #[error("{network}: {source}")]
    Network {
        /// Which network.
        network: String,
        /// Its own error.
        source: AnyError,
    },

    /// A tensor has the wrong shape.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// The shape in words, such as `[n, 512] or [n, layers, 512]`.
        expected: String,
        /// The shape that was given.
        found: Vec<usize>,
    },

    /// A number that has to be finite is not.
    #[error("{what}: entry {index} is {value}; all entries must be finite")]
    NotFinite {
        /// Which tensor or setting.
        what: String,
        /// The first such entry, counted in row-major order.
        index: usize,
        /// NaN or an infinity.
        value: f64,
    },

    /// A dimension index does not exist in the basis.
    #[error("{what}: dimension {index} is out of range, the basis has dimensions 0 to {}", .count.saturating_sub(1))]
    DimensionRange {
        /// Which list or flag.
        what: String,
        /// The index that was given.
        index: usize,
        /// Number of basis directions.
        count: usize,
    },

    /// A dimension was asked for twice.
    #[error(
        "dimension {index} is already taken by {holder}; give each domain its own, or leave it out to get the most dormant free one"
    )]
    DimensionTaken {
        /// The contested index.
        index: usize,
        /// Who holds it.
        holder: String,
    },

    /// Every direction of the basis is in use.
    #[error("all {count} dimensions of the basis are in use; remove a domain first")]
    NoFreeDimension {
        /// Number of basis directions.
        count: usize,
    },

    /// A name was used twice, or is unknown.
    #[error("domain {name:?} {problem}; known: {known}")]
    DomainName {
        /// The name that was given.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
        /// The names there are, separated by commas.
        known: String,
    },

    /// A basis read from a file is not one.
    #[error(
        "basis: columns {row} and {column} have scalar product {found:.3e}, expected {expected} within {tolerance:.0e}; a basis has orthonormal directions, one per column"
    )]
    NotOrthonormal {
        /// One column.
        row: usize,
        /// The other column, or the same one.
        column: usize,
        /// Their scalar product.
        found: f64,
        /// 1 for a column with itself, else 0.
        expected: f64,
        /// The largest deviation allowed.
        tolerance: f64,
    },

    /// A W+ code was given where only a W code makes sense.
    #[error(
        "latent {sample}: row {row} of this W+ code differs from row 0 by {distance:.2e} (allowed: {tolerance:.0e}), so it is not a W code; use it as W+, average its rows, or invert the picture into W"
    )]
    NotW {
        /// Index in the batch.
        sample: usize,
        /// The row that is farthest from row 0.
        row: usize,
        /// Largest absolute difference of that row and row 0.
        distance: f64,
        /// The largest difference allowed.
        tolerance: f64,
    },

    /// A setting is outside its allowed range.
    #[error("{what}: {found}, expected {expected}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// The value given.
        found: String,
        /// What is allowed.
        expected: String,
    },

    /// A factorisation did not converge.
    #[error(
        "{what} of a {rows}x{columns} matrix did not converge; are its entries of a sane size?"
    )]
    Factorisation {
        /// Which factorisation.
        what: &'static str,
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },
}

impl Error {
    /// Wraps a network's own error, for implementations of [`Generator`](crate::Generator).
    pub fn network(network: impl Into<String>, source: impl Into<AnyError>) -> Self {
        Self::Network {
            network: network.into(),
            source: source.into(),
        }
    }

    pub(crate) fn shape(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: &[usize],
    ) -> Self {
        Self::Shape {
            what: what.into(),
            expected: expected.into(),
            found: found.to_vec(),
        }
    }

    pub(crate) fn setting(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Setting {
            what,
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Random(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Network { source, .. } => source.is_user_error(),
            Self::Shape { .. }
            | Self::NotFinite { .. }
            | Self::DimensionRange { .. }
            | Self::DimensionTaken { .. }
            | Self::NoFreeDimension { .. }
            | Self::DomainName { .. }
            | Self::NotOrthonormal { .. }
            | Self::NotW { .. }
            | Self::Setting { .. }
            | Self::Factorisation { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
