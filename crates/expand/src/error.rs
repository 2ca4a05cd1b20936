//! What can go wrong in this crate.

use domex_error::{AnyError, UserError};

/// An error of an expansion: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The latent maths failed.
    #[error(transparent)]
    Latent(Box<domex_latent::Error>),
    /// The generator failed, as its own crate says.
    #[error(transparent)]
    Trainee(AnyError),
    /// A loss of the source domain failed.
    #[error(transparent)]
    Replay(Box<domex_replay::Error>),
    /// A loss by CLIP failed.
    #[error(transparent)]
    Nada(Box<domex_nada::Error>),
    /// A loss by pictures of a person failed.
    #[error(transparent)]
    MyStyle(Box<domex_mystyle::Error>),
    /// The teacher failed.
    #[error(transparent)]
    Distil(Box<domex_distil::Error>),
    /// An adversarial loss failed.
    #[error(transparent)]
    Gan(Box<domex_gan::Error>),
    /// The training engine failed.
    #[error(transparent)]
    Train(Box<domex_train::Error>),
    /// A picture or data set failed.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// A file of tasks that cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor has the wrong shape.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// Settings that a kind of generator cannot have, as it says itself.
    #[error("settings: {0}")]
    Settings(String),
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
    Distil domex_distil,
    Gan domex_gan,
    Latent domex_latent,
    MyStyle domex_mystyle,
    Replay domex_replay,
    Nada domex_nada,
    Train domex_train,
}

impl Error {
    /// What a trainee's own crate says.
    pub fn trainee(error: impl Into<AnyError>) -> Self {
        Self::Trainee(error.into())
    }

    /// Says which task a setting is of.
    pub(crate) fn of_task(self, task: &str) -> Self {
        match self {
            Self::Setting {
                what,
                found,
                expected,
            } => Self::Setting {
                what: format!("{what} of {task}"),
                found,
                expected,
            },
            error => error,
        }
    }

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }

    pub(crate) fn file(path: &std::path::Path, problem: impl std::fmt::Display) -> Self {
        Self::File {
            path: path.to_path_buf(),
            problem: problem.to_string(),
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
            Self::Candle(_) | Self::Shape { .. } => false,
            Self::Latent(error) => error.is_user_error(),
            Self::Trainee(error) => error.is_user_error(),
            Self::MyStyle(error) => error.is_user_error(),
            Self::Distil(error) => error.is_user_error(),
            Self::Replay(error) => error.is_user_error(),
            Self::Nada(error) => error.is_user_error(),
            Self::Gan(error) => error.is_user_error(),
            Self::Train(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::File { .. } | Self::Settings(_) | Self::Setting { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
