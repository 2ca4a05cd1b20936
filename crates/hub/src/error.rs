//! Why a file could not be fetched, in one line that says what to do.

use std::path::{Path, PathBuf};

use domex_error::UserError;

/// The result of every fallible function here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to open, read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file could not be hashed.
    #[error(transparent)]
    File(#[from] domex_checkpoint::Error),
    /// A manifest or a lock file is not the TOML that it should be.
    #[error("{}: {reason}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        reason: String,
    },
    /// An entry of the manifest contradicts itself.
    #[error("model `{name}` of the manifest {problem}")]
    Entry {
        /// The entry.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No entry has this name.
    #[error("no model `{name}` can be fetched; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Nothing says where the cache is.
    #[error("no folder for downloads: set DOMEX_CACHE, or HOME")]
    NoFolder,
    /// The file is not here, and the network is not to be used.
    #[error("{place}: not in {}, and the network is not to be used", cache.display())]
    Offline {
        /// Where the file comes from.
        place: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
    /// The server answered that it will not give the file.
    #[error("{place}: {}", refusal(*status))]
    Refused {
        /// Where the file comes from.
        place: String,
        /// The HTTP status.
        status: u16,
    },
    /// No connection lasted.
    #[error("{place}: {reason} ({attempts} attempts){}; run the same command again to go on", kept(*bytes))]
    Unreachable {
        /// Where the file comes from.
        place: String,
        /// What the last attempt failed with.
        reason: String,
        /// How often it was tried.
        attempts: u32,
        /// How much of the file is here already.
        bytes: Option<u64>,
    },
    /// The client of HTTP or of the Hub refused.
    #[error("{place}: {reason}")]
    Client {
        /// Where the file comes from.
        place: String,
        /// What it says.
        reason: String,
    },
    /// Another file than the manifest says.
    #[error(
        "{place}: the server offers {found} bytes, the manifest says {expected}; nothing was downloaded"
    )]
    Size {
        /// Where the file comes from.
        place: String,
        /// What the server says.
        found: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// The file is not the one that is known.
    #[error("{place}: {mismatch}{}", if *deleted { "; deleted" } else { "" })]
    Hash {
        /// Where the file comes from, or lies.
        place: String,
        /// Both hashes.
        mismatch: Mismatch,
        /// Whether the wrong file was removed.
        deleted: bool,
    },
    /// The lock file cannot be said in TOML.
    #[error("writing the lock file: {0}")]
    Lock(#[from] toml::ser::Error),
}

/// Two hashes that should be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sha256 {found}, expected {}{expected}", if *prefix { "one that starts with " } else { "" })]
pub struct Mismatch {
    /// The file's.
    pub found: String,
    /// The manifest's, the Hub's or the pinned one, or its first digits.
    pub expected: String,
    /// Whether only the first digits are known.
    pub prefix: bool,
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

fn refusal(status: u16) -> String {
    match status {
        401 | 403 => format!(
            "{status}, access is refused; for a model of the Hub that needs consent, accept its terms on its page and set \
             HF_TOKEN to your access token"
        ),
        404 => "404, no such file; is the manifest out of date?".to_owned(),
        status => format!("the server answered {status}"),
    }
}

fn kept(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!("; {bytes} bytes are kept"))
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::File(error) => error.is_user_error(),
            Self::Lock(_) => false,
            _ => true,
        }
    }
}
