//! From an entry to its file in the cache, verified.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::Mismatch;
use crate::lock::{Lock, Pin};
use crate::{Cache, Entry, Error, Result, Source, cache, http, repository};

/// Follows downloads.
pub trait Watch {
    /// The file of a model comes, of `total` bytes where that is known, from byte `start` on. A connection that dropped
    /// begins again.
    fn begin(&self, name: &str, start: u64, total: Option<u64>);
    /// So many bytes more.
    fn advance(&self, bytes: u64);
    /// The file is here.
    fn end(&self);
    /// Something that a person should know, and that is no error.
    fn notice(&self, text: &str);
}

/// A file in the cache, or the folder of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file or the folder.
    pub path: PathBuf,
    /// Whether all of it was here already.
    pub cached: bool,
    /// The hashes of files of which nobody states one, where this download was the first, by the names of their entries: they are
    /// pinned from now on.
    pub pinned: Vec<(String, String)>,
}

/// Fetches into a cache.
pub struct Fetcher<'a> {
    cache: &'a Cache,
    offline: bool,
    watch: &'a dyn Watch,
}

impl<'a> Fetcher<'a> {
    /// With `offline`, or `HF_HUB_OFFLINE` in the environment, only what is cached is used.
    pub fn new(cache: &'a Cache, offline: bool, watch: &'a dyn Watch) -> Self {
        let offline = offline || repository::offline();
        Self {
            cache,
            offline,
            watch,
        }
    }

    /// What an entry is of, from the cache or fetched into it, verified.
    ///
    /// # Errors
    ///
    /// It cannot be had, is another one than is known, or cannot be written. What came of a plain address stays, and the
    /// next call goes on from there.
    pub fn get(&self, entry: &Entry) -> Result<Fetched> {
        let folder = self.cache.prepare(&entry.name)?;
        let Source::Folder { files, .. } = entry.source()? else {
            return self.file(entry, folder.join(entry.file_name()?));
        };
        let mut all = Fetched {
            path: folder,
            cached: true,
            pinned: Vec::new(),
        };
        for file in files {
            let to = all.path.join(file);
            let parent = to.parent().unwrap_or(&all.path);
            std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
            let Fetched { cached, pinned, .. } = self.file(&entry.part(file), to)?;
            all.cached &= cached;
            all.pinned.extend(pinned);
        }
        Ok(all)
    }

    /// One file, to its place in the cache.
    fn file(&self, entry: &Entry, file: PathBuf) -> Result<Fetched> {
        let place = entry.place()?;
        let mut lock = Lock::read(&self.cache.lock())?;
        if self.is_here(entry, &lock, &place, &file)? {
            return Ok(Fetched {
                path: file,
                cached: true,
                pinned: Vec::new(),
            });
        }
        let commit = match entry.source()? {
            Source::Url(_) if self.offline => {
                let cache = file.parent().unwrap_or(&file).to_owned();
                return Err(Error::Offline { place, cache });
            }
            Source::Url(url) => {
                self.download_url(entry, &lock, url, &file)?;
                None
            }
            _ => self.download_hub(entry, &lock, &place, &file)?,
        };
        let mut pinned = Vec::new();
        if entry.sha256.is_none() && lock.sha256(&entry.name, &place).is_none() {
            let sha256 = domex_checkpoint::sha256_file(&file)?;
            let pin = Pin {
                place: place.clone(),
                sha256: sha256.clone(),
                commit,
            };
            lock.pin(&entry.name, pin)?;
            // Another process may have pinned another one.
            let known = verify(entry, &lock, &place, &sha256);
            known.map_err(|mismatch| wrong(&place, mismatch, false))?;
            pinned.push((entry.name.clone(), sha256));
        }
        Ok(Fetched {
            path: file,
            cached: false,
            pinned,
        })
    }

