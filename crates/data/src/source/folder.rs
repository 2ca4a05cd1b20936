//! Pictures in a folder and its sub-folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::cache::Stamp;
use super::files::Files;
use super::others::Others;
use crate::error::{Error, Result};
use crate::file;
use crate::picture::is_picture;

/// Folders within folders beyond which something is wrong.
const DEEPEST: usize = 32;

/// A file this young may change again without another time.
const YOUNG: Duration = Duration::from_secs(2);

pub(super) struct Folder {
    path: PathBuf,
    found: Found,
}

#[derive(Default)]
struct Found {
    names: Vec<String>,
    unusable: Vec<String>,
    others: Others,
}

impl Folder {
    /// Finds the pictures. Links to folders are not followed, so no file comes twice.
    pub fn open(path: &Path) -> Result<Self> {
        let mut found = Found::default();
        walk(path, "", 0, &mut found)?;
        found.names.sort();
        found.unusable.sort();
        Ok(Self {
            path: path.to_path_buf(),
            found,
        })
    }
}

fn walk(path: &Path, prefix: &str, depth: usize, found: &mut Found) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::DataSet {
            path: path.to_path_buf(),
            problem: format!("lies more than {DEEPEST} folders deep"),
        });
    }
    for entry in fs::read_dir(path).map_err(Error::read(path))? {
        let entry = entry.map_err(Error::read(path))?;
        let kind = entry.file_type().map_err(Error::read(&entry.path()))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let lossy = format!("{prefix}{}", name.to_string_lossy().escape_debug());
            let problem = "its name is not UTF-8: rename it";
            if kind.is_dir() || is_picture(Path::new(&lossy)) {
                found.unusable.push(format!("{lossy} ({problem})"));
            } else {
                found.others.add(&lossy);
            }
            continue;
        };
        let full = format!("{prefix}{name}");
        if kind.is_dir() {
            if !name.starts_with('.') {
                walk(&entry.path(), &format!("{full}/"), depth + 1, found)?;
            }
        } else if is_picture(Path::new(name)) {
            found.names.push(full);
        } else {
            found.others.add(&full);
        }
    }
    Ok(())
}

impl Files for Folder {
    fn names(&self) -> &[String] {
        &self.found.names
    }

    fn unusable(&self) -> &[String] {
        &self.found.unusable
    }

    fn others(&self) -> &Others {
        &self.found.others
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        file::read(&self.path.join(name), file::LARGEST_PICTURE)
    }

    fn stamp(&self, name: &str) -> Option<Stamp> {
        let metadata = fs::metadata(self.path.join(name)).ok()?;
        let time = metadata.modified().ok()?;
        let old = SystemTime::now().duration_since(time).ok()? > YOUNG;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let nanoseconds = u64::try_from(since.as_nanos()).ok()?;
        old.then_some((metadata.len(), nanoseconds))
    }

    fn has(&self, name: &str) -> bool {
        self.path.join(name).is_file()
    }
}
