//! Settings of a run and its folder.

use std::path::{Path, PathBuf};

use domex_data::folder::{OutputFolder, holds, write_atomic};
use serde_json::Value as Json;

use crate::progress::Show;
use crate::run::{Clock, Job, SETTINGS, models};
use crate::stop::PlateauConfig;
use crate::{Error, Result, events, snapshots};

/// Whether a run is new or resumed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Resume {
    /// From its beginning.
    #[default]
    No,
    /// From a snapshot file, or the last snapshot of the run in a folder.
    From(PathBuf),
}

/// Settings of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// The run's folder, created if absent.
    pub out: PathBuf,
    /// Write into a folder that has files, and start a new run in place of an old one.
    pub force: bool,
    /// Files and folders that the run reads: none may lie in a folder that [`force`](Self::force) clears.
    pub inputs: Vec<PathBuf>,
    /// Length in images, all parts of the run together.
    pub images: u64,
    /// Images from one tick to the next.
    pub tick_images: u64,
    /// Ticks from one snapshot to the next; 0 for one at the end only.
    pub snap: u64,
    /// Number of snapshots that are kept.
    pub keep: usize,
    /// Ticks between exported models that are kept; 0 for none.
    pub keep_models: u64,
    /// Seed of the job's streams, for the record.
    pub seed: u64,
    /// Whether to resume from a snapshot.
    pub resume: Resume,
    /// Steps in a row that may have something that is not finite.
    pub skip_limit: u64,
    /// Early stop.
    pub plateau: Option<PlateauConfig>,
    /// How the run is shown.
    pub show: Show,
    /// Whether SIGINT and SIGTERM are caught.
    pub signals: bool,
    /// The job's own settings, for the record.
    pub settings: Json,
}

