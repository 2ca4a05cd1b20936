//! The loop of any run: step, tick, snapshot, resume, stop.
//!
//! A [`Job`] knows networks and losses; this module knows time. Ticks and snapshots follow from the number of images
//! alone, so a run that was stopped anywhere and resumed does the same steps as one that was not. What must survive is
//! in the snapshot: the job's own state, the clock, the guard's and the plateau's counts.
//!
//! The run's folder has `run.json` (settings), `run.lock`, `events.jsonl`, `events.out.tfevents.*`, `snapshots/`,
//! `model.safetensors` (updated with each snapshot), `best.safetensors` (where ticks have a score), and what the job
//! writes at its ticks.

mod config;
mod job;
mod models;
mod pace;
mod together;

use std::path::{Path, PathBuf};

use domex_error::device::Fault;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

pub use config::{Resume, RunConfig, RunFolder, STOP};
pub use job::{Clock, Job, Losses, Measures};
pub use models::Best;
use pace::{Means, Pace};
use together::Next;

use crate::events::{Events, Record};
use crate::guard::Guard;
use crate::lock::Lock;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::snapshots::{self, Snapshots, latest};
use crate::state::State;
use crate::stop::Plateau;
use crate::{Error, Result, Team, memory};

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Where it is.
    pub clock: Clock,
    /// The last snapshot.
    pub snapshot: PathBuf,
    /// The exported model.
    pub model: PathBuf,
    /// The model of the tick with the lowest score, where ticks have a score, and which tick that is.
    pub best: Option<(PathBuf, Best)>,
    /// The signal that stopped it, if one did.
    pub signal: Option<u8>,
    /// Whether it came to a plateau before its length.
    pub plateau: bool,
    /// Steps that were not applied, in all.
    pub skipped: u64,
    /// The last tick.
    pub last: Option<Record>,
}

impl Outcome {
    /// 0, or 128 plus the signal that stopped the run.
    pub fn exit_code(&self) -> u8 {
        self.signal.map_or(0, |signal| 128 + signal)
    }
}

/// The part of a snapshot that is the loop's own.
#[derive(Serialize, Deserialize)]
struct Saved {
    clock: Clock,
    guard: Guard,
    plateau: Option<Plateau>,
    means: Means,
}

const SAVED: &str = "run";

/// Where a snapshot keeps the job's own settings.
const JOB_SETTINGS: &str = "job";

/// The file of all settings.
const SETTINGS: &str = "run.json";

/// Trains `job` as `config` says, until its length, a plateau or a signal.
///
/// # Errors
///
/// Settings that make no sense; steps that certainly do not fit into the machine's memory; a folder in use, or with another
/// run in it; no room for a snapshot; too many steps that are not finite; a device without room, or that failed ([`Error::Device`]); whatever the job reports.
pub fn run(job: &mut dyn Job, config: &RunConfig) -> Result<Outcome> {
    go(job, config).map_err(|error| explained(error, job, config))
}

/// What a fault of the device means for the run; other errors as they are.
fn explained(error: Error, job: &dyn Job, config: &RunConfig) -> Error {
    let Some(fault) = Fault::of(&error) else {
        return error;
    };
    Error::Device {
        advice: match fault {
            Fault::OutOfMemory => format!("; {}", job.needs_less()),
            Fault::Lost(_) => String::new(),
        },
        kept: snapshots::kept(&config.out),
        fault,
        source: Box::new(error),
    }
}

fn go(job: &mut dyn Job, config: &RunConfig) -> Result<Outcome> {
    config.validate(job.batch())?;
    memory::check(job.held())?;
    config.check_inputs()?;
    let team = job.team();
    if !team.is_first() {
        return together::follow(job, config, &team);
    }
    // A snapshot that cannot be resumed leaves no trace in a new folder; in the run's own one the lock comes first.
    let mut saved = None;
    if let Resume::From(path) = &config.resume
        && !config.goes_on()
    {
        saved = Some(restore(job, path)?);
    }
    let folder = config.folder()?;
    let _lock = Lock::take(folder.path())?;
    // Only now: before, the files may be those of a run that is still training.
    config.clear(&folder, job)?;
    let signals = if config.signals {
        Signals::install()?
    } else {
        Signals::none()
    };
    if let (Resume::From(path), None) = (&config.resume, &saved) {
        saved = Some(restore(job, path)?);
    }
    let running = Running::new(job, config, folder, signals, saved)?;
    together::check_beginning(&team, &*running.job)?;
    running.go(&team)
}

fn restore(job: &mut dyn Job, path: &Path) -> Result<Saved> {
    let (_, state) = latest(path)?;
    let given = job.settings().map_err(Error::Job)?;
    // Snapshots of jobs that say nothing, and of earlier versions, have none.
    if let (false, Some(stored)) = (given.is_null(), state.document().get(JOB_SETTINGS)) {
        check_settings(stored, &given)?;
    }
    job.restore(&state).map_err(Error::Job)?;
    state.get(SAVED)
}

