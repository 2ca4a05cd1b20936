//! What the ranks of a run do together, and what all but the first do: the same steps, and no files.
//!
//! After each step all ranks hear what rank 0 decided. At the beginning and at each snapshot they compare all that later
//! steps depend on, so that a rank that computes something else ends the run before it is believed.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::config::RunConfig;
use super::job::{Clock, Job};
use super::models::MODEL;
use super::{Guard, Outcome, Resume, Signals, restore};
use crate::snapshots::{FOLDER, file_name};
use crate::state::State;
use crate::{Error, Result, Team};

/// What comes after a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Next {
    /// Which signal ends the run, if one does.
    pub signal: Option<u8>,
    /// Whether there is a snapshot.
    pub snapshot: bool,
    /// Whether the run ends.
    pub end: bool,
}

impl Next {
    /// As rank 0 says, but that a signal to any rank ends the run for all.
    pub fn agreed(self, team: &Team) -> Result<Self> {
        let mut next = self;
        if !team.is_alone() {
            let mine = serde_json::to_vec(&self).map_err(crate::team::internal)?;
            let all = team.gather(&mine)?;
            let all = all.iter().map(|next| serde_json::from_slice(next));
            let all: std::result::Result<Vec<Self>, _> = all.collect();
            let all = all.map_err(crate::team::internal)?;
            next = all[0];
            next.signal = all.iter().find_map(|next| next.signal);
        }
        next.snapshot |= next.signal.is_some() || next.end;
        next.end |= next.signal.is_some();
        Ok(next)
    }
}

/// Compares all that the steps of a run depend on.
pub(super) fn check_beginning(team: &Team, job: &dyn Job) -> Result<()> {
    if team.is_alone() {
        return Ok(());
    }
    let mut state = State::new();
    job.save(&mut state).map_err(Error::Job)?;
    job.computed(&mut state).map_err(Error::Job)?;
    state.put("settings", &job.settings().map_err(Error::Job)?)?;
    check_same(team, &state)
}

/// Compares what is in a snapshot.
pub(super) fn check_same(team: &Team, state: &State) -> Result<()> {
    if team.is_alone() {
        return Ok(());
    }
    let mine = serde_json::to_vec(&fingerprint(state)?).map_err(crate::team::internal)?;
    let all = team.gather(&mine)?;
    let all = all.iter().map(|one| serde_json::from_slice(one));
    let all: std::result::Result<Vec<Vec<(String, Json)>>, _> = all.collect();
    let all = all.map_err(crate::team::internal)?;
    for (rank, one) in all.iter().enumerate() {
        let mut pairs = one.iter().zip(&all[0]);
        let what = if let Some((other, first)) = pairs.find(|(other, first)| other != first) {
            let difference = super::difference(first.0.clone(), &first.1, &other.1);
            difference.map_or_else(|| first.0.clone(), |(path, ..)| path)
        } else if one.len() != all[0].len() {
            format!(
                "how many tensors it has, {} and {}",
                one.len(),
                all[0].len()
            )
        } else {
            continue;
        };
        return Err(Error::Differs { rank, what });
    }
    Ok(())
}

/// A checksum of each tensor, and each value of the document as it is.
fn fingerprint(state: &State) -> Result<Vec<(String, Json)>> {
    let tensors = state.checksums();
    let tensors =
        tensors.map(|(name, sum)| (format!("tensor {name}"), json!(format!("{sum:08x}"))));
    let values = state.document().iter();
    let values = values.map(|(key, value)| (key.clone(), value.clone()));
    Ok(tensors.chain(values).collect())
}

/// Runs all steps as a rank that is not the first.
pub(super) fn follow(job: &mut dyn Job, config: &RunConfig, team: &Team) -> Result<Outcome> {
    let signals = match config.signals {
        true => Signals::install()?,
        false => Signals::none(),
    };
    let saved = match &config.resume {
        Resume::From(path) => Some(restore(job, path)?),
        Resume::No => None,
    };
    let (mut clock, mut guard) = match saved {
        Some(saved) => (saved.clock, saved.guard),
        None => (Clock::default(), Guard::new(config.skip_limit)),
    };
    clock.length = config.images;
    if clock.images < clock.length {
        job.prepare().map_err(Error::Job)?;
    }
    check_beginning(team, job)?;
    let mut next = Next::default();
    while clock.images < config.images && !next.end {
        let losses = job.step(&clock).map_err(Error::Job)?;
        clock.step += 1;
        clock.images += job.batch() as u64;
        if clock.images >= config.images || config.tick_ends(&clock, job.batch()) {
            clock.tick += 1;
        }
        if !guard.note(&losses.not_finite) {
            return Err(Error::NotFinite {
                skipped: guard.in_a_row(),
                what: guard.last().to_string(),
                kept: "rank 0 says which snapshot is the last".to_owned(),
            });
        }
        let asked = Next {
            signal: signals.caught(),
            ..Next::default()
        };
        next = asked.agreed(team)?;
        if next.snapshot {
            compare(team, job)?;
        }
    }
    // A resumed run that has nothing left to do has a snapshot all the same.
    if !next.snapshot {
        compare(team, job)?;
    }
    Ok(Outcome {
        snapshot: config.out.join(FOLDER).join(file_name(clock.step)),
        model: config.out.join(MODEL),
        clock,
        best: None,
        signal: next.signal,
        plateau: false,
        skipped: guard.total(),
        last: None,
    })
}

fn compare(team: &Team, job: &dyn Job) -> Result<()> {
    let mut state = State::new();
    job.save(&mut state).map_err(Error::Job)?;
    check_same(team, &state)
}
