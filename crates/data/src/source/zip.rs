//! Pictures in a zip file, stored or deflated.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ::zip::ZipArchive;

use super::cache::Stamp;
use super::files::Files;
use super::others::Others;
use crate::error::{Error, Result};
use crate::file::LARGEST_PICTURE;
use crate::picture::is_picture;

/// Files in an archive beyond which its directory is not read.
const MOST: usize = 20_000_000;

pub(super) struct Zip {
    path: PathBuf,
    /// Reading moves the file's position: one reader at a time, and the decoding outside.
    archive: Mutex<ZipArchive<BufReader<File>>>,
    names: Vec<String>,
    others: Others,
    all: HashMap<String, Entry>,
}

/// Where a file is in the archive, and its size and checksum.
struct Entry {
    index: usize,
    stamp: Stamp,
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
        let mut others = Others::default();
        let mut all = HashMap::new();
        for index in 0..archive.len() {
            let entry = archive
                .by_index_raw(index)
                .map_err(|error| refuse(format!("its directory is damaged: {error}")))?;
            let name = entry
                .name()
                .map_err(|error| refuse(format!("a name in it is damaged: {error}")))?;
            // Some programs for Windows write `\` between folders, against the format's rules.
            let name = name.replace('\\', "/");
            if leads_out(&name) {
                let name = name.escape_debug();
                return Err(refuse(format!(
                    "holds \"{name}\", a path that leads out of the archive; it is not used"
                )));
            }
            if name.ends_with('/') || !entry.is_file() {
                continue;
            }
            let stamp = (entry.size(), entry.crc32().into());
            if all.insert(name.clone(), Entry { index, stamp }).is_some() {
                let name = name.escape_debug();
                return Err(refuse(format!("holds \"{name}\" twice")));
            }
            match is_picture(Path::new(&name)) {
                true => names.push(name),
                false => others.add(&name),
            }
        }
        names.sort();
        Ok(Self {
            path: path.to_path_buf(),
            archive: Mutex::new(archive),
            names,
            others,
            all,
        })
    }
}

/// Whether a path begins at a root or a drive, or climbs above where it begins.
fn leads_out(name: &str) -> bool {
    let drive = name.as_bytes().get(1) == Some(&b':');
    drive
        || name.starts_with('/')
        || name.contains('\0')
        || name.split('/').any(|part| part == "..")
}

impl Files for Zip {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn unusable(&self) -> &[String] {
        &[]
    }

    fn others(&self) -> &Others {
        &self.others
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let refuse = |problem: String| Error::DataSet {
            path: self.path.join(name),
            problem,
        };
        let entry = self.all.get(name);
        let entry = entry.ok_or_else(|| refuse("is not in the archive".to_owned()))?;
        let mut archive = self.archive.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = archive
            .by_index(entry.index)
            .map_err(|error| refuse(error.to_string()))?;
        // The size in the header is a claim: the bytes are counted.
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size().min(1 << 20)).unwrap_or(0));
        let read = entry.take(LARGEST_PICTURE + 1).read_to_end(&mut bytes);
        read.map_err(|error| refuse(error.to_string()))?;
        if bytes.len() as u64 > LARGEST_PICTURE {
            return Err(refuse(format!("more than {LARGEST_PICTURE} bytes")));
        }
        Ok(bytes)
    }

    fn stamp(&self, name: &str) -> Option<Stamp> {
        self.all.get(name).map(|entry| entry.stamp)
    }

    fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }
}
