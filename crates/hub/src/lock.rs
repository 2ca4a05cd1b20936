//! Hashes pinned on first use.
//!
//! Where nobody publishes a file's hash, the first download is trusted, its hash printed and
//! kept in `models/lock.toml` of the cache. Every later download of the same address must match.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The lock file.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    pins: BTreeMap<String, Pin>,
}

/// What is known of one model's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Where it came from; another address is another file.
    pub place: String,
    /// Its hash.
    pub sha256: String,
    /// The Hub commit it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Lock {
    /// Reads the lock file; an absent one is empty.
    pub fn read(path: &Path) -> Result<Self> {
        let pins = match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|e| Error::Toml {
                path: path.to_owned(),
                reason: format!("{}; delete it to start anew", e.message()),
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(Error::io(path)(e)),
        };
        Ok(Self {
            path: path.to_owned(),
            pins,
        })
    }

    /// The hash pinned for a model at a place.
    pub fn sha256(&self, name: &str, place: &str) -> Option<&str> {
        self.pins
            .get(name)
            .filter(|pin| pin.place == place)
            .map(|pin| pin.sha256.as_str())
    }

    /// Pins a hash and writes the file: whole or not at all.
    pub fn pin(&mut self, name: &str, pin: Pin) -> Result<()> {
        self.pins.insert(name.to_owned(), pin);
        let text = toml::to_string(&self.pins)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(folder))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(Error::io(file.path()))?;
        file.persist(&self.path)
            .map_err(|e| Error::io(&self.path)(e.error))?;
        Ok(())
    }
}
