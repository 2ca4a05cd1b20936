//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the teacher's side: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The text encoder refused.
    #[error(transparent)]
    Clip(Box<domex_clip::Error>),
    /// The teacher refused.
    #[error(transparent)]
    Teacher(Box<domex_teacher::Error>),
    /// Stable Diffusion refused.
    #[error(transparent)]
    StableDiffusion(Box<domex_stable_diffusion::Error>),
    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// Whoever waits for a translation ended it.
    #[error("{0}")]
    Stopped(#[source] crate::translator::Stopped),
    /// A setting or a shape is not what it has to be.
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

/// Boxed, as every result would have the size of the largest.
impl From<domex_clip::Error> for Error {
    fn from(error: domex_clip::Error) -> Self {
        Self::Clip(Box::new(error))
    }
}

impl From<domex_teacher::Error> for Error {
    fn from(error: domex_teacher::Error) -> Self {
        Self::Teacher(Box::new(error))
    }
}

impl From<domex_stable_diffusion::Error> for Error {
    fn from(error: domex_stable_diffusion::Error) -> Self {
        Self::StableDiffusion(Box::new(error))
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
            Self::Candle(_) | Self::Stopped(_) => false,
            Self::Clip(error) => error.is_user_error(),
            Self::Teacher(error) => error.is_user_error(),
            Self::StableDiffusion(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Config { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
