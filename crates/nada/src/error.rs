//! What can go wrong in this crate.

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

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
