//! Answers that are no picture: a status, and plain words that the page shows.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domex_error::{AnyError, UserError};
use serde_json::json;

use crate::routes::document;

/// Why a request has no other answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// Settings that the model does not have.
    #[error("{0}")]
    Settings(String),
    /// It comes from a page that is not the studio's, or without the token.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// There is one already.
    #[error("{0}")]
    Exists(String),
    /// More bytes than are taken.
    #[error("{what} has more than {}, the most that is taken", size(*.limit))]
    TooLarge {
        /// What was sent.
        what: &'static str,
        /// In bytes.
        limit: usize,
    },
    /// A picture or file that cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// A newer request of the same view took its place, or another model that of the one it was asked of.
    #[error("a newer request or another model took the place of this one")]
    Superseded,
    /// Too many requests wait.
    #[error("too many pictures are waiting; try again in a moment")]
    Busy,
    /// It took too long.
    #[error("no answer within {} s; ask for less at once", .0.as_secs())]
    TooLong(Duration),
    /// The method is not one of this address.
    #[error("this address does not take such requests")]
    Method,
    /// The program is at fault.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Exists(_) => StatusCode::CONFLICT,
            // Nothing went wrong, and browsers put every other status on their console.
            Self::Superseded => StatusCode::NO_CONTENT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Settings(_) | Self::Unusable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLong(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl UserError for Refusal {
    fn is_user_error(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        if status == StatusCode::NO_CONTENT {
            return status.into_response();
        }
        (status, document(&json!({ "error": self.to_string() }))).into_response()
    }
}

/// What an engine says.
impl From<AnyError> for Refusal {
    fn from(error: AnyError) -> Self {
        match error.is_user_error() {
            true => Self::Unusable(error.message()),
            false => Self::Failed(error.message()),
        }
    }
}

/// What a reader or writer of files says.
impl From<domex_data::Error> for Refusal {
    fn from(error: domex_data::Error) -> Self {
        AnyError::from(error).into()
    }
}

/// Bytes in words.
fn size(bytes: usize) -> String {
    match bytes {
        0..=1023 => format!("{bytes} bytes"),
        1024..=1_048_575 => format!("{} KB", bytes / 1024),
        _ => format!("{} MB", bytes / 1_048_576),
    }
}
