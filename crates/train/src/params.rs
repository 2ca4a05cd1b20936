//! The variables that a run trains, by name.
//!
//! An order is needed wherever parameters are walked over (optimizer, average, snapshot), so that two runs add and
//! write the same numbers in the same order: it is the order of the names.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor, Var};

use crate::{Error, Result};

/// Variables by name, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    vars: BTreeMap<String, Var>,
}

impl Parameters {
    /// These variables. Clones share their storage: a write through one is seen by all.
    pub fn new(vars: BTreeMap<String, Var>) -> Self {
        Self { vars }
    }

    /// A copy of every tensor as a new variable.
    ///
    /// # Errors
    ///
    /// When memory runs out.
    pub fn copy_of(tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let copy = |(name, tensor): (&String, &Tensor)| {
            Ok((name.clone(), Var::from_tensor(&tensor.detach().copy()?)?))
        };
        Ok(Self::new(tensors.iter().map(copy).collect::<Result<_>>()?))
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.vars.get(name)
    }

    /// Names and variables, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Var)> {
        self.vars.iter().map(|(name, var)| (name.as_str(), var))
    }

    /// Number of variables.
    pub fn len(&self) -> usize {
        self.vars.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty()
    }

    /// Number of elements in all variables.
    pub fn count(&self) -> usize {
        self.vars.values().map(|var| var.elem_count()).sum()
    }

    /// The variables as constants that share their storage: no gradient is computed for them, and they follow every
    /// write. This is what a frozen network is built on.
    pub fn frozen(&self) -> BTreeMap<String, Tensor> {
        let pairs = self.vars.iter();
        pairs
            .map(|(n, v)| (n.clone(), v.as_detached_tensor()))
            .collect()
    }

    /// Overwrites every variable. All names must be there, and no other.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] with the first name or shape that does not fit; then nothing was written.
    pub fn load(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        for (name, var) in &self.vars {
            match tensors.get(name) {
                Some(tensor) if tensor.dims() == var.dims() => {}
                other => {
                    let found = other.map_or("nothing".to_string(), |t| format!("{:?}", t.dims()));
                    let expected = format!("a tensor {:?}", var.dims());
                    return Err(Error::setting(format!("parameter {name}"), found, expected));
                }
            }
        }
        if let Some(name) = tensors.keys().find(|name| !self.vars.contains_key(*name)) {
            let expected = "no parameter of that name";
            return Err(Error::setting(
                format!("parameter {name}"),
                "a tensor",
                expected,
            ));
        }
        for (name, var) in &self.vars {
            let tensor = tensors[name].to_device(var.device())?;
            // A copy: the tensor may be a view of the variable itself.
            var.set(&tensor.to_dtype(var.dtype())?.copy()?)?;
        }
        Ok(())
    }
}

/// Whether no element is NaN or infinite. The sum of the elements may overflow where none does; that of their products with zero is NaN
/// exactly where one is not finite, and all that a device sends back.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool> {
    use candle_core::{CpuStorage, Storage};
    use rayon::prelude::*;

    let tensor = tensor.detach();
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(CpuStorage::F32(values)), Some((from, to))) =
        (&*storage, layout.contiguous_offsets())
    {
        // The exponent is all ones in NaN and infinity; the loop has no branch, so it runs on vectors.
        let fine = |part: &[f32]| {
            let worst = part.iter().fold(0, |w, v| w.max(v.to_bits() & 0x7fff_ffff));
            worst < 0x7f80_0000
        };
        return Ok(values[from..to].par_chunks(1 << 15).all(fine));
    }
    drop(storage);
    // By rows first: a device sums all of a tensor in one block.
    let row = 1 << tensor.elem_count().trailing_zeros().min(10);
    let sums = (tensor * 0.0)?.reshape(((), row))?.sum(1)?;
    let sum = sums.sum_all()?.to_dtype(DType::F64)?;
    Ok(sum.to_scalar::<f64>()?.is_finite())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn pair() -> Parameters {
        let var = |values: &[f32]| Var::new(values, &Device::Cpu).unwrap();
        Parameters::new(BTreeMap::from([
            ("b".to_string(), var(&[1.0, 2.0])),
            ("a".to_string(), var(&[3.0])),
        ]))
    }

    #[test]
    fn order_count_and_frozen_views() {
        let parameters = pair();
        let names: Vec<_> = parameters.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(parameters.count(), 3);
        let frozen = parameters.frozen();
        assert!(!frozen["b"].track_op());
        let b = parameters.get("b").unwrap();
        b.set(&Tensor::new(&[7f32, 8.0], &Device::Cpu).unwrap())
            .unwrap();
        assert_eq!(frozen["b"].to_vec1::<f32>().unwrap(), [7.0, 8.0]);
    }

    #[test]
    fn loading_is_all_or_nothing() {
        let parameters = pair();
        let mut tensors = parameters.frozen();
        tensors.insert("b".into(), Tensor::new(&[1f32], &Device::Cpu).unwrap());
        let error = parameters.load(&tensors).unwrap_err().to_string();
        assert!(error.contains("parameter b"), "{error}");
        tensors.remove("b");
        assert!(parameters.load(&tensors).is_err());
        tensors.insert("b".into(), Tensor::new(&[5f32, 6.0], &Device::Cpu).unwrap());
        tensors.insert("c".into(), Tensor::new(&[5f32], &Device::Cpu).unwrap());
        assert!(parameters.load(&tensors).is_err());
        tensors.remove("c");
        parameters.load(&tensors).unwrap();
        let b = parameters.get("b").unwrap();
        assert_eq!(b.to_vec1::<f32>().unwrap(), [5.0, 6.0]);
    }

    #[test]
    fn every_type_and_length_is_looked_through() {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            for len in [1, 3, 2048, 3072] {
                // The largest numbers of half precision: their sum overflows there.
                let mut values = vec![65504f64; len];
                let tensor = |values: &[f64]| {
                    let tensor = Tensor::new(values, &Device::Cpu).unwrap();
                    tensor.to_dtype(dtype).unwrap()
                };
                assert!(is_finite(&tensor(&values)).unwrap(), "{dtype:?} {len}");
                for bad in [f64::NAN, f64::NEG_INFINITY] {
                    values[len - 1] = bad;
                    assert!(
                        !is_finite(&tensor(&values)).unwrap(),
                        "{dtype:?} {len} {bad}"
                    );
                }
            }
        }
    }
}