impl RunConfig {
    /// A run of 25 000 kimg with a tick every 4 kimg and a snapshot every 50 ticks of which two are kept, which prints
    /// nothing and catches signals.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            force: false,
            inputs: Vec::new(),
            images: 25_000_000,
            tick_images: 4000,
            snap: 50,
            keep: 2,
            keep_models: 0,
            seed: 0,
            resume: Resume::No,
            skip_limit: 20,
            plateau: None,
            show: Show::Nothing,
            signals: true,
            settings: Json::Null,
        }
    }

    pub(super) fn validate(&self, batch: usize) -> Result<()> {
        for (what, value) in [
            ("length of the run in images", self.images),
            ("images of a tick", self.tick_images),
            ("batch", batch as u64),
        ] {
            if value == 0 {
                return Err(Error::setting(what, 0, "1 or more"));
            }
        }
        Ok(())
    }

    /// Whether the step that led to `clock` passed the end of a tick.
    pub(super) fn tick_ends(&self, clock: &Clock, batch: usize) -> bool {
        self.passed(self.tick_images, clock, batch)
    }

    /// Whether it passed the place of a snapshot.
    pub(super) fn snapshot_due(&self, clock: &Clock, batch: usize) -> bool {
        self.passed_ticks(self.snap, clock, batch)
    }

    /// Whether it passed the place of a model that stays.
    pub(super) fn model_due(&self, clock: &Clock, batch: usize) -> bool {
        self.passed_ticks(self.keep_models, clock, batch)
    }

    fn passed_ticks(&self, ticks: u64, clock: &Clock, batch: usize) -> bool {
        ticks > 0 && self.passed(self.tick_images.saturating_mul(ticks), clock, batch)
    }

    fn passed(&self, every: u64, clock: &Clock, batch: usize) -> bool {
        let before = clock.images.saturating_sub(batch as u64);
        before / every != clock.images / every
    }

    /// Refuses what the run reads where it would be removed. [`run`](crate::run()) does so too, later.
    ///
    /// # Errors
    ///
    /// [`Error::Input`].
    pub fn check_inputs(&self) -> Result<()> {
        let clears = self.force && !self.goes_on();
        let inside = self.inputs.iter().find(|input| holds(&self.out, input));
        match inside {
            Some(input) if clears => Err(Error::Input {
                input: input.clone(),
                out: self.out.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The run's folder: empty, or that of the resumed run, or forced.
    pub(super) fn folder(&self) -> Result<RunFolder> {
        let folder = OutputFolder::create(&self.out, self.force || self.goes_on())?;
        Ok(RunFolder { folder })
    }

    /// Whether the run is resumed in its own folder.
    pub(super) fn goes_on(&self) -> bool {
        match &self.resume {
            Resume::No => false,
            Resume::From(path) => holds(&self.out, path),
        }
    }

    /// Removes what a process that was killed left half written, what asked an earlier part of the run to stop and, for a run
    /// that is forced into the folder of another, what that one wrote: its snapshots and events are not this one's. Other files
    /// stay, and all files of a folder where no run was.
    pub(super) fn clear(&self, folder: &RunFolder, job: &dyn Job) -> Result<()> {
        remove(&folder.file(snapshots::FOLDER), half_written)?;
        remove(folder.path(), half_written)?;
        if self.goes_on() {
            return remove(folder.path(), |name| name == STOP);
        }
        if !self.force {
            return Ok(());
        }
        if !models::is_run(folder.path()) {
            return folder.check_foreign();
        }
        snapshots::remove_all(folder.path())?;
        remove(folder.path(), |name| {
            [events::JSONL, SETTINGS, STOP].contains(&name)
                || name.starts_with(events::BOARD)
                || models::writes(name)
                || job.writes(name)
        })
    }
}

/// A file of this name in a run's folder has the run save and stop, as SIGTERM does; the run removes it.
pub const STOP: &str = "stop";

/// A file under its temporary name. Nobody else writes here: the folder is locked.
fn half_written(name: &str) -> bool {
    name.starts_with(".domex-") && name.ends_with(".part")
}

/// Removes the files of a folder whose name passes; no folder, no files.
fn remove(folder: &Path, which: impl Fn(&str) -> bool) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        if entry.file_name().to_str().is_some_and(&which) && path.is_file() {
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// The folder of a run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    folder: OutputFolder,
}

impl RunFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A file in it.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.file(name)
    }

    /// Refuses what a run in a folder where none was would remove.
    fn check_foreign(&self) -> Result<()> {
        let stop = self.file(STOP);
        if stop.is_file() {
            return Err(Error::Stop { path: stop });
        }
        match snapshots::any(self.path()) {
            true => Err(Error::NotOurs {
                path: self.path().to_path_buf(),
            }),
            false => Ok(()),
        }
    }

    /// The signal that the file [`STOP`] stands for, where it is there.
    pub(super) fn asked_to_stop(&self) -> Option<u8> {
        // SIGTERM.
        const NUMBER: u8 = 15;
        let file = self.file(STOP);
        let is_there = file.is_file();
        if is_there {
            drop(std::fs::remove_file(file));
        }
        is_there.then_some(NUMBER)
    }

    /// Writes a value as indented JSON, whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write_json(&self, name: &str, value: &Json) -> Result<()> {
        Ok(write_atomic(
            &self.file(name),
            format!("{value:#}\n").as_bytes(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_snapshots_follow_from_the_images_alone() {
        let config = RunConfig {
            tick_images: 10,
            snap: 2,
            ..RunConfig::new("x")
        };
        let at = |images| Clock {
            images,
            ..Clock::default()
        };
        let ticks: Vec<u64> = (4..=40)
            .step_by(4)
            .filter(|i| config.tick_ends(&at(*i), 4))
            .collect();
        assert_eq!(ticks, [12, 20, 32, 40]);
        let snaps: Vec<u64> = (4..=40)
            .step_by(4)
            .filter(|i| config.snapshot_due(&at(*i), 4))
            .collect();
        assert_eq!(snaps, [20, 40]);
        assert!(!config.model_due(&at(20), 4), "none stays");
        assert!(config.validate(0).is_err());
    }
}
