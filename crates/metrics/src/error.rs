//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of a measure: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A random stream was asked for something it does not have.
    #[error(transparent)]
    Random(#[from] domex_random::Error),
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
    /// NaN or infinity among the features.
    #[error(
        "features: {value} in row {row}, column {column}, expected finite numbers; look at the picture and the weights that made it"
    )]
    NotFinite {
        /// The number.
        value: f64,
        /// The picture, counted from 0.
        row: usize,
        /// The feature, counted from 0.
        column: usize,
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

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Eigen | Self::Random(_) => false,
            Self::Unfit { .. } | Self::NotFinite { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
