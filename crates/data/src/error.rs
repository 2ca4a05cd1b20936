//! What can go wrong with pictures and files, with the file's name in the text.

use std::path::{Path, PathBuf};

use domex_error::UserError;

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with pictures and files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What is no regular file has no content to read, or one without an end.
    #[error("{} is {found}; expected a file", path.display())]
    NotRegular {
        /// What was named.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A file is larger than one of its kind can be.
    #[error("{} has more than {largest} bytes, the most that is read of such a file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        largest: u64,
    },
    /// A file of text is something else.
    #[error("{} is no UTF-8 text; save it as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A file is not a picture that can be decoded.
    #[error(
        "{} is not a readable PNG, JPEG, GIF, WebP, BMP, TIFF or PNM picture: {reason}",
        path.display()
    )]
    Decode {
        /// The file, with the archive's path before it when it lies in one.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A picture that shows nothing to be cut out.
    #[error("{}: {reason}", path.display())]
    NothingToCut {
        /// The file, with the archive's path before it when it lies in one.
        path: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A picture could not be encoded.
    #[error("cannot encode {what}: {reason}")]
    Encode {
        /// What was being encoded.
        what: &'static str,
        /// The encoder's reason.
        reason: String,
    },
    /// A tensor or a set of pictures has the wrong shape or number.
    #[error("{what}: found {found}, expected {expected}")]
    Shape {
        /// What was looked at.
        what: &'static str,
        /// What it was.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// An output folder has files in it and overwriting was not asked for.
    #[error(
        "output folder {} is not empty: choose another folder, or pass --force to write into it",
        path.display()
    )]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A folder was asked for, and something else stands there.
    #[error("{} is a file, not a folder: choose another path", path.display())]
    NotFolder {
        /// What stands there.
        path: PathBuf,
    },
    /// A file exists and overwriting was not asked for.
    #[error("{} exists: choose another name, or pass --force to replace it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A data set cannot be used.
    #[error("{}: {problem}", path.display())]
    DataSet {
        /// Folder or archive.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Pictures of a data set cannot be used.
    #[error(
        "{}: {count} of {total} pictures cannot be used: {first}; {hint}",
        path.display()
    )]
    BadPictures {
        /// Folder or archive.
        path: PathBuf,
        /// How many.
        count: usize,
        /// Of how many.
        total: usize,
        /// The first few, each with its reason.
        first: String,
        /// What to do.
        hint: &'static str,
    },
    /// A word that names nothing known.
    #[error("unknown {what} '{found}': expected one of {known}")]
    Unknown {
        /// The kind of name.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is allowed.
        known: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// Makes a [`Error::Read`] from an io error; for `map_err`.
    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Read {
            path: path.to_path_buf(),
            source,
        }
    }

    /// Makes a [`Error::Write`] from an io error; for `map_err`.
    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Write {
            path: path.to_path_buf(),
            source,
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Read { .. }
            | Self::Write { .. }
            | Self::NotRegular { .. }
            | Self::TooLarge { .. }
            | Self::NotText { .. }
            | Self::Decode { .. }
            | Self::NothingToCut { .. }
            | Self::Encode { .. }
            | Self::Shape { .. }
            | Self::NotEmpty { .. }
            | Self::NotFolder { .. }
            | Self::Exists { .. }
            | Self::DataSet { .. }
            | Self::BadPictures { .. }
            | Self::Unknown { .. } => true,
        }
    }
}
