//! NumPy's own files: one array (`.npy`), and a zip archive of arrays by name (`.npz`).
//!
//! An array is `\x93NUMPY`, a version, the length of a header, the header (a Python dict as text:
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 18, 512), }`), then the elements.
//! Source: `numpy/lib/format.py`. Arrays of objects hold a pickle and are refused.

use super::numpy::{self, ElementType};
use super::resolve::Result;
use super::zip::Records;
use crate::budget::Budget;
use crate::{Bytes, Problem, TensorData, Value};

/// What an array begins with.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Reads one array.
pub(super) fn read(bytes: &Bytes, budget: &mut Budget) -> Result<Value> {
    array(bytes, budget).map(|tensor| Value::Tensor(tensor.into()))
}

/// Reads an archive: a dict of its arrays by their record's name without `.npy`. Other records are
/// left alone.
pub(super) fn read_archive(mut records: Records, budget: &mut Budget) -> Result<Value> {
    let mut entries = Vec::new();
    for record in records.names()? {
        let Some(name) = record.strip_suffix(".npy") else {
            continue;
        };
        let per_entry = 2 * size_of::<(Value, Value)>() + size_of::<TensorData>();
        budget.memory(per_entry + 2 * record.len())?;
        let bytes = records.record(&record, budget)?;
        let tensor = array(&bytes, budget).map_err(|problem| problem.within(name))?;
        entries.push((Value::Str(name.into()), Value::Tensor(tensor.into())));
    }
    Ok(Value::Dict(entries.into()))
}

fn array(bytes: &Bytes, budget: &mut Budget) -> Result<TensorData> {
    let (start, len) = header_place(bytes)?;
    let left = bytes.len().saturating_sub(start);
    let text = bytes
        .get(start..)
        .and_then(|rest| rest.get(..len))
        .ok_or_else(|| Problem::truncated("header of a NumPy array", len as u64, left as u64))?;
    let header = std::str::from_utf8(text).ok().and_then(Header::parse);
    let header = header.ok_or_else(|| {
        let found = crate::error::clean(&String::from_utf8_lossy(text));
        wrong(format!(
            "its header is {found}; expected a dict of descr (one plain type), fortran_order and shape"
        ))
    })?;
    let element = ElementType::parse(&header.descr, "=")?.ok_or_else(|| {
        let found = crate::error::clean(&header.descr);
        wrong(format!(
            "its type is {found:?}; expected numbers or truth values"
        ))
    })?;
    let view = numpy::view(header.shape, header.fortran);
    let need = view.byte_len(element.dtype)?;
    let data = bytes
        .slice(start + len..bytes.len())
        .unwrap_or(Vec::new().into());
    if data.len() != need {
        return Err(wrong(format!(
            "holds {} bytes, but its shape needs {need}",
            data.len()
        )));
    }
    budget.memory(view.shape.len() * size_of::<usize>())?;
    budget.tensor(need)?;
    view.gather(element.dtype, &element.little_endian(data, budget)?)
}

/// Where the header begins, and its length.
fn header_place(bytes: &[u8]) -> Result<(usize, usize)> {
    match *bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
            Ok((10, usize::from(u16::from_le_bytes([a, b]))))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, a, b, c, d, ..] => {
            Ok((12, u32::from_le_bytes([a, b, c, d]) as usize))
        }
        _ if bytes.starts_with(MAGIC) => Err(wrong(
            "its version is not 1, 2 or 3, or the file ends there".to_owned(),
        )),
        _ => Err(wrong("it does not begin with \\x93NUMPY".to_owned())),
    }
}

fn wrong(reason: String) -> Problem {
    Problem::malformed("NumPy array", reason)
}

struct Header {
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    /// `None` for anything but the three entries, in any order.
    fn parse(text: &str) -> Option<Self> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (code, after) = quoted(value)?;
                    descr = Some(code.to_owned());
                    after
                }
                "fortran_order" => {
                    fortran = Some(value.starts_with("True"));
                    value
                        .strip_prefix("True")
                        .or_else(|| value.strip_prefix("False"))?
                }
                "shape" => {
                    let (sizes, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(tuple(sizes)?);
                    after
                }
                _ => return None,
            }
            .trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',')?.trim_start();
            }
        }
        Some(Self {
            descr: descr?,
            fortran: fortran?,
            shape: shape?,
        })
    }
}

/// A text between quotes at the start, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// The sizes of `1, 18, 512` or `7,`.
fn tuple(text: &str) -> Option<Vec<usize>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let sizes = text.strip_suffix(',').unwrap_or(text);
    sizes
        .split(',')
        .map(|size| size.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_three_entries_in_any_order_and_nothing_else() {
        let header = |text: &str| Header::parse(text).map(|h| (h.descr, h.fortran, h.shape));
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 18, 512), }   \n";
        assert_eq!(header(good), Some(("<f4".into(), false, vec![1, 18, 512])));
        let other = "{\"shape\":(7,),\"descr\":\"|u1\",\"fortran_order\":True}";
        assert_eq!(header(other), Some(("|u1".into(), true, vec![7])));
        let scalar = "{'descr': '>i8', 'fortran_order': False, 'shape': ()}";
        assert_eq!(header(scalar), Some((">i8".into(), false, Vec::new())));
        for bad in [
            "",
            "{}",
            "{'descr': '<f4', 'shape': (2,)}",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
            "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
        ] {
            assert_eq!(header(bad), None, "{bad}");
        }
    }
}
