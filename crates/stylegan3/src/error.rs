//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

use domex_error::UserError;

/// An error of a network or its checkpoint: what was found, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),

    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),

    /// The latent maths failed.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),

    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),

    /// What a StyleGAN3 shares with a StyleGAN2 failed: the mapping network, names and shapes of tensors.
    #[error(transparent)]
    Shared(#[from] domex_stylegan2::Error),

    /// A hyper-parameter is outside its allowed range, or not known.
    #[error("{what}: {found}, expected {expected}")]
    Config {
        /// Which hyper-parameter or argument.
        what: String,
        /// The value that was given.
        found: String,
        /// What is allowed.
        expected: String,
    },

    /// The configuration cannot be told from a checkpoint's tensors.
    #[error("generator: {0}")]
    Deduce(String),

    /// A file holds no StyleGAN3 that this crate can read.
    #[error("no StyleGAN3 found: {0}")]
    NotAModel(String),

    /// Something went wrong with a file.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: Box<Error>,
    },
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

    /// Names the file in which the error arose, once.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        match self {
            // The checkpoint crate names the file itself.
            Self::File { .. } | Self::Checkpoint(_) => self,
            Self::Shared(domex_stylegan2::Error::Checkpoint(error)) => Self::Checkpoint(error),
            source => Self::File {
                path: path.to_path_buf(),
                source: Box::new(source),
            },
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Shared(error) => error.is_user_error(),
            Self::Config { .. } | Self::Deduce(_) | Self::NotAModel(_) | Self::File { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
