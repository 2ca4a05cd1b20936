//! A file of a Hub repository, through `hf-hub` and its cache.
//!
//! Honoured: `HF_ENDPOINT` (another address), `HF_HOME` (the cache, also of other programs),
//! `HF_TOKEN` (else the token file under `HF_HOME`), `HF_HUB_OFFLINE`.

use std::path::{Path, PathBuf};

use domex_error::{AnyError, Result};
use hf_hub::{
    Cache, Repo, RepoType,
    api::sync::{ApiBuilder, ApiError},
};

use super::http::refused;
use domex_error::user_error;

/// A file in the Hub's cache.
pub struct Cached {
    /// The link `snapshots/<commit>/<file>`.
    pub path: PathBuf,
    /// The commit.
    pub commit: Option<String>,
}

/// Whether `HF_HUB_OFFLINE` forbids the network.
pub fn offline() -> bool {
    std::env::var("HF_HUB_OFFLINE")
        .is_ok_and(|v| matches!(v.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

/// The file from the cache, else from the Hub.
pub fn get(repo: &str, revision: &str, file: &str, offline: bool, quiet: bool) -> Result<Cached> {
    let place = format!("hub:{repo}@{revision}/{file}");
    let repo = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
    if let Some(path) = Cache::from_env().repo(repo.clone()).get(file) {
        return Ok(cached(path, file));
    }
    if offline {
        return Err(user_error(format!(
            "{place}: not in the cache of the Hub, and the network is not to be used"
        )));
    }
    let mut builder = ApiBuilder::from_env().with_retries(3).with_progress(!quiet);
    if let Some(token) = std::env::var("HF_TOKEN")
        .ok()
        .filter(|t| !t.trim().is_empty())
    {
        builder = builder.with_token(Some(token.trim().to_owned()));
    }
    let api = builder.build().map_err(|e| explain(&place, &e))?;
    let path = api
        .repo(repo)
        .download(file)
        .map_err(|e| explain(&place, &e))?;
    Ok(cached(path, file))
}

/// The hash by which the Hub itself knows the file: the blob's name, for large files.
pub fn stated_sha256(path: &Path) -> Option<String> {
    let blob = std::fs::canonicalize(path).ok()?;
    let name = blob.file_name()?.to_str()?;
    let is_hash = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then(|| name.to_ascii_lowercase())
}

/// Removes a damaged file from the cache: the link and the blob behind it.
pub fn remove(path: &Path) {
    if let Ok(blob) = std::fs::canonicalize(path) {
        drop(std::fs::remove_file(blob));
    }
    drop(std::fs::remove_file(path));
}

fn cached(path: PathBuf, file: &str) -> Cached {
    let depth = Path::new(file).components().count();
    let commit = path
        .ancestors()
        .nth(depth)
        .and_then(|folder| folder.file_name())
        .map(|name| name.to_string_lossy().into_owned());
    Cached { path, commit }
}

fn explain(place: &str, error: &ApiError) -> AnyError {
    match error {
        ApiError::RequestError(inner) => match **inner {
            ureq::Error::StatusCode(status) => refused(place, status),
            _ => user_error(format!("{place}: {inner}")),
        },
        ApiError::TooManyRetries(last) => {
            let last = explain(place, last);
            user_error(format!(
                "{last} (several attempts); run the same command again to go on"
            ))
        }
        other => user_error(format!("{place}: {other}")),
    }
}
