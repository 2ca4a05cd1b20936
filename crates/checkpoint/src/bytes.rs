//! A window on bytes that are mapped from a file or held in memory.

use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

use crate::{Error, Problem, Result};

/// Immutable bytes, cheap to clone and to slice.
///
/// A window keeps the file it comes from mapped. Nothing is read from the disk before it is
/// looked at.
#[derive(Clone)]
pub struct Bytes {
    source: Arc<Source>,
    range: Range<usize>,
}

enum Source {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    /// Maps a whole file into memory.
    ///
    /// The file must not be changed or cut short by another program while the map is in use;
    /// replacing it (as [`Writer`](crate::container::Writer) does) is harmless.
    ///
    /// # Errors
    /// The file cannot be opened, is no regular file, or is empty.
    pub fn map(path: &Path) -> Result<Self> {
        let io = |source| Error::io(path, source);
        // Looked at before it is opened: opening a pipe waits for its writer.
        let meta = std::fs::metadata(path).map_err(io)?;
        if !meta.is_file() {
            let what = if meta.is_dir() {
                "a folder"
            } else {
                "not a regular file"
            };
            return Err(Problem::Unrecognised {
                found: format!("this is {what}"),
            }
            .in_file(path));
        }
        let file = File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.len() == 0 {
            return Err(Problem::Empty.in_file(path));
        }
        // SAFETY: the map is read-only and private. Rust cannot rule out that another program
        // changes the file meanwhile; every reader here checks a number once, after copying it,
        // and all tensor element types accept any bit pattern, so such a change can spoil
        // values but not memory safety. Cutting the file short ends the program with a signal,
        // which is why the documentation above forbids it.
        let map = unsafe { Mmap::map(&file) }.map_err(io)?;
        let range = 0..map.len();
        Ok(Self {
            source: Arc::new(Source::Mapped(map)),
            range,
        })
    }

    /// A narrower window. `None` where the range does not lie inside this one.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start + range.start;
        let end = self.range.start + range.end;
        Some(Self {
            source: Arc::clone(&self.source),
            range: start..end,
        })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self {
            source: Arc::new(Source::Owned(bytes)),
            range,
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &*self.source {
            Source::Mapped(map) => map,
            Source::Owned(bytes) => bytes,
        };
        &all[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.len())
    }
}
