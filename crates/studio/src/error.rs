//! What can go wrong before a page is served. What goes wrong later is told to the page: `refusal`.

use std::path::PathBuf;

use domex_error::{AnyError, UserError};

/// Why there is no studio.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that stands for no address.
    #[error("--host {host}: {reason}; give an address of this machine, such as 127.0.0.1")]
    Host {
        /// What was given.
        host: String,
        /// What the system says.
        reason: String,
    },
    /// The port cannot be had.
    #[error("--port {port}: {reason}; leave the flag out, and a free one is taken")]
    Port {
        /// What was given.
        port: u16,
        /// What the system says.
        reason: String,
    },
    /// Others could reach the page, and nothing would keep them out.
    #[error("--host {host}: other machines could use the studio without a token")]
    Unguarded {
        /// What was given.
        host: String,
    },
    /// The folder for what is saved is something else.
    #[error("--workspace {}: is no folder; give a folder, which need not exist yet", path.display())]
    Workspace {
        /// What was given.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("no token: the system gives no random numbers: {0}")]
    Random(String),
    /// The first model cannot be opened, or that before one which cannot.
    #[error("{0}")]
    Model(AnyError),
    /// The server's thread could not be started.
    #[error("the server cannot be started: {0}")]
    Start(#[source] std::io::Error),
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Host { .. }
            | Self::Port { .. }
            | Self::Unguarded { .. }
            | Self::Workspace { .. } => true,
            Self::Model(error) => error.is_user_error(),
            Self::Random(_) | Self::Start(_) => false,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