    /// Whether the file is here. A wrong one counts as absent, and is removed if another can be had.
    fn is_here(&self, entry: &Entry, lock: &Lock, place: &str, file: &Path) -> Result<bool> {
        if !file.is_file() {
            return Ok(false);
        }
        let found = domex_checkpoint::sha256_file(file)?;
        let Err(mismatch) = verify(entry, lock, place, &found) else {
            return Ok(true);
        };
        let wrong = wrong(&file.display().to_string(), mismatch, !self.offline);
        if self.offline {
            return Err(wrong);
        }
        self.watch.notice(&format!("{wrong}, fetching it again"));
        std::fs::remove_file(file).map_err(Error::io(file))?;
        Ok(false)
    }

    /// Waits until no other process downloads to `part`. The lock is given up as the file is closed, and stays with it where it is
    /// moved.
    fn alone(&self, part: &Path) -> Result<File> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(part);
        let file = file.map_err(Error::io(part))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let shown = part.display();
            self.watch
                .notice(&format!("{shown}: another process is fetching it, waiting"));
        }
        file.lock().map_err(Error::io(part))?;
        Ok(file)
    }

    /// Downloads beside `file` and moves there what is right. A wrong file that grew from an earlier part is fetched once
    /// more from the start: the part may have been of another file.
    fn download_url(&self, entry: &Entry, lock: &Lock, url: &str, file: &Path) -> Result<()> {
        let part = file.with_file_name(format!("{}.part", entry.file_name()?));
        let alone = self.alone(&part)?;
        let done = self
            .is_here(entry, lock, url, file)
            .and_then(|here| match here {
                true => Ok(()),
                false => self.download_to(entry, lock, url, [&part, file]),
            });
        if http::length(&part) == 0 {
            http::discard(&part);
        }
        drop(alone);
        done
    }

    fn download_to(
        &self,
        entry: &Entry,
        lock: &Lock,
        url: &str,
        [part, file]: [&Path; 2],
    ) -> Result<()> {
        loop {
            let resumed = http::length(part) > 0;
            http::download(url, part, entry, self.watch)?;
            self.watch.end();
            let found = domex_checkpoint::sha256_file(part)?;
            let Err(mismatch) = verify(entry, lock, url, &found) else {
                std::fs::rename(part, file).map_err(Error::io(file))?;
                http::discard(part);
                return Ok(());
            };
            http::discard(part);
            let wrong = wrong(url, mismatch, true);
            if !resumed {
                return Err(wrong);
            }
            self.watch
                .notice(&format!("{wrong}, fetching it again from the start"));
        }
    }

    /// Brings a file through the Hub's own cache, and says of which commit it is.
    fn download_hub(
        &self,
        entry: &Entry,
        lock: &Lock,
        place: &str,
        file: &Path,
    ) -> Result<Option<String>> {
        let hub = repository::get(entry, self.offline, self.watch)?;
        let found = domex_checkpoint::sha256_file(&hub.path)?;
        let stated = repository::stated_sha256(&hub.path).filter(|stated| *stated != found);
        let verdict = match stated {
            Some(expected) => Err(differs(&found, &expected)),
            None => verify(entry, lock, place, &found),
        };
        if let Err(mismatch) = verdict {
            repository::remove(&hub.path);
            return Err(wrong(place, mismatch, true));
        }
        cache::link_or_copy(&hub.path, file)?;
        Ok(hub.commit)
    }
}

/// Compares a hash with the manifest's, else with the pinned one. `Ok` where none is known.
fn verify(entry: &Entry, lock: &Lock, place: &str, found: &str) -> Result<(), Mismatch> {
    if let Some(prefix) = &entry.sha256_prefix
        && !found.starts_with(prefix.as_str())
    {
        return Err(Mismatch {
            prefix: true,
            ..differs(found, prefix)
        });
    }
    let pinned = || lock.sha256(&entry.name, place);
    match entry.sha256.as_deref().or_else(pinned) {
        Some(expected) if expected != found => Err(differs(found, expected)),
        _ => Ok(()),
    }
}

fn differs(found: &str, expected: &str) -> Mismatch {
    Mismatch {
        found: found.to_owned(),
        expected: expected.to_owned(),
        prefix: false,
    }
}

fn wrong(place: &str, mismatch: Mismatch, deleted: bool) -> Error {
    Error::Hash {
        place: place.to_owned(),
        mismatch,
        deleted,
    }
}
