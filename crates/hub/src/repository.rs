//! A file of a Hub repository, through `hf-hub` and its cache.
//!
//! Honoured: `HF_ENDPOINT` (another address), `HF_HOME` (the cache, also of other programs),
//! `HF_TOKEN` (else the token file under `HF_HOME`), `HF_HUB_OFFLINE`.

use std::path::{Path, PathBuf};

use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};

use crate::{Entry, Error, Result, Source, Watch};

/// How often the client tries again.
const RETRIES: u32 = 3;

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

/// The file of an entry from the Hub's cache, else from the Hub.
pub fn get(entry: &Entry, offline: bool, watch: &dyn Watch) -> Result<Cached> {
    let place = entry.place()?;
    let Source::Hub {
        repo,
        revision,
        file,
    } = entry.source()?
    else {
        return Err(entry.wrong("is not of the Hub"));
    };
    let repo = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
    let cache = Cache::from_env();
    if let Some(path) = cache.repo(repo.clone()).get(file) {
        return Ok(cached(path, file));
    }
    if offline {
        let cache = cache.path().clone();
        return Err(Error::Offline { place, cache });
    }
    let mut builder = ApiBuilder::from_env().with_retries(RETRIES as usize);
    if let Some(token) = std::env::var("HF_TOKEN")
        .ok()
        .filter(|t| !t.trim().is_empty())
    {
        builder = builder.with_token(Some(token.trim().to_owned()));
    }
    let relay = Relay {
        name: &entry.name,
        watch,
    };
    let path = builder
        .build()
        .and_then(|api| api.repo(repo).download_with_progress(file, relay))
        .map_err(|error| explain(place, &error))?;
    watch.end();
    Ok(cached(path, file))
}

/// Tells the watcher what the Hub's client says.
struct Relay<'a> {
    name: &'a str,
    watch: &'a dyn Watch,
}

impl Progress for Relay<'_> {
    fn init(&mut self, size: usize, _: &str) {
        self.watch.begin(self.name, 0, Some(size as u64));
    }

    fn update(&mut self, size: usize) {
        self.watch.advance(size as u64);
    }

    // A connection that dropped is tried again: the end comes from above.
    fn finish(&mut self) {}
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

fn explain(place: String, error: &ApiError) -> Error {
    let reason = |error: &ApiError| match error {
        ApiError::RequestError(inner) => inner.to_string(),
        other => other.to_string(),
    };
    match error {
        ApiError::RequestError(inner) => match **inner {
            ureq::Error::StatusCode(status) => Error::Refused { place, status },
            _ => Error::Client {
                place,
                reason: reason(error),
            },
        },
        ApiError::TooManyRetries(last) => Error::Unreachable {
            place,
            reason: reason(last),
            attempts: RETRIES + 1,
            bytes: None,
        },
        other => Error::Client {
            place,
            reason: reason(other),
        },
    }
}
