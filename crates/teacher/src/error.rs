//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the teacher: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed, or a weight is missing.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The process or a block refused.
    #[error(transparent)]
    Diffusion(#[from] domex_diffusion::Error),
    /// The U-Net refused.
    #[error(transparent)]
    UNet(Box<domex_diffae::Error>),
    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A size, a shape or a kind is not what it has to be.
    #[error("{what}: {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
}

/// Boxed: it is the largest by far, and every result would have its size.
impl From<domex_diffae::Error> for Error {
    fn from(error: domex_diffae::Error) -> Self {
        Self::UNet(Box::new(error))
    }
}

impl Error {
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
            Self::Candle(_) => false,
            Self::Diffusion(error) => error.is_user_error(),
            Self::UNet(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Config { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
