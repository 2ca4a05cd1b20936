//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

use domex_error::UserError;

/// An error of Stable Diffusion: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// The process or a layer refused.
    #[error(transparent)]
    Diffusion(#[from] domex_diffusion::Error),
    /// The text encoder or its tokenizer refused.
    #[error(transparent)]
    Clip(Box<domex_clip::Error>),
    /// A file could not be read.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A file of the folder is not there.
    #[error(
        "{}: no such file, expected a folder as diffusers saves it; fetch {fetch} of the model", .path.display()
    )]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// What to fetch.
        fetch: String,
    },
    /// A file cannot be read as what it should be.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file says something that the network here is not.
    #[error("{}: {key} is {found}, expected {expected}", .path.display())]
    Config {
        /// Which file.
        path: PathBuf,
        /// Which entry.
        key: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// A tensor has a shape that does not fit.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
}

/// Boxed, as every result would have its size.
impl From<domex_clip::Error> for Error {
    fn from(error: domex_clip::Error) -> Self {
        Self::Clip(Box::new(error))
    }
}

impl Error {
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self::File {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn config(
        path: &Path,
        key: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Config {
            path: path.to_owned(),
            key: key.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Diffusion(error) => error.is_user_error(),
            Self::Clip(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            _ => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
