//! Header of a safetensors file: the crate `safetensors` with limits around it.
//!
//! What an entry is, and how the entries must lie, is the crate's ([`TensorInfo`], [`Metadata`]). Its reader of
//! whole headers is not used: it takes the last of two tensors of one name, needs more than 32 bytes for a byte of a
//! hostile header, and does not say which tensor is wrong.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use safetensors::SafeTensorError;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use crate::error::{clean, clean_reason};
use crate::{Bytes, Dtype, Problem, TensorData};

/// What the crate allows.
const LONGEST: u64 = 100_000_000;

#[derive(Debug)]
pub(super) struct Header {
    pub metadata: BTreeMap<String, String>,
    /// In the order of their bytes.
    pub tensors: Vec<(String, TensorInfo)>,
}

/// The header, checked, and the bytes after it.
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
    let Entries(metadata, tensors) = serde_json::from_slice(&text).map_err(|error| {
        Problem::malformed("safetensors header", clean_reason(&error.to_string()))
    })?;
    let mut tensors: Vec<_> = tensors.into_iter().collect();
    // A stable sort: names stay sorted among tensors without bytes.
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    check(&tensors, data.len())?;
    Ok((Header { metadata, tensors }, data))
}

/// A tensor of a checked header.
pub(super) fn tensor(name: &str, info: TensorInfo, data: &Bytes) -> Result<TensorData, Problem> {
    let dtype = dtype(name, &info)?;
    // There may be more dimensions than we take.
    crate::view::byte_len(dtype, &info.shape).map_err(|problem| problem.within(name))?;
    let (start, end) = info.data_offsets;
    let outside = || Problem::truncated(format!("tensor {}", clean(name)), end as u64, 0);
    let bytes = data.slice(start..end).ok_or_else(outside)?;
    Ok(TensorData::from_parts(dtype, info.shape, bytes))
}

fn dtype(name: &str, info: &TensorInfo) -> Result<Dtype, Problem> {
    let found = info.dtype.to_string();
    Dtype::from_safetensors_name(&found).ok_or_else(|| Problem::Dtype {
        what: format!("tensor {}", clean(name)),
        found,
        expected: Dtype::safetensors_names(),
    })
}

/// Every byte must belong to exactly one tensor, whose shape needs as many.
fn check(tensors: &[(String, TensorInfo)], len: usize) -> Result<(), Problem> {
    let placed = Metadata::new(None, tensors.to_vec());
    let end = placed.map_err(|error| explain(tensors, &error))?.data_len();
    let outside = |(_, info): &&(String, TensorInfo)| info.data_offsets.1 > len;
    if let Some((name, info)) = tensors.iter().find(outside) {
        let what = format!("tensor {}", clean(name));
        let need = info.data_offsets.1 as u64;
        return Err(Problem::truncated(what, need, len as u64));
    }
    if end < len {
        let reason = format!("{} bytes belong to no tensor", len - end);
        return Err(Problem::malformed("safetensors data", reason));
    }
    Ok(())
}

/// Which tensor breaks the rules, and how.
fn explain(tensors: &[(String, TensorInfo)], error: &SafeTensorError) -> Problem {
    let mut at = 0;
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let wrong = |reason: String| Problem::malformed(format!("tensor {}", clean(name)), reason);
        if start > end {
            return wrong(format!("ends at {end}, before its start {start}"));
        }
        if start != at {
            return wrong(format!(
                "starts at byte {start}, but the tensor before it ends at {at}"
            ));
        }
        let need = dtype(name, info)
            .and_then(|dtype| Ok((dtype, crate::view::byte_len(dtype, &info.shape)?)));
        match need {
            Ok((_, need)) if need == end - start => at = end,
            Ok((dtype, need)) => {
                let (have, shape) = (end - start, &info.shape);
                return wrong(format!(
                    "holds {have} bytes, but {dtype} {shape:?} needs {need}"
                ));
            }
            Err(problem) => return problem.within(name),
        }
    }
    Problem::malformed("safetensors header", clean_reason(&error.to_string()))
}

/// Metadata and tensors of a header, no name twice.
struct Entries(BTreeMap<String, String>, BTreeMap<String, TensorInfo>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let (mut metadata, mut tensors) = (BTreeMap::new(), BTreeMap::new());
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        let Texts(texts) = map.next_value()?;
                        once(&mut metadata, name, texts)?;
                    } else {
                        let info = map.next_value().map_err(|error| {
                            A::Error::custom(format_args!("tensor {}: {error}", clean(&name)))
                        })?;
                        once(&mut tensors, name, info)?;
                    }
                }
                let texts = metadata.into_values().next();
                Ok(Entries(texts.unwrap_or_default(), tensors))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Texts by name, no name twice.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((name, text)) = map.next_entry()? {
                    once(&mut texts, name, text)?;
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

fn once<V, E: serde::de::Error>(
    map: &mut BTreeMap<String, V>,
    name: String,
    value: V,
) -> Result<(), E> {
    match map.entry(name) {
        Entry::Vacant(slot) => {
            slot.insert(value);
            Ok(())
        }
        Entry::Occupied(slot) => {
            let name = clean(slot.key());
            Err(E::custom(format_args!("{name:?} is there twice")))
        }
    }
}
