//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of a loss: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A distance of pictures failed.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// A tensor has the wrong shape.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A setting is outside its range.
    #[error("{what}: {found}, expected {expected}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
}

impl Error {
    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
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
            Self::Candle(_) | Self::Shape { .. } => false,
            Self::Latent(error) => error.is_user_error(),
            Self::Setting { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
