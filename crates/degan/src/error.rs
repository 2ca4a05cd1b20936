//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the encoder, of StyleSpace or of a loss: what was given, what was expected.
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
    /// The generator failed.
    #[error(transparent)]
    StyleGan2(#[from] domex_stylegan2::Error),
    /// A tensor has the wrong shape.
    #[error("degan: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A setting is outside its range, or a file does not fit.
    #[error("degan: {what} is {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
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
            Self::StyleGan2(error) => error.is_user_error(),
            Self::Config { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
