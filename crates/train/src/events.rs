//! What a run records: JSON lines and TensorBoard events, one record a tick.
//!
//! `events.jsonl` has one object a line: `step`, `images`, `kimg`, `tick`, `seconds`, `images_per_second`,
//! `peak_memory` (bytes, where the system says), then every loss and measure under its own name. A resumed run
//! first drops the lines after its snapshot, so that the file has each step once.

pub mod tensorboard;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use crate::{Clock, Error, Result};
use tensorboard::EventWriter;

/// The file of JSON lines.
pub const JSONL: &str = "events.jsonl";

/// How the names of TensorBoard's files begin.
pub const BOARD: &str = "events.out.tfevents.";

/// Numbers of one tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// Steps done.
    pub step: u64,
    /// Images seen by the discriminator, or whatever the run counts.
    pub images: u64,
    /// Number of the tick.
    pub tick: u64,
    /// Seconds of training up to now, over all parts of the run.
    pub seconds: f64,
    /// Speed since the last tick.
    pub images_per_second: f64,
    /// Most memory that the process has held, in bytes.
    pub peak_memory: Option<u64>,
    /// Losses (means over the tick) and measures by name.
    pub values: BTreeMap<String, f64>,
}

impl Record {
    /// The record as one JSON object. A value that is not finite becomes null: JSON cannot express it.
    pub fn to_json(&self) -> Json {
        let mut out = Map::new();
        out.insert("step".into(), json!(self.step));
        out.insert("images".into(), json!(self.images));
        out.insert("kimg".into(), json!(self.images as f64 / 1000.0));
        out.insert("tick".into(), json!(self.tick));
        out.insert("seconds".into(), json!(self.seconds));
        out.insert("images_per_second".into(), json!(self.images_per_second));
        if let Some(bytes) = self.peak_memory {
            out.insert("peak_memory".into(), json!(bytes));
        }
        for (name, value) in &self.values {
            out.insert(name.clone(), json!(value));
        }
        Json::Object(out)
    }
}

/// Both files of a run.
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    lines: File,
    board: EventWriter,
}

impl Events {
    /// Opens the files below `folder`. What they say of steps after `from` is dropped.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or written.
    pub fn open(folder: &Path, from: &Clock) -> Result<Self> {
        let path = folder.join(JSONL);
        if path.exists() {
            let bytes = fs::read(&path).map_err(Error::io(&path))?;
            // A power cut can leave half a character, or zeros.
            let old = String::from_utf8_lossy(&bytes);
            let kept = kept_lines(&old, from.step);
            if kept.as_bytes() != bytes {
                domex_data::folder::write_atomic(&path, kept.as_bytes())?;
            }
        }
        let lines = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        Ok(Self {
            path,
            lines,
            board: EventWriter::create(folder, from.images)?,
        })
    }

    /// Writes a tick into both files.
    ///
    /// # Errors
    ///
    /// The disk is full or gone.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let line = format!("{}\n", record.to_json());
        self.lines
            .write_all(line.as_bytes())
            .map_err(Error::io(&self.path))?;
        let speed = ("images_per_second", record.images_per_second);
        let memory = record
            .peak_memory
            .map(|bytes| ("peak_memory", bytes as f64));
        let values = record.values.iter().map(|(n, v)| (n.as_str(), *v));
        // The x axis of TensorBoard: images, which runs of different batch sizes share.
        self.board
            .scalars(record.images, values.chain([speed]).chain(memory))
    }
}

/// The whole lines of steps up to `last`. A line cut by a kill goes too.
fn kept_lines(text: &str, last: u64) -> String {
    let fits = |line: &&str| {
        serde_json::from_str::<Json>(line)
            .ok()
            .and_then(|json| json["step"].as_u64())
            .is_some_and(|step| step <= last)
    };
    text.lines()
        .filter(fits)
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> Record {
        Record {
            step,
            images: 16 * step,
            values: BTreeMap::from([
                ("loss/G".to_string(), 0.5),
                ("loss/D".to_string(), f64::NAN),
            ]),
            ..Record::default()
        }
    }

    /// The steps that TensorBoard shows: at each start but the first it forgets those from the mark's on.
    fn shown(folder: &Path) -> Vec<u64> {
        let files = fs::read_dir(folder).unwrap().flatten();
        let mut files: Vec<PathBuf> = files.map(|entry| entry.path()).collect();
        files.retain(|path| path.to_string_lossy().contains(BOARD));
        files.sort();
        let (mut steps, mut starts) = (Vec::new(), 0);
        for (step, is_start) in files.iter().flat_map(|path| tensorboard::events(path)) {
            match is_start {
                true if starts == 0 => starts = 1,
                true => steps.retain(|known| *known < step),
                false => steps.push(step),
            }
        }
        steps
    }

    #[test]
    fn a_resumed_run_records_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::open(folder.path(), &Clock::default()).unwrap();
        for step in [10, 20, 30] {
            events.write(&record(step)).unwrap();
        }
        drop(events);
        let path = folder.path().join(JSONL);
        let mut bytes = fs::read(&path).unwrap();
        // Cut within a character, as a power cut may.
        let torn = "{\"step\": 3, \"loss/ä";
        bytes.extend(&torn.as_bytes()[..torn.len() - 1]);
        assert!(std::str::from_utf8(&bytes).is_err());
        fs::write(&path, bytes).unwrap();
        let from = Clock {
            step: 20,
            images: 16 * 20,
            ..Clock::default()
        };
        let mut events = Events::open(folder.path(), &from).unwrap();
        events.write(&record(25)).unwrap();
        assert_eq!(shown(folder.path()), [160, 320, 400]);
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap())
            .inspect(|json| assert!(json["loss/D"].is_null() && json["loss/G"] == 0.5))
            .map(|json| json["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [10, 20, 25]);
    }
}
