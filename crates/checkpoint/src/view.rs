//! Elements of a storage picked out by strides and an offset, with every bound checked.

use crate::{Bytes, Dtype, Problem, TensorData};

/// Elements picked out of a storage: strides and offset count elements, strides may be negative.
pub(crate) struct View {
    pub shape: Vec<usize>,
    pub strides: Vec<i64>,
    pub offset: i64,
}

impl View {
    /// Bytes that the picked elements take, repeated ones counted each time.
    pub fn byte_len(&self, dtype: Dtype) -> Result<usize, Problem> {
        byte_len(dtype, &self.shape)
    }

    /// Whether the elements lie in the storage one after the other.
    pub fn is_contiguous(&self) -> bool {
        let expected = row_major(&self.shape);
        let sizes = self.shape.iter().zip(self.strides.iter().zip(&expected));
        self.shape.contains(&0) || sizes.into_iter().all(|(&n, (s, e))| n == 1 || s == e)
    }

    /// Makes the tensor: without copying where the elements are contiguous.
    pub fn gather(&self, dtype: Dtype, storage: &Bytes) -> Result<TensorData, Problem> {
        let len = self.byte_len(dtype)?;
        self.check_bounds(dtype, storage.len())?;
        let shape = self.shape.clone();
        if len == 0 {
            return Ok(TensorData::from_parts(dtype, shape, Vec::new().into()));
        }
        let size = dtype.size();
        if self.is_contiguous() {
            // In bounds and not negative: checked above.
            let start = usize::try_from(self.offset).unwrap_or(0) * size;
            if let Some(bytes) = storage.slice(start..start + len) {
                return Ok(TensorData::from_parts(dtype, shape, bytes));
            }
        }
        let mut out = Vec::with_capacity(len);
        let mut index = vec![0usize; shape.len()];
        let mut at = self.offset;
        for _ in 0..len / size {
            let start = usize::try_from(at).unwrap_or(0) * size;
            out.extend_from_slice(&storage[start..start + size]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at = at.wrapping_add(self.strides[axis]); // a dimension of size 1 may have any stride
                if index[axis] < shape[axis] {
                    break;
                }
                at = at.wrapping_sub(self.strides[axis].wrapping_mul(shape[axis] as i64));
                index[axis] = 0;
            }
        }
        Ok(TensorData::from_parts(dtype, shape, out.into()))
    }

    /// The lowest and the highest element must lie in the storage.
    fn check_bounds(&self, dtype: Dtype, storage: usize) -> Result<(), Problem> {
        if self.shape.contains(&0) {
            return Ok(());
        }
        let (mut low, mut high) = (i128::from(self.offset), i128::from(self.offset));
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (size as i128 - 1) * i128::from(stride);
            if reach < 0 {
                low += reach;
            } else {
                high += reach;
            }
        }
        let elements = (storage / dtype.size()) as i128;
        if self.shape.len() == self.strides.len() && low >= 0 && high < elements {
            return Ok(());
        }
        Err(Problem::malformed(
            format!("tensor {dtype} {:?}", Short(&self.shape)),
            format!(
                "offset {} and strides {:?} reach outside its storage of {elements} elements",
                self.offset,
                Short(&self.strides)
            ),
        ))
    }
}

/// At most eight entries, so that a message stays short.
struct Short<'a, T>(&'a [T]);

impl<T: std::fmt::Debug> std::fmt::Debug for Short<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = f.debug_list();
        list.entries(self.0.iter().take(8));
        if self.0.len() > 8 {
            list.finish_non_exhaustive()
        } else {
            list.finish()
        }
    }
}

/// Strides of a row-major tensor, in elements.
pub(crate) fn row_major(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis] as i64);
    }
    strides
}

/// More dimensions than any framework allows.
const MOST_DIMENSIONS: usize = 64;

/// Bytes of a tensor, checked against overflow.
pub(crate) fn byte_len(dtype: Dtype, shape: &[usize]) -> Result<usize, Problem> {
    if shape.len() > MOST_DIMENSIONS {
        return Err(Problem::malformed(
            format!("tensor {dtype}"),
            format!(
                "has {} dimensions, expected at most {MOST_DIMENSIONS}",
                shape.len()
            ),
        ));
    }
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(dtype.size(), |len, &n| len.checked_mul(n))
        .filter(|&len| i64::try_from(len).is_ok())
        .ok_or_else(|| {
            Problem::malformed(
                format!("tensor {dtype} {:?}", Short(shape)),
                "the shape's product does not fit in memory",
            )
        })
}
