//! The snapshots of a run: the last few, and the best.
//!
//! Files are `snapshots/step-000001234.safetensors`; the number is the count of steps done. `best.json` beside them says
//! which one had the best score. Old ones are removed only after a new one is safely on the disk, so a full disk or a
//! kill at any moment leaves the last good one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::state::State;
use crate::{Error, Result};

const PREFIX: &str = "step-";
const SUFFIX: &str = ".safetensors";
const BEST: &str = "best.json";
/// The folder below a run's folder.
pub const FOLDER: &str = "snapshots";

/// See the [module docs](self).
#[derive(Debug)]
pub struct Snapshots {
    folder: PathBuf,
    keep: usize,
    best: Option<Best>,
}

/// The best snapshot so far. Lower scores are better.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its score.
    pub score: f64,
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
        let best = fs::read(folder.join(BEST))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self {
            folder,
            keep: keep.max(1),
            best,
        })
    }

    /// Writes a snapshot of `step`, then removes those that are no longer kept. A `score` (lower is better) that beats
    /// all before makes it the best one.
    ///
    /// # Errors
    ///
    /// [`Error::Snapshot`] when it cannot be written; it says which one stands instead.
    pub fn save(&mut self, state: &State, step: u64, score: Option<f64>) -> Result<PathBuf> {
        let path = self.folder.join(format!("{PREFIX}{step:09}{SUFFIX}"));
        let failed = |source: Error| Error::Snapshot {
            step,
            kept: self.kept(),
            source: Box::new(source),
        };
        state.write(&path).map_err(failed)?;
        let better = |score: f64| {
            score.is_finite()
                && self
                    .best
                    .is_none_or(|best| score < best.score || best.step == step)
        };
        if let Some(score) = score.filter(|score| better(*score)) {
            let best = Best { step, score };
            let json = serde_json::to_vec(&best)
                .map_err(|error| Error::setting("score", error, "a number"))?;
            domex_data::folder::write_atomic(&self.folder.join(BEST), &json)?;
            self.best = Some(best);
        }
        self.prune();
        Ok(path)
    }

    /// The best snapshot so far, if any had a score.
    pub fn best(&self) -> Option<Best> {
        self.best
    }

    /// Says in words which snapshot one can go on from.
    pub fn kept(&self) -> String {
        match list(&self.folder).last() {
            Some((_, path)) => format!("the last good snapshot is {}", path.display()),
            None => "no snapshot was written before".to_string(),
        }
    }

    /// Removes snapshots of steps after `step`: they belong to a future that is being trained anew.
    ///
    /// # Errors
    ///
    /// One that cannot be removed.
    pub fn forget_after(&mut self, step: u64) -> Result<()> {
        for (at, path) in list(&self.folder) {
            if at > step {
                fs::remove_file(&path).map_err(Error::io(&path))?;
            }
        }
        if self.best.is_some_and(|best| best.step > step) {
            self.best = None;
            let path = self.folder.join(BEST);
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Removes all but the last few and the best. A file that will not go is only told of: it costs room, no more.
    fn prune(&self) {
        let all = list(&self.folder);
        let surplus = all.len().saturating_sub(self.keep);
        for (step, path) in &all[..surplus] {
            if self.best.is_some_and(|best| best.step == *step) {
                continue;
            }
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "an old snapshot could not be removed");
            }
        }
    }
}

/// The snapshot to go on from: `path` itself when it is a file, else the last readable one of the run in this folder.
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

    #[test]
    fn the_last_and_the_best_stay() {
        let run = tempfile::tempdir().unwrap();
        let mut snapshots = Snapshots::new(run.path(), 2).unwrap();
        let scores = [Some(3.0), Some(1.0), None, Some(2.0), Some(f64::NAN)];
        for (step, score) in (1..).zip(scores) {
            snapshots.save(&state(step), step, score).unwrap();
        }
        assert_eq!(steps(run.path()), [2, 4, 5]);
        // A new process knows the best one too.
        let mut again = Snapshots::new(run.path(), 1).unwrap();
        assert_eq!(again.best().map(|best| best.step), Some(2));
        again.save(&state(6), 6, Some(0.5)).unwrap();
        assert_eq!(steps(run.path()), [6]);
        again.forget_after(5).unwrap();
        assert_eq!(again.best(), None);
        assert!(steps(run.path()).is_empty());
    }

    #[test]
    fn a_damaged_snapshot_gives_way_to_the_one_before() {
        let run = tempfile::tempdir().unwrap();
        assert!(matches!(latest(run.path()), Err(Error::NoSnapshot { .. })));
        let mut snapshots = Snapshots::new(run.path(), 9).unwrap();
        snapshots.save(&state(1), 1, None).unwrap();
        let last = snapshots.save(&state(2), 2, None).unwrap();
        let get = || latest(run.path()).unwrap().1.get::<u64>("step").unwrap();
        assert_eq!(get(), 2);
        let bytes = fs::read(&last).unwrap();
        fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(get(), 1);
        assert!(latest(&last).is_err(), "the file itself was asked for");
    }
}
