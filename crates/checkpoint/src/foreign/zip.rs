//! The torch zip container: `<name>/data.pkl`, one record `<name>/data/<key>` per storage, and
//! `<name>/byteorder`. An archive with none of these but with `.npy` records is NumPy's
//! ([`npy`]). Records are stored uncompressed and used in place; compressed ones (of a
//! file that was packed again) are unpacked within the budget. Record names are only compared,
//! never used as paths. Source: `_save` and `_load` in `torch/serialization.py`.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use ::zip::{CompressionMethod, ZipArchive};

use super::numpy::swapped;
use super::resolve::{self, Result, Storages};
use super::torch::StorageId;
use super::{Format, npy};
use crate::budget::Budget;
use crate::{Bytes, Problem, Value, pickle};

/// Reads a whole file, of torch or of NumPy.
pub(super) fn read(bytes: &Bytes, budget: &mut Budget) -> Result<(Format, Value)> {
    let archive =
        ZipArchive::new(Cursor::new(bytes.clone())).map_err(|e| bad("zip archive", &e))?;
    if archive.metadata().has_duplicate_names() {
        return Err(Problem::malformed(
            "zip archive",
            "two records have the same name",
        ));
    }
    let prefix = prefix(&archive)?;
    let is_torch = prefix.is_some();
    let arrays = archive.file_names_raw().any(|name| name.ends_with(b".npy"));
    let mut records = Records {
        prefix: prefix.unwrap_or_default(),
        bytes: bytes.clone(),
        archive,
        big_endian: false,
        loaded: HashMap::new(),
    };
    if !is_torch && arrays {
        return Ok((Format::NumPy, npy::read_archive(records, budget)?));
    }
    if !is_torch {
        return Err(Problem::Missing {
            what: "record",
            name: "data.pkl".to_owned(),
            hint: "this zip archive is neither a torch file nor one of NumPy arrays".to_owned(),
        });
    }
    let byteorder = format!("{}byteorder", records.prefix);
    if records.archive.index_for_name(&byteorder).is_some() {
        let order = records.record(&byteorder, budget)?;
        records.big_endian = match order.trim_ascii() {
            b"little" => false,
            b"big" => true,
            other => {
                let found = crate::error::clean(&String::from_utf8_lossy(other));
                return Err(Problem::malformed(
                    "byteorder",
                    format!("{found:?}, expected little or big"),
                ));
            }
        };
    }
    let source = records.record(&format!("{}data.pkl", records.prefix), budget)?;
    let program = pickle::run(&source, budget)?;
    let value = resolve::value(&source, &program, &mut records, budget)?;
    Ok((Format::TorchZip, value))
}

/// What stands before `data.pkl`, slash included; `None` without such a record.
fn prefix(archive: &ZipArchive<Cursor<Bytes>>) -> Result<Option<String>> {
    let mut found = None;
    for name in archive.file_names_raw() {
        let Some(prefix) = name.strip_suffix(b"data.pkl") else {
            continue;
        };
        if !(prefix.is_empty() || prefix.ends_with(b"/")) {
            continue;
        }
        let prefix = std::str::from_utf8(prefix)
            .map_err(|_| Problem::malformed("zip archive", "a record name is not UTF-8"))?;
        if found.replace(prefix.to_owned()).is_some() {
            return Err(Problem::Duplicate {
                what: "record",
                name: "data.pkl".to_owned(),
            });
        }
    }
    Ok(found)
}

/// The records of an archive.
pub(super) struct Records {
    archive: ZipArchive<Cursor<Bytes>>,
    bytes: Bytes,
    prefix: String,
    big_endian: bool,
    /// Storages that were checked already.
    loaded: HashMap<String, Bytes>,
}

impl Records {
    /// The names of all records, sorted.
    pub fn names(&self) -> Result<Vec<String>> {
        let names = self.archive.file_names_raw().map(|name| {
            let name = std::str::from_utf8(name).map(str::to_owned);
            name.map_err(|_| Problem::malformed("zip archive", "a record name is not UTF-8"))
        });
        let mut names = names.collect::<Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    /// The content of a record, its checksum verified.
    pub fn record(&mut self, name: &str, budget: &mut Budget) -> Result<Bytes> {
        let what = || format!("record {}", crate::error::clean(name));
        let Some(index) = self.archive.index_for_name(name) else {
            return Err(Problem::Missing {
                what: "record",
                name: crate::error::clean(name),
                hint: "the object refers to it".to_owned(),
            });
        };
        let mut entry = self.archive.by_index(index).map_err(|e| bad(what(), &e))?;
        if entry.compression() == CompressionMethod::Stored {
            let len = usize::try_from(entry.size()).ok();
            let start = entry
                .data_start()
                .and_then(|start| usize::try_from(start).ok());
            let range = start
                .zip(len)
                .and_then(|(start, len)| Some(start..start.checked_add(len)?));
            let window = range.and_then(|range| self.bytes.slice(range));
            let window = window
                .ok_or_else(|| Problem::truncated(what(), entry.size(), self.bytes.len() as u64))?;
            let read = std::io::copy(&mut entry, &mut std::io::sink());
            let read = read.map_err(|e| bad(what(), &e))?;
            if read != window.len() as u64 {
                return Err(Problem::truncated(what(), window.len() as u64, read));
            }
            return Ok(window);
        }
        budget.unpack(entry.size())?;
        let claimed = entry.size();
        let mut out = Vec::new();
        // One byte more than claimed, to notice a record that is longer than it says.
        entry
            .by_ref()
            .take(claimed + 1)
            .read_to_end(&mut out)
            .map_err(|e| bad(what(), &e))?;
        if out.len() as u64 != claimed {
            return Err(Problem::malformed(
                what(),
                format!("does not unpack to its {claimed} bytes"),
            ));
        }
        Ok(out.into())
    }
}

impl Storages for Records {
    fn load(&mut self, id: &StorageId, budget: &mut Budget) -> Option<Result<Bytes>> {
        if let Some(bytes) = self.loaded.get(&id.key) {
            return Some(exact(id, bytes));
        }
        let name = format!("{}data/{}", self.prefix, id.key);
        Some(self.record(&name, budget).and_then(|mut bytes| {
            let size = id.dtype.size();
            if self.big_endian && size > 1 {
                budget.tensor(bytes.len())?;
                bytes = swapped(&bytes, size);
            }
            budget.memory(2 * (id.key.len() + size_of::<(String, Bytes)>()))?;
            self.loaded.insert(id.key.clone(), bytes.clone());
            exact(id, &bytes)
        }))
    }
}

fn exact(id: &StorageId, bytes: &Bytes) -> Result<Bytes> {
    let need = id.byte_len()?;
    bytes.slice(0..need).ok_or_else(|| {
        let what = format!("storage {}", crate::error::clean(&id.key));
        Problem::truncated(what, need as u64, bytes.len() as u64)
    })
}

fn bad(what: impl Into<String>, error: &dyn std::error::Error) -> Problem {
    Problem::malformed(what, crate::error::clean(&error.to_string()))
}
