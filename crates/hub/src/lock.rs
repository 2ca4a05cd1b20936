//! Hashes pinned on first use.
//!
//! Where nobody publishes a file's hash, the first download is trusted, its hash printed and
//! kept in `models/lock.toml` of the cache. Every later download of the same address must match.

use std::{
    collections::BTreeMap,
    fs::File,
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
        Ok(Self {
            path: path.to_owned(),
            pins: pins(path)?,
        })
    }

    /// The hash pinned for a model at a place.
    pub fn sha256(&self, name: &str, place: &str) -> Option<&str> {
        self.pins
            .get(name)
            .filter(|pin| pin.place == place)
            .map(|pin| pin.sha256.as_str())
    }

    /// Pins a hash and writes the file: whole or not at all, and with what other processes pinned meanwhile. Where one of them
    /// pinned a hash for the same model at the same place, that one stays.
    pub fn pin(&mut self, name: &str, pin: Pin) -> Result<()> {
        let guard = self.path.with_extension("toml.lock");
        // Unlocked as it is closed.
        let guard = File::create(&guard)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(Error::io(&guard))?;
        self.pins = pins(&self.path)?;
        if self.sha256(name, &pin.place).is_none() {
            self.pins.insert(name.to_owned(), pin);
        }
        let text = toml::to_string(&self.pins)?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(folder))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(Error::io(file.path()))?;
        file.persist(&self.path)
            .map_err(|e| Error::io(&self.path)(e.error))?;
        drop(guard);
        Ok(())
    }
}

fn pins(path: &Path) -> Result<BTreeMap<String, Pin>> {
    match std::fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text).map_err(|e| Error::Toml {
            path: path.to_owned(),
            reason: format!("{}; delete it to start anew", e.message()),
        }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(e) => Err(Error::io(path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_pinned_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock.toml");
        let pin = |sha256: &str| Pin {
            place: "here".to_owned(),
            sha256: sha256.to_owned(),
            commit: None,
        };
        let [mut one, mut other] = [(); 2].map(|()| Lock::read(&path).unwrap());
        one.pin("a", pin("1")).unwrap();
        other.pin("b", pin("2")).unwrap();
        other.pin("a", pin("3")).unwrap();
        let found = Lock::read(&path).unwrap();
        assert_eq!(found.sha256("a", "here"), Some("1"));
        assert_eq!(found.sha256("b", "here"), Some("2"));
    }
}
