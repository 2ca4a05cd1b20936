//! The snapshots of a run: the last few.
//!
//! Files are `snapshots/step-000001234.safetensors`; the number is the count of steps done. Old ones are removed only
//! after a new one is safely on the disk, so a full disk or a kill at any moment leaves the last good one. A file that
//! cannot be read is never removed: the trouble may be the disk's and pass. When a run is resumed from an older snapshot, the
//! unreadable ones are renamed to `*.unreadable`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::state::State;
use crate::{Error, Result};

const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";
/// What the name of a file that could not be read ends with.
const UNREADABLE: &str = ".unreadable";
/// The folder below a run's folder.
pub const FOLDER: &str = "snapshots";

/// See the [module docs](self).
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
    keep: usize,
    /// Snapshots of steps after this one go as soon as there is a new one.
    discard_after: Option<u64>,
}

/// The step of a run's newest snapshot, by its name.
#[must_use]
pub fn newest_step(run: &Path) -> Option<u64> {
    list(&run.join(FOLDER)).last().map(|(step, _)| *step)
}

/// Says in words which snapshot the run in this folder can be resumed from.
#[must_use]
pub fn kept(run: &Path) -> String {
    last(&run.join(FOLDER))
}

fn last(folder: &Path) -> String {
    match list(folder).last() {
        Some((_, path)) => format!("the last good snapshot is {}", path.display()),
        None => "no snapshot was written before".to_string(),
    }
}

impl Snapshots {
    /// Snapshots below the run's folder `run`, of which the last `keep` stay (at least one).
    ///
    /// # Errors
    ///
    /// The folder cannot be made.
    pub fn new(run: &Path, keep: usize) -> Result<Self> {
        let folder = run.join(FOLDER);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(Self {
            folder,
            keep: keep.max(1),
            discard_after: None,
        })
    }

    /// Writes a snapshot of `step`, then removes those that are no longer kept.
    ///
    /// # Errors
    ///
    /// [`Error::Snapshot`] when it cannot be written; it says which one stands instead.
    pub fn save(&mut self, state: &State, step: u64) -> Result<PathBuf> {
        let path = self.folder.join(file_name(step));
        let later = self.later();
        for (_, path) in later.iter().filter(|(_, path)| State::read(path).is_err()) {
            set_aside(path)?;
        }
        state.write(&path).map_err(|source| Error::Snapshot {
            step,
            kept: self.kept(),
            source: Box::new(source),
        })?;
        for (_, old) in later.iter().filter(|(at, _)| *at != step) {
            // Those that were set aside are no longer there.
            if old.exists() {
                fs::remove_file(old).map_err(Error::io(old))?;
            }
        }
        self.discard_after = None;
        self.prune();
        Ok(path)
    }

    /// Says in words which snapshot a run can be resumed from.
    pub fn kept(&self) -> String {
        last(&self.folder)
    }

    /// Snapshots of steps after `step` are being trained again: the next [`save`](Self::save) removes them. Until then they
    /// stay.
    pub fn discard_after(&mut self, step: u64) {
        self.discard_after = Some(step);
    }

    /// Steps and files of the snapshots that are being trained again.
    fn later(&self) -> Vec<(u64, PathBuf)> {
        let Some(last) = self.discard_after else {
            return Vec::new();
        };
        let all = list(&self.folder).into_iter();
        all.filter(|(step, _)| *step > last).collect()
    }

    /// Removes all but the last few. A file that cannot be removed is only logged: it costs disk space, no more.
    fn prune(&self) {
        let all = list(&self.folder);
        let surplus = all.len().saturating_sub(self.keep);
        for (_, path) in &all[..surplus] {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "an old snapshot could not be removed");
            }
        }
    }
}

/// The file's name of the snapshot of `step`.
pub(crate) fn file_name(step: u64) -> String {
    format!("{PREFIX}{step:09}{SUFFIX}")
}

/// Renames a file that cannot be read, so that it is no longer taken for a snapshot.
fn set_aside(path: &Path) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(UNREADABLE);
    tracing::warn!(path = %path.display(), "a later snapshot cannot be read; it is kept as *{UNREADABLE}");
    fs::rename(path, &name).map_err(Error::io(path))
}

/// Removes all snapshots of the run in this folder.
pub(crate) fn remove_all(run: &Path) -> Result<()> {
    for (_, path) in list(&run.join(FOLDER)) {
        fs::remove_file(&path).map_err(Error::io(&path))?;
    }
    Ok(())
}

/// Whether the run's folder holds a snapshot, readable or not.
pub(crate) fn any(run: &Path) -> bool {
    !list(&run.join(FOLDER)).is_empty()
}

