//! Where fetched files lie: `<root>/models/<name>/<file>`.

use std::path::{Path, PathBuf};

use domex_error::Result;

use domex_error::user_error;

/// The container's name in a model's folder, which `domex --model NAME` looks for.
pub const CONTAINER: &str = "model.safetensors";

/// The folder of all fetched models.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// At `root`, else `$DOMEX_CACHE`, `$XDG_CACHE_HOME/domex` or `~/.cache/domex`.
    pub fn at(root: Option<&Path>) -> Result<Self> {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = root
            .map(Path::to_owned)
            .or_else(|| variable("DOMEX_CACHE"))
            .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("domex")))
            .or_else(|| variable("HOME").map(|home| home.join(".cache").join("domex")))
            .ok_or_else(|| user_error("no folder for downloads: give --dir or set DOMEX_CACHE"))?;
        Ok(Self { root })
    }

    /// The folder of a model.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join("models").join(name)
    }

    /// The lock file.
    pub fn lock(&self) -> PathBuf {
        self.root.join("models").join("lock.toml")
    }

    /// Makes a model's folder and checks that it can be written, before any download.
    pub fn prepare(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder(name);
        let fail = |e: std::io::Error| user_error(format!("{}: {e}", folder.display()));
        std::fs::create_dir_all(&folder).map_err(fail)?;
        tempfile::NamedTempFile::new_in(&folder).map_err(fail)?;
        Ok(folder)
    }
}

/// Makes `to` the same file as `from`: a second name for it where the file system can, else a
/// copy.
pub fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    let from = std::fs::canonicalize(from)?;
    drop(std::fs::remove_file(to));
    if std::fs::hard_link(&from, to).is_err() {
        let part = to.with_extension("copying");
        std::fs::copy(&from, &part)
            .and_then(|_| std::fs::rename(&part, to))
            .map_err(|e| user_error(format!("{}: {e}", to.display())))?;
    }
    Ok(())
}
