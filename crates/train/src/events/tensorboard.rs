//! TensorBoard's event file, scalars only.
//!
//! A file is a sequence of records: length (u64), masked CRC-32C of those 8 bytes, the data, masked CRC-32C of the data,
//! all little-endian; the mask is `rotate_right(crc, 15) + 0xa282ead8`. The data is an `Event` message in protocol
//! buffers: `wall_time` (field 1, double), `step` (2, varint), `file_version` (3, string), `summary` (5), `session_log`
//! (7). A summary holds values (field 1) of `tag` (1, string) and `simple_value` (2, float). Sources: TensorFlow
//! `tsl/lib/io/record_writer.cc`, `tensorboard/compat/proto/event.proto` and `summary.proto`.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// Appends events to a file of its own.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// A new file `events.out.tfevents.*` in `folder`, of a run, or a part of one, that begins after `images`.
    ///
    /// Each file has a mark of a session's start. TensorBoard passes over the first one of a run; at a later one it forgets
    /// what earlier files say of the mark's step and beyond. Its steps are images here, as those of the scalars are.
    ///
    /// # Errors
    ///
    /// The file cannot be made.
    pub fn create(folder: &Path, images: u64) -> Result<Self> {
        let now = now();
        // Names sort by time; a second part of a run in the same second needs another one.
        let (path, file) = (0..1000)
            .find_map(|count| {
                let name = format!("{}{:010}.domex.{count}", super::BOARD, now as u64);
                let path = folder.join(name);
                match OpenOptions::new().create_new(true).write(true).open(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
                    other => Some((path, other)),
                }
            })
            .ok_or_else(|| Error::setting("event files of one second", 1000, "fewer"))?;
        let file = file.map_err(Error::io(&path))?;
        let mut writer = Self { path, file };
        let mut version = Vec::new();
        double(&mut version, 1, now);
        bytes(&mut version, 3, b"brain.Event:2");
        writer.record(&version)?;
        // SessionLog { status: START }.
        let mut start = Vec::new();
        double(&mut start, 1, now);
        varint(&mut start, 2, images + 1);
        bytes(&mut start, 7, &[0x08, 1]);
        writer.record(&start)?;
        Ok(writer)
    }

    /// Writes scalars at `step`. Values that are not finite are left out.
    ///
    /// # Errors
    ///
    /// The disk is full or gone.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<()> {
        let mut summary = Vec::new();
        for (name, value) in values.into_iter().filter(|(_, value)| value.is_finite()) {
            let mut entry = Vec::new();
            bytes(&mut entry, 1, name.as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend((value as f32).to_le_bytes());
            bytes(&mut summary, 1, &entry);
        }
        let mut event = Vec::new();
        double(&mut event, 1, now());
        varint(&mut event, 2, step);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, data: &[u8]) -> Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut out = Vec::with_capacity(data.len() + 16);
        out.extend(length);
        out.extend(masked(&length).to_le_bytes());
        out.extend(data);
        out.extend(masked(data).to_le_bytes());
        self.file.write_all(&out).map_err(Error::io(&self.path))
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |time| time.as_secs_f64())
}

fn varint(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    raw_varint(out, value);
}

fn raw_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    raw_varint(out, value.len() as u64);
    out.extend(value);
}

fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), bit by bit: a tick writes a few hundred bytes.
fn crc32c(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in data {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// The records of a file, whose sums must fit.
#[cfg(test)]
fn records(path: &Path) -> Vec<Vec<u8>> {
    let data = std::fs::read(path).unwrap();
    let mut rest = data.as_slice();
    let mut records = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let crc = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        assert_eq!(crc(8), masked(&rest[..8]));
        let record = &rest[12..12 + length];
        assert_eq!(crc(12 + length), masked(record));
        records.push(record.to_vec());
        rest = &rest[16 + length..];
    }
    records
}

/// Each event of a file but the first: its step, and whether it marks a start.
#[cfg(test)]
pub(super) fn events(path: &Path) -> Vec<(u64, bool)> {
    let event = |record: &Vec<u8>| {
        // Behind the wall time and the step's key; the last digit of the step is below 0x80.
        let step = &record[10..];
        let last = step.iter().position(|digit| *digit < 0x80).unwrap();
        let digits = step[..=last].iter().rev();
        let step_is = digits.fold(0, |sum, digit| sum << 7 | u64::from(digit & 0x7f));
        (step_is, step[last + 1] == 7 << 3 | 2)
    };
    records(path)[1..].iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_check_value() {
        // RFC 3720, appendix B.4, and the usual check string.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn records_hold_their_scalars() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), 299).unwrap();
        writer
            .scalars(300, [("loss/G", 0.5), ("broken", f64::NAN)])
            .unwrap();
        let other = EventWriter::create(folder.path(), 0).unwrap();
        assert_ne!(writer.path, other.path);

        let records = records(&writer.path);
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        // Behind the wall time: what was told of 299 images stays.
        assert_eq!(records[1][9..], [0x10, 0xac, 0x02, 0x3a, 2, 0x08, 1]);
        // After the wall time: step 300, then the summary with its one value.
        let expected = [
            &[0x10, 0xac, 0x02, 0x2a, 15, 0x0a, 13, 0x0a, 6][..],
            b"loss/G",
            &[0x15],
            &0.5f32.to_le_bytes(),
        ];
        assert_eq!(records[2][9..], expected.concat());
    }
}
