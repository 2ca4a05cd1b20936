//! A tensor as a file holds it: type, shape, contiguous little-endian bytes.

use std::path::Path;

use candle_core::{Device, Tensor};
use half::{bf16, f16};

use crate::view::{View, byte_len, row_major};
use crate::{Bytes, Dtype, Error, Problem, Result};

/// A contiguous tensor in row-major order. Cloning it copies no elements.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorData {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Bytes,
}

impl TensorData {
    /// Takes row-major elements.
    ///
    /// # Errors
    /// The length is not the product of the shape times the size of an element.
    pub fn new(dtype: Dtype, shape: Vec<usize>, bytes: impl Into<Bytes>) -> Result<Self> {
        let bytes = bytes.into();
        let need = byte_len(dtype, &shape)?;
        if need != bytes.len() {
            return Err(Problem::malformed(
                format!("tensor {dtype} {shape:?}"),
                format!("holds {} bytes, expected {need}", bytes.len()),
            )
            .into());
        }
        Ok(Self {
            dtype,
            shape,
            bytes,
        })
    }

    /// Parts whose lengths are known to agree.
    pub(crate) fn from_parts(dtype: Dtype, shape: Vec<usize>, bytes: Bytes) -> Self {
        Self {
            dtype,
            shape,
            bytes,
        }
    }

    /// Takes row-major 32-bit floats.
    ///
    /// # Errors
    /// The number of values is not the product of the shape.
    pub fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self> {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self::new(Dtype::F32, shape, bytes)
    }

    /// Copies a candle tensor.
    ///
    /// # Errors
    /// A type that files do not hold, or candle's own errors.
    pub fn from_tensor(tensor: &Tensor) -> Result<Self> {
        let dtype = Dtype::from_candle(tensor.dtype()).ok_or_else(|| Problem::Dtype {
            what: "tensor to store".to_owned(),
            found: format!("{:?}", tensor.dtype()),
            expected: Dtype::safetensors_names(),
        })?;
        let flat = tensor.flatten_all().map_err(candle)?;
        let bytes: Vec<u8> = match dtype {
            Dtype::Bool | Dtype::U8 => flat.to_vec1::<u8>().map_err(candle)?,
            Dtype::I16 => le(flat.to_vec1::<i16>(), i16::to_le_bytes)?,
            Dtype::I32 => le(flat.to_vec1::<i32>(), i32::to_le_bytes)?,
            Dtype::U32 => le(flat.to_vec1::<u32>(), u32::to_le_bytes)?,
            Dtype::I64 => le(flat.to_vec1::<i64>(), i64::to_le_bytes)?,
            Dtype::F16 => le(flat.to_vec1::<f16>(), f16::to_le_bytes)?,
            Dtype::BF16 => le(flat.to_vec1::<bf16>(), bf16::to_le_bytes)?,
            Dtype::F32 => le(flat.to_vec1::<f32>(), f32::to_le_bytes)?,
            Dtype::F64 => le(flat.to_vec1::<f64>(), f64::to_le_bytes)?,
            // `from_candle` never answers with these.
            Dtype::I8 | Dtype::U16 | Dtype::U64 => Vec::new(),
        };
        Self::new(dtype, tensor.dims().to_vec(), bytes)
    }

