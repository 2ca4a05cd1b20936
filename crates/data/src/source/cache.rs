//! What was seen of the files of a set, kept from one start to the next.
//!
//! A file is known again by its name, size and time (in a zip: name, size and checksum). Only pictures that are whole are
//! kept: a bad one is looked at again. What cannot be read or written is done without.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::look::Look;
use crate::picture::Background;

/// Size and time of a file, or size and checksum.
pub(super) type Stamp = (u64, u64);

/// A file of another version is not read: its decoders may have seen other things.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize, Deserialize)]
struct Document {
    version: String,
    set: PathBuf,
    background: Background,
    looks: HashMap<String, (Stamp, Look)>,
}

/// See the [module docs](self).
pub(super) struct Known {
    file: Option<PathBuf>,
    document: Document,
}

impl Known {
    /// What is known of the set at `path`; nothing without a folder.
    pub fn open(folder: Option<&Path>, path: &Path, background: Background) -> Self {
        let set = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let name = format!("{:016x}.json", fnv(set.as_os_str().as_encoded_bytes()));
        let file = folder.map(|folder| folder.join(name));
        let read = || -> Option<Document> {
            let bytes = crate::file::read(file.as_deref()?, 1 << 30).ok()?;
            serde_json::from_slice(&bytes).ok()
        };
        let same = |document: &Document| {
            document.version == VERSION && document.set == set && document.background == background
        };
        let document = read().filter(same).unwrap_or_else(|| Document {
            version: VERSION.to_owned(),
            set: set.clone(),
            background,
            looks: HashMap::new(),
        });
        Self { file, document }
    }

    /// What was seen of a file that has not changed since.
    pub fn look(&self, name: &str, stamp: Option<Stamp>) -> Option<Look> {
        let (known, look) = self.document.looks.get(name)?;
        (Some(*known) == stamp).then_some(*look)
    }

    /// Keeps what was seen now, and nothing else.
    pub fn keep(mut self, seen: impl Iterator<Item = (String, Stamp, Look)>) {
        let Some(file) = self.file else { return };
        let seen: HashMap<_, _> = seen
            .map(|(name, stamp, look)| (name, (stamp, look)))
            .collect();
        if seen == self.document.looks {
            return;
        }
        self.document.looks = seen;
        let write = || -> Option<()> {
            std::fs::create_dir_all(file.parent()?).ok()?;
            let bytes = serde_json::to_vec(&self.document).ok()?;
            crate::folder::write_atomic(&file, &bytes).ok()
        };
        // Without it the next start takes longer, and nothing else.
        let _ = write();
    }
}

/// Fowler, Noll and Vo's hash, 64 bits, variant 1a: the same on every machine and in every version.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
