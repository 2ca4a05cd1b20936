//! What can go wrong among ranks.

use domex_error::UserError;

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong among ranks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A launcher's variable is missing or makes no sense.
    #[error("{name}: found {found}, expected {expected}")]
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Rank 0 cannot listen.
    #[error(
        "rank 0 cannot listen on port {port}: {reason}; is another run there? Set MASTER_PORT to a free port, for all ranks"
    )]
    Port {
        /// The port.
        port: u16,
        /// The system's reason.
        reason: String,
    },
    /// Rank 0, or the rank below, does not answer.
    #[error(
        "rank {rank}: nothing of this run at {address} within {seconds} s ({reason}); does rank {to} run, is MASTER_ADDR its machine, and may its \
         ports be reached?"
    )]
    Unreachable {
        /// Who looked.
        rank: usize,
        /// Whom for.
        to: usize,
        /// Where.
        address: String,
        /// For how long.
        seconds: u64,
        /// What the last try gave.
        reason: String,
    },
    /// Ranks that did not come.
    #[error("rank {rank} waited {seconds} s for {missing}{hint}")]
    Missing {
        /// Who waited.
        rank: usize,
        /// For how long.
        seconds: u64,
        /// For whom, in words.
        missing: String,
        /// What may be the matter, behind a semicolon; or nothing.
        hint: String,
    },
    /// Another rank does not take this one for one of its run.
    #[error("rank {rank} was refused by rank {by}: {reason}")]
    Refused {
        /// Who was refused.
        rank: usize,
        /// By whom.
        by: usize,
        /// Why.
        reason: String,
    },
    /// A rank ended, was killed, or cannot be reached any more.
    #[error("rank {rank} was lost: it ended, was killed, or its machine cannot be reached")]
    Lost {
        /// Which.
        rank: usize,
    },
    /// Rank 0 has ended with an error, which it tells.
    #[error("rank 0 ended with an error of its own")]
    Ended {
        /// Its exit code.
        code: u8,
        /// A digest of its message.
        words: u64,
    },
    /// A rank sent what it should not.
    #[error("rank {rank} sent {found}, expected {expected}")]
    Protocol {
        /// Which.
        rank: usize,
        /// What came.
        found: String,
        /// What should have.
        expected: String,
    },
    /// The system does not start another process, or says nothing of a socket.
    #[error("{what}: {reason}")]
    System {
        /// What failed.
        what: String,
        /// The system's reason.
        reason: String,
    },
}

impl Error {
    pub(crate) fn variable(
        name: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Variable {
            name: name.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// Makes an [`Error::System`]; for `map_err`.
    pub(crate) fn system(what: &str) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::System {
            what: what.to_owned(),
            reason: error.to_string(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Protocol { .. } => false,
            Self::Variable { .. }
            | Self::Port { .. }
            | Self::Unreachable { .. }
            | Self::Missing { .. }
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Ended { .. }
            | Self::System { .. } => true,
        }
    }
}
