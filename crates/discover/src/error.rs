//! What can go wrong in this crate.

use domex_error::{AnyError, UserError};

/// An error of a discovery: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The latent maths failed.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// The generator failed.
    #[error(transparent)]
    StyleGan2(#[from] domex_stylegan2::Error),
    /// A CLIP model failed.
    #[error(transparent)]
    Clip(#[from] domex_clip::Error),
    /// The loss failed.
    #[error(transparent)]
    Nada(#[from] domex_nada::Error),
    /// The optimizer failed.
    #[error(transparent)]
    Train(#[from] domex_train::Error),
    /// A random stream failed.
    #[error(transparent)]
    Random(#[from] domex_random::Error),
    /// Numbers that are not finite, or a decomposition that failed for another reason.
    #[error("{0}")]
    Numbers(String),
    /// A setting or a generator is not what it has to be.
    #[error("{what}: {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// The caller wants no more.
    #[error(transparent)]
    Caller(AnyError),
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
            Self::Candle(_) | Self::Random(_) | Self::Numbers(_) => false,
            Self::Latent(error) => error.is_user_error(),
            Self::StyleGan2(error) => error.is_user_error(),
            Self::Clip(error) => error.is_user_error(),
            Self::Nada(error) => error.is_user_error(),
            Self::Train(error) => error.is_user_error(),
            Self::Config { .. } => true,
            Self::Caller(error) => error.is_user_error(),
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