    /// The type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The size of each dimension; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements: row-major, little-endian.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The number of elements.
    pub fn elements(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Copies the elements into a candle tensor of the same type and shape. Booleans become
    /// `u8`; `i8` becomes `i16`, `u16` becomes `u32` and `u64` becomes `i64`, for candle has no
    /// such types.
    ///
    /// # Errors
    /// Candle's own (device memory), or a `u64` that does not fit.
    pub fn to_tensor(&self, device: &Device) -> Result<Tensor> {
        if let Some(dtype) = self.dtype.candle() {
            return Tensor::from_raw_buffer(&self.bytes, dtype, &self.shape, device)
                .map_err(candle);
        }
        let shape = self.shape.as_slice();
        match self.dtype {
            Dtype::I8 => {
                let wide: Vec<i16> = self
                    .bytes
                    .iter()
                    .map(|&b| i16::from(b.cast_signed()))
                    .collect();
                Tensor::from_vec(wide, shape, device).map_err(candle)
            }
            Dtype::U16 => {
                let wide = self.chunks(|b: [u8; 2]| u32::from(u16::from_le_bytes(b)));
                Tensor::from_vec(wide, shape, device).map_err(candle)
            }
            _ => {
                let wide = self.chunks(u64::from_le_bytes);
                let wide: std::result::Result<Vec<i64>, _> =
                    wide.into_iter().map(i64::try_from).collect();
                let wide =
                    wide.map_err(|_| Problem::malformed("tensor u64", "a value above 2^63"))?;
                Tensor::from_vec(wide, shape, device).map_err(candle)
            }
        }
    }

    /// The elements as 64-bit floats (rounded, for integers beyond 2^53).
    #[allow(clippy::cast_precision_loss)]
    pub fn to_f64_vec(&self) -> Vec<f64> {
        match self.dtype {
            Dtype::Bool | Dtype::U8 => self.chunks(|[b]: [u8; 1]| f64::from(b)),
            Dtype::I8 => self.chunks(|[b]: [u8; 1]| f64::from(b.cast_signed())),
            Dtype::U16 => self.chunks(|b| f64::from(u16::from_le_bytes(b))),
            Dtype::I16 => self.chunks(|b| f64::from(i16::from_le_bytes(b))),
            Dtype::U32 => self.chunks(|b| f64::from(u32::from_le_bytes(b))),
            Dtype::I32 => self.chunks(|b| f64::from(i32::from_le_bytes(b))),
            Dtype::U64 => self.chunks(|b| u64::from_le_bytes(b) as f64),
            Dtype::I64 => self.chunks(|b| i64::from_le_bytes(b) as f64),
            Dtype::F16 => self.chunks(|b| f16::from_le_bytes(b).to_f64()),
            Dtype::BF16 => self.chunks(|b| bf16::from_le_bytes(b).to_f64()),
            Dtype::F32 => self.chunks(|b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => self.chunks(f64::from_le_bytes),
        }
    }

    /// The elements as 64-bit integers, for integer types.
    ///
    /// # Errors
    /// A floating-point tensor, or a value that does not fit.
    pub fn to_i64_vec(&self) -> Result<Vec<i64>> {
        Ok(match self.dtype {
            Dtype::Bool | Dtype::U8 => self.chunks(|[b]: [u8; 1]| i64::from(b)),
            Dtype::I8 => self.chunks(|[b]: [u8; 1]| i64::from(b.cast_signed())),
            Dtype::U16 => self.chunks(|b| i64::from(u16::from_le_bytes(b))),
            Dtype::I16 => self.chunks(|b| i64::from(i16::from_le_bytes(b))),
            Dtype::U32 => self.chunks(|b| i64::from(u32::from_le_bytes(b))),
            Dtype::I32 => self.chunks(|b| i64::from(i32::from_le_bytes(b))),
            Dtype::I64 => self.chunks(i64::from_le_bytes),
            Dtype::U64 | Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => {
                return Err(Problem::Type {
                    expected: "a tensor of integers",
                    found: format!("a tensor of {}", self.dtype),
                }
                .into());
            }
        })
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// The products of the shapes differ.
    pub fn reshape(&self, shape: Vec<usize>) -> Result<Self> {
        Self::new(self.dtype, shape, self.bytes.clone())
    }

    /// The tensor with its dimensions in the order `axes`.
    ///
    /// # Errors
    /// `axes` is not a permutation of the dimensions.
    pub fn permute(&self, axes: &[usize]) -> Result<Self> {
        let mut seen = vec![false; self.shape.len()];
        for &axis in axes {
            match seen.get_mut(axis) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err(self.wrong_axes(axes)),
            }
        }
        if axes.len() != self.shape.len() {
            return Err(self.wrong_axes(axes));
        }
        let strides = row_major(&self.shape);
        let view = View {
            shape: axes.iter().map(|&a| self.shape[a]).collect(),
            strides: axes.iter().map(|&a| strides[a]).collect(),
            offset: 0,
        };
        Ok(view.gather(self.dtype, &self.bytes)?)
    }

    /// The tensor with the order of its elements reversed along each of `axes`.
    ///
    /// # Errors
    /// An axis that the tensor does not have.
    pub fn flip(&self, axes: &[usize]) -> Result<Self> {
        let mut strides = row_major(&self.shape);
        let mut offset = 0;
        for &axis in axes {
            let Some(&size) = self.shape.get(axis) else {
                return Err(self.wrong_axes(axes));
            };
            offset += strides[axis] * (size.max(1) as i64 - 1);
            strides[axis] = -strides[axis];
        }
        let view = View {
            shape: self.shape.clone(),
            strides,
            offset,
        };
        Ok(view.gather(self.dtype, &self.bytes)?)
    }

    /// The first element that is NaN or infinite: its position, and which of the two.
    pub fn first_not_finite(&self) -> Option<(usize, &'static str)> {
        fn find<const N: usize>(
            bytes: &[u8],
            class: impl Fn([u8; N]) -> (bool, bool),
        ) -> Option<(usize, &'static str)> {
            let (chunks, _) = bytes.as_chunks::<N>();
            let index = chunks.iter().position(|&c| !class(c).0)?;
            Some((index, if class(chunks[index]).1 { "NaN" } else { "inf" }))
        }
        let bytes = &self.bytes;
        match self.dtype {
            Dtype::F16 => find(bytes, |b| {
                (
                    f16::from_le_bytes(b).is_finite(),
                    f16::from_le_bytes(b).is_nan(),
                )
            }),
            Dtype::BF16 => find(bytes, |b| {
                (
                    bf16::from_le_bytes(b).is_finite(),
                    bf16::from_le_bytes(b).is_nan(),
                )
            }),
            Dtype::F32 => find(bytes, |b| {
                (
                    f32::from_le_bytes(b).is_finite(),
                    f32::from_le_bytes(b).is_nan(),
                )
            }),
            Dtype::F64 => find(bytes, |b| {
                (
                    f64::from_le_bytes(b).is_finite(),
                    f64::from_le_bytes(b).is_nan(),
                )
            }),
            _ => None,
        }
    }

    fn chunks<const N: usize, T>(&self, read: impl Fn([u8; N]) -> T) -> Vec<T> {
        let (chunks, _) = self.bytes.as_chunks::<N>();
        chunks.iter().map(|&chunk| read(chunk)).collect()
    }

    fn wrong_axes(&self, axes: &[usize]) -> Error {
        Problem::malformed(
            format!("axes {axes:?}"),
            format!("do not fit a tensor of shape {:?}", self.shape),
        )
        .into()
    }
}

/// Refuses weights that hold NaN or infinity, naming the first tensor that does.
///
/// Readers do not call this, so that a damaged file can still be looked at. Call it before
/// weights are used; leave out tensors that may hold infinities, such as attention masks.
///
/// # Errors
/// [`Problem::NotFinite`] with the file and the tensor's name.
pub fn check_finite<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a String, &'a TensorData)>,
) -> Result<()> {
    for (name, tensor) in tensors {
        if let Some((index, found)) = tensor.first_not_finite() {
            let tensor = crate::error::clean(name);
            return Err(Problem::NotFinite {
                tensor,
                index,
                found,
            }
            .in_file(path));
        }
    }
    Ok(())
}

fn le<T, const N: usize>(
    values: candle_core::Result<Vec<T>>,
    bytes: impl Fn(T) -> [u8; N],
) -> Result<Vec<u8>> {
    Ok(values
        .map_err(candle)?
        .into_iter()
        .flat_map(bytes)
        .collect())
}

#[allow(clippy::needless_pass_by_value)] // A function for `map_err`.
pub(crate) fn candle(error: candle_core::Error) -> Error {
    // Candle's errors may carry a backtrace on further lines.
    let text = error.to_string();
    Problem::malformed("candle", text.lines().next().unwrap_or_default()).into()
}
