//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of a schedule, a sampler or a block: what was found, what was expected.
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

    /// A tensor has the wrong shape.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// The shape in words or numbers.
        expected: String,
        /// The shape that was given.
        found: Vec<usize>,
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
}

impl Error {
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

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            expected: expected.into(),
            found: found.to_vec(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Random(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Shape { .. } | Self::Setting { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