/// The snapshot to resume from: `path` itself when it is a file, else the last readable one of the run in this folder.
///
/// # Errors
///
/// [`Error::NoSnapshot`] when there is none; a file that cannot be read.
pub fn latest(path: &Path) -> Result<(PathBuf, State)> {
    if path.is_file() {
        return Ok((path.to_path_buf(), State::read(path)?));
    }
    let mut all = list(&path.join(FOLDER));
    if all.is_empty() {
        all = list(path);
    }
    let mut problem = None;
    for (_, file) in all.into_iter().rev() {
        match State::read(&file) {
            Ok(state) => return Ok((file, state)),
            Err(error) => {
                tracing::warn!(path = %file.display(), %error, "a snapshot cannot be read; the one before it is taken");
                problem = Some(error);
            }
        }
    }
    Err(problem.unwrap_or_else(|| Error::NoSnapshot {
        path: path.to_path_buf(),
    }))
}

/// Steps and files in the folder, in order of steps. Files of other names are left alone.
fn list(folder: &Path) -> Vec<(u64, PathBuf)> {
    let step = |path: &Path| -> Option<u64> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(PREFIX)?
            .strip_suffix(SUFFIX)?
            .parse()
            .ok()
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| Some((step(&entry.path())?, entry.path())))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(run: &Path) -> Vec<u64> {
        list(&run.join(FOLDER))
            .into_iter()
            .map(|(step, _)| step)
            .collect()
    }

    fn state(step: u64) -> State {
        let mut state = State::new();
        state.put("step", &step).unwrap();
        state
    }

    fn cut_in_half(path: &Path) {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }

    #[test]
    fn the_last_few_stay() {
        let run = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::new(run.path(), 2).unwrap();
        for step in 1..=5 {
            snapshots.save(&state(step), step).unwrap();
        }
        assert_eq!(steps(run.path()), [4, 5]);
        assert!(any(run.path()));
        remove_all(run.path()).unwrap();
        assert!(!any(run.path()));
    }

    #[test]
    fn a_damaged_snapshot_gives_way_to_the_one_before() {
        let run = tempfile::tempdir().unwrap();
        assert!(matches!(latest(run.path()), Err(Error::NoSnapshot { .. })));
        let mut snapshots = Snapshots::new(run.path(), 9).unwrap();
        snapshots.save(&state(1), 1).unwrap();
        let last = snapshots.save(&state(2), 2).unwrap();
        let get = || latest(run.path()).unwrap().1.get::<u64>("step").unwrap();
        assert_eq!(get(), 2);
        cut_in_half(&last);
        assert_eq!(get(), 1);
        assert!(latest(&last).is_err(), "the file itself was asked for");
    }

    #[test]
    fn a_flipped_bit_is_a_damage_too() {
        let run = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::new(run.path(), 9).unwrap();
        snapshots.save(&state(1), 1).unwrap();
        let mut second = state(2);
        let weights = candle_core::Tensor::new(&[1f32, 2.0], &candle_core::Device::Cpu);
        second.put_tensor("weights", &weights.unwrap()).unwrap();
        let last = snapshots.save(&second, 2).unwrap();
        let mut bytes = fs::read(&last).unwrap();
        // In the last bytes of the file lie the weights.
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&last, bytes).unwrap();
        let error = latest(&last).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        assert_eq!(latest(run.path()).unwrap().1.get::<u64>("step").unwrap(), 1);
    }

    #[test]
    fn another_future_goes_only_when_there_is_a_new_snapshot() {
        let run = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::new(run.path(), 1).unwrap();
        snapshots.keep = 9;
        for step in [4, 8, 12, 16] {
            snapshots.save(&state(step), step).unwrap();
        }
        let damaged = snapshots.folder.join(file_name(16));
        cut_in_half(&damaged);
        let bytes = fs::read(&damaged).unwrap();

        let mut again = Snapshots::new(run.path(), 1).unwrap();
        again.discard_after(4);
        assert_eq!(steps(run.path()), [4, 8, 12, 16], "nothing is lost yet");
        again.save(&state(6), 6).unwrap();
        // The damaged one would have counted as the last; its bytes are still there.
        assert_eq!(steps(run.path()), [6]);
        let aside = snapshots
            .folder
            .join(format!("{}{UNREADABLE}", file_name(16)));
        assert_eq!(fs::read(aside).unwrap(), bytes);
        // What comes after it is no snapshot of another run.
        again.save(&state(8), 8).unwrap();
        assert_eq!(steps(run.path()), [8]);
    }
}
