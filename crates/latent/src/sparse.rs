//! Rows of which most numbers are zero, as a file holds them: the others, and where they stand.
//!
//! The rows of all layers follow each other in the order of their names. `expansion.sparse.at: [k]` are the places of those
//! that are not zero, rising, and `expansion.sparse.values: [k]` what stands there; the JSON has the length of each row.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value as Json, json};

use crate::expansion::Rows;
use crate::{Error, Result};

const AT: &str = "expansion.sparse.at";
const VALUES: &str = "expansion.sparse.values";

/// More styles than any generator has.
const LARGEST: usize = 1 << 20;

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Sparse {
    lengths: BTreeMap<String, usize>,
    at: Vec<u32>,
    values: Vec<f32>,
}

impl Sparse {
    /// Of rows `[channels]` in single precision; `None` where whole rows take less space.
    pub fn of(rows: &Rows) -> Result<Option<Self>> {
        if rows.values().any(|row| row.dtype() != DType::F32) {
            return Ok(None);
        }
        let mut lengths = BTreeMap::new();
        let (mut at, mut values) = (Vec::new(), Vec::new());
        let mut total = 0;
        for (layer, row) in rows {
            let row = row.to_vec1::<f32>()?;
            for (place, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                at.push((total + place) as u32);
                values.push(*value);
            }
            total += row.len();
            lengths.insert(layer.clone(), row.len());
        }
        let is_shorter = 2 * values.len() < total && total <= LARGEST;
        Ok(is_shorter.then_some(Self {
            lengths,
            at,
            values,
        }))
    }

    /// How many are not zero.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The whole rows.
    fn rows(&self) -> Result<Rows> {
        let total: usize = self.lengths.values().sum();
        let mut all = vec![0f32; total];
        let mut places = self.at.iter().map(|at| *at as usize).peekable();
        let mut values = self.values.iter();
        while let (Some(place), Some(value)) = (places.next(), values.next()) {
            if place >= total || places.peek().is_some_and(|next| *next <= place) {
                let expected = format!("rising places below {total}");
                return Err(Error::setting(AT, place, expected));
            }
            all[place] = *value;
        }
        let mut rest = &all[..];
        let mut rows = Rows::new();
        for (layer, length) in &self.lengths {
            let (own, after) = rest.split_at(*length);
            rest = after;
            rows.insert(layer.clone(), Tensor::new(own, &Device::Cpu)?);
        }
        Ok(rows)
    }

    /// What a file says of them.
    pub fn to_json(&self) -> Json {
        json!(self.lengths)
    }

    /// The tensors of a file, by name.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        Ok(vec![
            (AT.to_owned(), Tensor::new(&self.at[..], &Device::Cpu)?),
            (
                VALUES.to_owned(),
                Tensor::new(&self.values[..], &Device::Cpu)?,
            ),
        ])
    }

    /// The rows that a file holds so.
    pub fn read<E: From<Error>>(
        json: &Json,
        tensor: impl Fn(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Rows, E> {
        let lengths: BTreeMap<String, usize> = serde_json::from_value(json.clone())
            .map_err(|error| Error::setting("sparse", error, "the length of each row"))?;
        let total = lengths
            .values()
            .try_fold(0_usize, |sum, n| sum.checked_add(*n));
        if total.is_none_or(|total| total > LARGEST) {
            let expected = format!("{LARGEST} numbers at most");
            return Err(Error::setting("sparse", json, expected).into());
        }
        let (at, values) = (tensor(AT)?, tensor(VALUES)?);
        let read = || -> Result<Rows> {
            if at.dims() != values.dims() || at.rank() != 1 || at.dtype() != DType::U32 {
                let expected = format!("whole numbers of shape {:?}, one axis", values.dims());
                return Err(Error::shape(AT, expected, at.dims()));
            }
            let values = values.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            let sparse = Self {
                lengths,
                at: at.to_device(&Device::Cpu)?.to_vec1()?,
                values: values.to_vec1()?,
            };
            sparse.rows()
        };
        Ok(read()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[&[f32]]) -> Rows {
        let row = |(at, values): (usize, &&[f32])| {
            let row = Tensor::new(*values, &Device::Cpu).unwrap();
            (format!("layer {at}"), row)
        };
        values.iter().enumerate().map(row).collect()
    }

    fn back(stored: &Sparse, json: &Json, at: Option<&[u32]>) -> Result<Rows> {
        let tensors: BTreeMap<String, Tensor> = stored.tensors()?.into_iter().collect();
        Sparse::read::<Error>(json, |name| match at.filter(|_| name == AT) {
            Some(at) => Ok(Tensor::new(at, &Device::Cpu)?),
            None => Ok(tensors[name].clone()),
        })
    }

    #[test]
    fn what_was_stored_comes_back() {
        let dense = rows(&[&[0.0, 0.0, 2.5], &[0.0, -1.0, 0.0, 0.0]]);
        let sparse = Sparse::of(&dense).unwrap().unwrap();
        assert_eq!(sparse.count(), 2);
        let found = back(&sparse, &sparse.to_json(), None).unwrap();
        for (layer, row) in &dense {
            let values = |row: &Tensor| row.to_vec1::<f32>().unwrap();
            assert_eq!(values(&found[layer]), values(row), "{layer}");
        }
    }

    #[test]
    fn rows_that_are_half_full_stay_whole() {
        assert!(Sparse::of(&rows(&[&[1.0, 0.0]])).unwrap().is_none());
    }

    #[test]
    fn places_and_lengths_that_lie_are_refused() {
        let sparse = Sparse::of(&rows(&[&[0.0, 0.0, 2.5, 0.0, 1.0]]))
            .unwrap()
            .unwrap();
        let json = sparse.to_json();
        for wrong in [&[2, 5][..], &[4, 2], &[2, 2], &[2]] {
            assert!(back(&sparse, &json, Some(wrong)).is_err(), "{wrong:?}");
        }
        let many = json!({ "layer 0": u32::MAX, "layer 1": 3 });
        let message = back(&sparse, &many, None).unwrap_err().to_string();
        assert!(message.contains("at most"), "{message}");
    }
}
