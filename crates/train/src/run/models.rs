//! The models that a run writes for other verbs: the last, the best, and those that stay.
//!
//! `model.safetensors` is renewed with each snapshot. `best.safetensors` is the model of the tick with the lowest score,
//! and `best.json` beside it says which; it is written after the model, so that a kill between the two only makes the run
//! write the model again. `network-snapshot-000200.safetensors` stays, for people who choose by eye.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Clock, Job, RunFolder};
use crate::{Error, Result};

/// The last model.
pub(super) const MODEL: &str = "model.safetensors";
/// The best one, where ticks have a score.
const BEST: &str = "best.safetensors";
/// Which one it is.
const BEST_OF: &str = "best.json";
/// How the names of those that stay begin.
const KEPT: &str = "network-snapshot-";

/// Whether a file of this name is one that this module writes.
pub(super) fn writes(name: &str) -> bool {
    [MODEL, BEST, BEST_OF].contains(&name)
        || (name.starts_with(KEPT) && name.ends_with(".safetensors"))
}

/// The tick with the lowest score so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Images seen by then.
    pub images: u64,
    /// Its score. Lower is better.
    pub score: f64,
}

impl Best {
    /// The best one of the run in this folder, if it has its model.
    pub(super) fn read(folder: &RunFolder) -> Option<Self> {
        let bytes = std::fs::read(folder.file(BEST_OF)).ok()?;
        let best = serde_json::from_slice(&bytes).ok()?;
        folder.best().is_file().then_some(best)
    }

    /// Whether a score at `step` takes its place. A run resumed from an older snapshot comes to the same tick again.
    fn gives_way_to(&self, step: u64, score: f64) -> bool {
        score < self.score || step == self.step
    }
}

/// Writes the model as the best one if its score is the lowest so far. Returns the best one.
pub(super) fn note_score(
    best: Option<Best>,
    score: f64,
    job: &dyn Job,
    at: &Clock,
    folder: &RunFolder,
) -> Result<Option<Best>> {
    let (step, images) = (at.step, at.images);
    if !score.is_finite() || best.is_some_and(|best| !best.gives_way_to(step, score)) {
        return Ok(best);
    }
    let best = Best {
        step,
        images,
        score,
    };
    job.export(at, &folder.best()).map_err(Error::Job)?;
    let json =
        serde_json::to_value(best).map_err(|error| Error::setting("score", error, "a number"))?;
    folder.write_json(BEST_OF, &json)?;
    Ok(Some(best))
}

/// Writes a model that stays.
pub(super) fn keep(job: &dyn Job, at: &Clock, folder: &RunFolder) -> Result<()> {
    let name = format!("{KEPT}{}.safetensors", at.stamp(job.batch()));
    job.export(at, &folder.file(name)).map_err(Error::Job)
}

impl RunFolder {
    /// The exported model.
    pub fn model(&self) -> std::path::PathBuf {
        self.file(MODEL)
    }

    /// The model of the tick with the lowest score, if ticks have a score.
    pub fn best(&self) -> std::path::PathBuf {
        self.file(BEST)
    }
}

/// Whether `run.json` in this folder was written by a run.
pub(super) fn is_run(folder: &Path) -> bool {
    settings(folder).is_some_and(|json| json["images"].is_u64() && json["batch"].is_u64())
}

/// The entry of `run.json` with the checksum of all others.
pub(super) const CHECKSUM: &str = "checksum";

/// Whether there is a `run.json` that is not as it was written. Older ones have no checksum.
pub(super) fn is_damaged(folder: &Path) -> bool {
    if !folder.join(super::SETTINGS).exists() {
        return false;
    }
    let Some(json) = settings(folder) else {
        return true;
    };
    let written = json.get(CHECKSUM).map(serde_json::Value::as_str);
    written.is_some_and(|written| written != Some(&checksum(&json)))
}

/// CRC-32 of the settings but for the entry of the checksum itself, without blanks.
pub(super) fn checksum(settings: &serde_json::Value) -> String {
    let mut settings = settings.clone();
    if let Some(entries) = settings.as_object_mut() {
        entries.remove(CHECKSUM);
    }
    format!(
        "crc32:{:08x}",
        crc32fast::hash(settings.to_string().as_bytes())
    )
}

fn settings(folder: &Path) -> Option<serde_json::Value> {
    let json = std::fs::read(folder.join(super::SETTINGS)).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_setting_is_a_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(super::super::SETTINGS);
        assert!(!is_damaged(folder.path()), "there is none");
        let mut settings = serde_json::json!({ "seed": 1, "job": { "lr": 0.0025 } });
        settings[CHECKSUM] = checksum(&settings).into();
        let text = format!("{settings:#}");
        std::fs::write(&file, &text).unwrap();
        assert!(!is_damaged(folder.path()));
        for (from, to) in [("0.0025", "0.0024"), ("{", "")] {
            std::fs::write(&file, text.replace(from, to)).unwrap();
            assert!(is_damaged(folder.path()), "{from}");
        }
        std::fs::write(&file, r#"{ "seed": 1 }"#).unwrap();
        assert!(!is_damaged(folder.path()), "an older one");
    }
}
