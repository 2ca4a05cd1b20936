//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of an inversion: what was given and what was expected.
///
/// [`Setting`](Self::Setting) and [`Checkpoint`](Self::Checkpoint) are the user's to correct; the others are of the
/// program, or of the crate they wrap.
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
    Latent(Box<domex_latent::Error>),
    /// The generator failed.
    #[error(transparent)]
    StyleGan2(Box<domex_stylegan2::Error>),
    /// The perceptual network failed.
    #[error(transparent)]
    Lpips(#[from] domex_lpips::Error),
    /// The optimizer failed.
    #[error(transparent)]
    Train(Box<domex_train::Error>),
    /// A file could not be written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A tensor has the wrong shape.
    #[error("invert: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A setting is outside its range.
    #[error("{what}: {found}, expected {expected}")]
    Setting {
        /// Which setting.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// The caller broke the search off.
    #[error("stopped after step {step}")]
    Stopped {
        /// Counted from 1.
        step: usize,
    },
    /// A loss or gradient is not finite.
    #[error(
        "step {step}: {what} is not finite; try a lower learning rate, or look at the pictures"
    )]
    NotFinite {
        /// Counted from 1.
        step: usize,
        /// What it was.
        what: String,
    },
}

/// From the errors of other crates; boxed, as every result would have the size of the largest.
macro_rules! boxed {
    ($($variant:ident $krate:ident,)+) => {
        $(impl From<$krate::Error> for Error {
            fn from(error: $krate::Error) -> Self {
                Self::$variant(Box::new(error))
            }
        })+
    };
}

boxed! {
    Latent domex_latent,
    StyleGan2 domex_stylegan2,
    Train domex_train,
}

impl Error {
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
            Self::Candle(_) | Self::Shape { .. } | Self::Stopped { .. } => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::StyleGan2(error) => error.is_user_error(),
            Self::Lpips(error) => error.is_user_error(),
            Self::Train(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Setting { .. } | Self::NotFinite { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
