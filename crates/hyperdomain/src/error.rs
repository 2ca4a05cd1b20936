//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of domain modulations or of the hypernetwork: what was given, what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A tensor has the wrong shape.
    #[error("hyperdomain: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A setting is outside its range, or a file does not fit.
    #[error("hyperdomain: {what} is {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// A weight could not be decomposed.
    #[error("hyperdomain: the singular values of {0} did not converge; are its numbers finite?")]
    Factorisation(String),
}

impl Error {
    pub(crate) fn shape(
        what: impl Into<String>,
        found: &[usize],
        expected: impl Into<String>,
    ) -> Self {
        Self::Shape {
            what: what.into(),
            found: found.to_vec(),
            expected: expected.into(),
        }
    }

    pub(crate) fn config(
        what: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Config {
            what: what.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Shape { .. } => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Config { .. } | Self::Factorisation(_) => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
