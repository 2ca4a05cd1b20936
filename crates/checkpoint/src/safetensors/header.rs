//! Header of a safetensors file.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::clean;
use crate::{Bytes, Dtype, Problem, TensorData};

/// What the reference implementation allows.
const LONGEST: u64 = 100_000_000;

#[derive(Debug, Default)]
pub(super) struct Header {
    pub metadata: BTreeMap<String, String>,
    pub tensors: BTreeMap<String, Info>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// The header, and the bytes after it.
pub(super) fn split(bytes: &Bytes) -> Result<(Header, Bytes), Problem> {
    let have = bytes.len() as u64;
    let Some((length, _)) = bytes.split_first_chunk::<8>() else {
        return Err(Problem::truncated("safetensors header length", 8, have));
    };
    let length = u64::from_le_bytes(*length);
    if length > have - 8 {
        return Err(Problem::truncated("safetensors header", length, have - 8));
    }
    if length > LONGEST {
        let what = "safetensors header".to_owned();
        return Err(Problem::TooMuch {
            what,
            need: length,
            limit: LONGEST,
            unit: "bytes",
        });
    }
    let end = 8 + usize::try_from(length).unwrap_or(usize::MAX);
    let (text, data) = (bytes.slice(8..end), bytes.slice(end..bytes.len()));
    let (text, data) = text
        .zip(data)
        .ok_or_else(|| Problem::truncated("header", length, have))?;
    let header = serde_json::from_slice(&text)
        .map_err(|error| Problem::malformed("safetensors header", clean(&error.to_string())))?;
    Ok((header, data))
}

/// Every byte must belong to exactly one tensor.
pub(super) fn check_coverage(tensors: &BTreeMap<String, Info>, len: usize) -> Result<(), Problem> {
    let mut ranges: Vec<_> = tensors
        .iter()
        .map(|(name, info)| (info.data_offsets, name))
        .collect();
    ranges.sort_unstable();
    let mut at = 0;
    for ([start, end], name) in ranges {
        let what = || format!("tensor {}", clean(name));
        if start > end {
            return Err(Problem::malformed(
                what(),
                format!("ends at {end}, before its start {start}"),
            ));
        }
        if end > len as u64 {
            return Err(Problem::truncated(what(), end, len as u64));
        }
        if start != at {
            return Err(Problem::malformed(
                what(),
                format!("starts at byte {start}, but the tensor before it ends at {at}"),
            ));
        }
        at = end;
    }
    if at != len as u64 {
        let reason = format!("{} bytes belong to no tensor", len as u64 - at);
        return Err(Problem::malformed("safetensors data", reason));
    }
    Ok(())
}

impl Info {
    /// The tensor, once [`check_coverage`] has passed.
    pub fn tensor(self, name: &str, data: &Bytes) -> Result<TensorData, Problem> {
        let what = format!("tensor {}", clean(name));
        let Some(dtype) = Dtype::from_safetensors_name(&self.dtype) else {
            let (found, expected) = (clean(&self.dtype), Dtype::safetensors_names());
            return Err(Problem::Dtype {
                what,
                found,
                expected,
            });
        };
        let wrong = |reason: String| Problem::malformed(what.clone(), reason);
        let sizes = self.shape.iter().map(|&n| usize::try_from(n));
        let shape: Vec<usize> = sizes
            .collect::<Result<_, _>>()
            .map_err(|_| wrong("a size is too large".to_owned()))?;
        let need = crate::view::byte_len(dtype, &shape)?;
        let range = self
            .data_offsets
            .map(|offset| usize::try_from(offset).unwrap_or(usize::MAX));
        let bytes = data.slice(range[0]..range[1]);
        let bytes = bytes.ok_or_else(|| wrong("lies outside the file".to_owned()))?;
        if bytes.len() != need {
            let have = bytes.len();
            return Err(wrong(format!(
                "holds {have} bytes, but {dtype} {shape:?} needs {need}"
            )));
        }
        TensorData::new(dtype, shape, bytes).map_err(|error| wrong(error.to_string()))
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                let mut has_metadata = false;
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if std::mem::replace(&mut has_metadata, true) {
                            return Err(A::Error::custom("__metadata__ is there twice"));
                        }
                        header.metadata = map.next_value::<Unique>()?.0;
                        continue;
                    }
                    match header.tensors.entry(name) {
                        Entry::Vacant(slot) => {
                            slot.insert(map.next_value()?);
                        }
                        Entry::Occupied(slot) => {
                            let name = clean(slot.key());
                            return Err(A::Error::custom(format!("{name:?} is there twice")));
                        }
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Texts by name, no name twice.
struct Unique(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut out = BTreeMap::new();
                while let Some((name, text)) = map.next_entry::<String, String>()? {
                    if out.contains_key(&name) {
                        return Err(A::Error::custom(format!(
                            "{:?} is there twice",
                            clean(&name)
                        )));
                    }
                    out.insert(name, text);
                }
                Ok(Unique(out))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
