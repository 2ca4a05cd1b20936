//! Where fetched files lie: `<root>/models/<name>/<file>`, or below that folder where a model is of several.

use std::path::{Path, PathBuf};

use crate::{Entry, Error, Result, Source};

/// The name in a model's folder of what was made of its file.
pub const CONTAINER: &str = "model.safetensors";

/// The folder of all fetched models.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// In a folder.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// In `$DOMEX_CACHE`, else `$XDG_CACHE_HOME/domex` of an absolute path, else `~/.cache/domex`.
    ///
    /// # Errors
    ///
    /// None of them is known.
    pub fn from_env() -> Result<Self> {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let xdg = || {
            // A relative one is to be ignored, says the specification.
            let folder = variable("XDG_CACHE_HOME").filter(|folder| folder.is_absolute())?;
            Some(folder.join("domex"))
        };
        let home = || {
            let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty())?;
            Some(home.join(".cache").join("domex"))
        };
        let root = variable("DOMEX_CACHE").or_else(xdg).or_else(home);
        root.map(Self::at).ok_or(Error::NoFolder)
    }

    /// The folder itself, in which others keep what they can make again.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a model.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join("models").join(name)
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join("models").join("lock.toml")
    }

    /// What is here of an entry: what was made of its file, else the file itself; of several files their folder, once all are there.
    ///
    /// # Errors
    ///
    /// The entry's address does not end in a file name.
    pub fn find(&self, entry: &Entry) -> Result<Option<PathBuf>> {
        let folder = self.folder(&entry.name);
        let made = folder.join(CONTAINER);
        if entry.convert != crate::Convert::None {
            return Ok(made.is_file().then_some(made));
        }
        if let Source::Folder { files, .. } = entry.source()? {
            let all = files.iter().all(|file| folder.join(file).is_file());
            return Ok(all.then_some(folder));
        }
        let file = folder.join(entry.file_name()?);
        Ok(file.is_file().then_some(file))
    }

    /// Makes a model's folder and checks that it can be written, before any download.
    pub(crate) fn prepare(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder(name);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        tempfile::NamedTempFile::new_in(&folder).map_err(Error::io(&folder))?;
        Ok(folder)
    }
}

/// Makes `to` the same file as `from`: a second name for it where the file system can, else a copy.
pub(crate) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    let from = std::fs::canonicalize(from).map_err(Error::io(from))?;
    drop(std::fs::remove_file(to));
    if std::fs::hard_link(&from, to).is_err() {
        let part = to.with_extension("copying");
        std::fs::copy(&from, &part)
            .and_then(|_| std::fs::rename(&part, to))
            .map_err(Error::io(to))?;
    }
    Ok(())
}