/// Names the first setting in which a job differs from the run that it is to go on with.
fn check_settings(stored: &Json, given: &Json) -> Result<()> {
    let Some((path, stored, given)) = difference(String::new(), stored, given) else {
        return Ok(());
    };
    let expected = format!("{stored}, with which the run was started");
    Err(Error::setting(format!("setting {path}"), given, expected))
}

/// The path of the first value that differs, with both values.
fn difference(path: String, stored: &Json, given: &Json) -> Option<(String, Json, Json)> {
    match (stored, given) {
        _ if stored == given => None,
        (Json::Object(a), Json::Object(b)) => {
            let keys = a.keys().chain(b.keys());
            keys.into_iter().find_map(|key| {
                let dot = if path.is_empty() { "" } else { "." };
                let value = |map: &serde_json::Map<_, _>| map.get(key).cloned().unwrap_or_default();
                difference(format!("{path}{dot}{key}"), &value(a), &value(b))
            })
        }
        _ => Some((path, stored.clone(), given.clone())),
    }
}

struct Running<'a> {
    job: &'a mut dyn Job,
    config: &'a RunConfig,
    folder: RunFolder,
    signals: Signals,
    snapshots: Snapshots,
    best: Option<Best>,
    events: Events,
    progress: Progress,
    guard: Guard,
    plateau: Option<Plateau>,
    means: Means,
    clock: Clock,
    pace: Pace,
    /// Whether the run's length was told.
    estimated: bool,
    last: Option<Record>,
}

impl<'a> Running<'a> {
    fn new(
        job: &'a mut dyn Job,
        config: &'a RunConfig,
        folder: RunFolder,
        signals: Signals,
        saved: Option<Saved>,
    ) -> Result<Self> {
        let mut snapshots = Snapshots::new(folder.path(), config.keep)?;
        if saved.is_some() && models::is_damaged(folder.path()) {
            tracing::warn!("{SETTINGS} is damaged; it is written anew from the snapshot");
        }
        // First of all: it marks the folder as a run's.
        let mut settings = json!({ "seed": config.seed, "images": config.images, "batch": job.batch(), "job": config.settings });
        settings[models::CHECKSUM] = models::checksum(&settings).into();
        folder.write_json(SETTINGS, &settings)?;
        let saved = match saved {
            Some(saved) => {
                snapshots.discard_after(saved.clock.step);
                saved
            }
            None => {
                job.start(&folder).map_err(Error::Job)?;
                Saved {
                    clock: Clock::default(),
                    guard: Guard::new(config.skip_limit),
                    plateau: config.plateau.clone().map(Plateau::new),
                    means: Means::default(),
                }
            }
        };
        let clock = Clock {
            length: config.images,
            ..saved.clock
        };
        if clock.images < clock.length {
            job.prepare().map_err(Error::Job)?;
        }
        Ok(Self {
            events: Events::open(folder.path(), &clock)?,
            progress: Progress::new(config.show, config.images, clock.images),
            pace: Pace::new(clock),
            guard: saved.guard,
            plateau: saved.plateau,
            means: saved.means,
            estimated: false,
            last: None,
            best: Best::read(&folder),
            job,
            config,
            folder,
            signals,
            snapshots,
            clock,
        })
    }

    fn go(mut self, team: &Team) -> Result<Outcome> {
        let (mut plateau, mut signal) = (false, None);
        // A resumed run that has nothing left to do still says where its files are.
        let mut snapshot = None;
        if self.clock.images >= self.config.images {
            self.progress.say(&format!(
                "length    reached already, after {}: nothing is trained",
                domex_data::counted(self.clock.step as usize, "step")
            ));
        }
        while self.clock.images < self.config.images && !plateau && signal.is_none() {
            self.step()?;
            let batch = self.job.batch();
            let ended = self.clock.images >= self.config.images;
            if ended || self.config.tick_ends(&self.clock, batch) {
                plateau = self.tick()?;
            }
            if ended || plateau || self.config.model_due(&self.clock, batch) {
                self.keep_model()?;
            }
            let asked = self.signals.caught();
            let next = Next {
                signal: asked.or_else(|| self.folder.asked_to_stop()),
                snapshot: self.config.snapshot_due(&self.clock, batch),
                end: ended || plateau,
            };
            let next = next.agreed(team).map_err(|error| self.stopped(error))?;
            signal = next.signal;
            if next.snapshot {
                snapshot = Some(self.snapshot(team)?);
            }
        }
        let snapshot = match snapshot {
            Some(path) => path,
            None => self.snapshot(team)?,
        };
        Ok(Outcome {
            clock: self.clock,
            snapshot,
            model: self.folder.model(),
            best: self.best.map(|best| (self.folder.best(), best)),
            signal,
            plateau,
            skipped: self.guard.total(),
            last: self.last,
        })
    }

