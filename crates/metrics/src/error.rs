//! What can go wrong in this crate.

/// An error of a measure: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// Something does not fit.
    #[error("{what}: {found}, expected {expected}")]
    Unfit {
        /// What.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A decomposition did not converge, which finite numbers do not cause.
    #[error("the eigenvalues of a covariance were not found: are all features finite?")]
    Eigen,
}

impl Error {
    pub(crate) fn unfit(
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Unfit {
            what,
            found: format!("{found}"),
            expected: format!("{expected}"),
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
