//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

use domex_error::UserError;

/// An error of a person's latents or losses: what was given, what was expected, what to do.
///
/// [`File`](Self::File), [`Setting`](Self::Setting) and [`Checkpoint`](Self::Checkpoint) are the user's to correct; the
/// others are of the program, or of the crate they wrap.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The latent maths or a distance failed.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// A file could not be read.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A file that was read and does not fit.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor has the wrong shape.
    #[error("mystyle: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A number is outside its range, or two things that belong together do not fit.
    #[error("mystyle: {what}: {found}, expected {expected}")]
    Setting {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// The anchors could not be decomposed.
    #[error("singular values of the anchors did not converge; are they of a sane size?")]
    Factorisation,
}

impl Error {
    pub(crate) fn file(path: &Path, problem: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_path_buf(),
            problem: problem.to_string(),
        }
    }

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }

    pub(crate) fn setting(
        what: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Setting {
            what: what.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Shape { .. } | Self::Factorisation => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::File { .. } | Self::Setting { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