    fn step(&mut self) -> Result<()> {
        let losses = self.job.step(&self.clock).map_err(|error| {
            let error = Error::Job(error);
            match Fault::of(&error) {
                // Told by `explained`.
                Some(_) => error,
                None => self.stopped(error),
            }
        })?;
        self.clock.step += 1;
        self.clock.images += self.job.batch() as u64;
        self.clock.seconds = self.pace.seconds();
        self.means.add(&losses.values);
        if !losses.not_finite.is_empty() {
            tracing::warn!(step = self.clock.step, what = %losses.not_finite.join(", "), "not finite: not applied");
        }
        if !self.guard.note(&losses.not_finite) {
            return Err(Error::NotFinite {
                skipped: self.guard.in_a_row(),
                what: self.guard.last().to_string(),
                kept: self.snapshots.kept(),
            });
        }
        let speed = self.pace.speed(&self.clock);
        self.progress.advance(self.clock.images, speed);
        self.estimate();
        Ok(())
    }

    /// Once there is something to tell from.
    fn estimate(&mut self) {
        let (steps, seconds) = self.pace.since_start(&self.clock, self.job.batch() as u64);
        if self.estimated || !pace::may_tell(steps, seconds) {
            return;
        }
        self.estimated = true;
        let left = self.config.images.saturating_sub(self.clock.images);
        let left = left.div_ceil(self.job.batch() as u64);
        let memory = memory::peak();
        self.progress.estimate(left, seconds / steps as f64, memory);
    }

    /// Returns whether the run has come to a plateau.
    fn tick(&mut self) -> Result<bool> {
        let speed = self.pace.tick(&self.clock);
        self.clock.tick += 1;
        let measures = self
            .job
            .tick(&self.clock, &self.folder)
            .map_err(|error| self.stopped(Error::Job(error)))?;
        let mut values = self.means.take();
        values.extend(measures.values);
        values.insert("skipped".into(), self.guard.total() as f64);
        let record = Record {
            step: self.clock.step,
            images: self.clock.images,
            tick: self.clock.tick,
            seconds: self.clock.seconds,
            images_per_second: speed,
            peak_memory: memory::peak(),
            values,
        };
        let written = self.events.write(&record);
        written.map_err(|error| self.stopped(error))?;
        self.progress.tick(&record);
        let plateau = match &mut self.plateau {
            None => false,
            Some(plateau) => {
                let value = record.values.get(plateau.measure()).copied();
                let known = || record.values.keys().cloned().collect::<Vec<_>>().join(", ");
                let value = value.ok_or_else(|| {
                    Error::setting("measure of the plateau", plateau.measure(), known())
                })?;
                plateau.note(value)
            }
        };
        self.last = Some(record);
        if let Some(score) = measures.score {
            let noted = models::note_score(self.best, score, self.job, &self.clock, &self.folder);
            self.best = noted.map_err(|error| self.stopped(error))?;
        }
        Ok(plateau)
    }

    /// A model that stays, if the run keeps any.
    fn keep_model(&self) -> Result<()> {
        if self.config.keep_models == 0 {
            return Ok(());
        }
        models::keep(self.job, &self.clock, &self.folder).map_err(|error| self.stopped(error))
    }

    /// A disk that is full is mostly met here: ticks are more frequent than snapshots.
    fn stopped(&self, error: Error) -> Error {
        Error::Tick {
            step: self.clock.step,
            kept: self.snapshots.kept(),
            source: Box::new(error),
        }
    }

    fn snapshot(&mut self, team: &Team) -> Result<PathBuf> {
        let mut state = State::new();
        self.job.save(&mut state).map_err(Error::Job)?;
        together::check_same(team, &state).map_err(|error| self.stopped(error))?;
        let saved = Saved {
            clock: self.clock,
            guard: self.guard.clone(),
            plateau: self.plateau.clone(),
            means: self.means.clone(),
        };
        state.put(SAVED, &saved)?;
        state.put("settings", &self.config.settings)?;
        state.put(JOB_SETTINGS, &self.job.settings().map_err(Error::Job)?)?;
        let path = self.snapshots.save(&state, self.clock.step)?;
        // Its bytes are on the disk: the model next to it needs the memory.
        drop(state);
        let exported = self.job.export(&self.clock, &self.folder.model());
        // The snapshot is safe: what failed is the model beside it.
        exported.map_err(|error| self.stopped(Error::Job(error)))?;
        Ok(path)
    }
}
