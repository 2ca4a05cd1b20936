//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of these losses: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// CLIP failed.
    #[error(transparent)]
    Clip(#[from] domex_clip::Error),
    /// A random draw failed.
    #[error(transparent)]
    Random(#[from] domex_random::Error),
    /// A tensor has the wrong shape.
    #[error("nada: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A setting is outside its range.
    #[error("nada: {what} is {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// A file that holds no CLIP network.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A task cannot be prepared.
    #[error("nada: task {name:?}, with CLIP network {guide:?}: {source}")]
    Task {
        /// The task.
        name: String,
        /// The network that could not.
        guide: String,
        /// Why.
        source: Box<Error>,
    },
}

impl Error {
    /// An error about a file, with the file's name once.
    pub(crate) fn file(path: &std::path::Path, error: &dyn std::error::Error) -> Self {
        let text = error.to_string();
        let prefix = format!("{}: ", path.display());
        Self::File {
            path: path.to_owned(),
            problem: text.strip_prefix(&prefix).unwrap_or(&text).to_owned(),
        }
    }

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
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
            Self::Candle(_) | Self::Random(_) | Self::Shape { .. } => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Clip(error) => error.is_user_error(),
            Self::Config { .. } | Self::File { .. } => true,
            Self::Task { source, .. } => source.is_user_error(),
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
