//! Pictures in a zip file, stored or deflated.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::zip::ZipArchive;

use super::files::{Files, LARGEST, is_picture};
use crate::error::{Error, Result};

/// Files in an archive beyond which its directory is not read.
const MOST: usize = 20_000_000;

pub(super) struct Zip {
    path: PathBuf,
    /// Reading moves the file's position: one reader at a time, and the decoding outside.
    archive: Mutex<ZipArchive<BufReader<File>>>,
    names: Vec<String>,
    all: HashSet<String>,
}

impl Zip {
    pub fn open(path: &Path) -> Result<Self> {
        let refuse = |problem: String| Error::DataSet {
            path: path.to_path_buf(),
            problem,
        };
        let file = File::open(path).map_err(Error::read(path))?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| {
            refuse(format!(
                "is neither a folder nor a readable zip file ({error})"
            ))
        })?;
        if archive.len() > MOST {
            return Err(refuse(format!("holds more than {MOST} files")));
        }
        let mut names = Vec::new();
        for index in 0..archive.len() {
            let entry = archive
                .by_index_raw(index)
                .map_err(|error| refuse(format!("its directory is damaged: {error}")))?;
            let name = entry
                .name()
                .map_err(|error| refuse(format!("a name in it is damaged: {error}")))?;
            // The library would make a path from the root a relative one; here it is a sign of ill will.
            if entry.enclosed_name().is_none() || name.starts_with('/') || name.contains('\\') {
                let name = name.escape_debug();
                return Err(refuse(format!(
                    "holds \"{name}\", a path that leads out of the archive; it is not used"
                )));
            }
            if entry.is_file() {
                names.push(name.to_string());
            }
        }
        let all: HashSet<String> = names.iter().cloned().collect();
        names.retain(|name| is_picture(name));
        names.sort();
        names.dedup();
        Ok(Self {
            path: path.to_path_buf(),
            archive: Mutex::new(archive),
            names,
            all,
        })
    }
}

impl Files for Zip {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let refuse = |problem: String| Error::DataSet {
            path: self.path.join(name),
            problem,
        };
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = archive
            .by_name(name)
            .map_err(|error| refuse(error.to_string()))?;
        // The size in the header is a claim: the bytes are counted.
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size().min(1 << 20)).unwrap_or(0));
        let read = entry.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|error| refuse(error.to_string()))?;
        if bytes.len() as u64 > LARGEST {
            return Err(refuse(format!("more than {LARGEST} bytes")));
        }
        Ok(bytes)
    }

    fn has(&self, name: &str) -> bool {
        self.all.contains(name)
    }
}
