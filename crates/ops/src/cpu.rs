//! From candle's CPU storage to slices and back.

use std::mem::MaybeUninit;

use candle_core::{
    CpuStorage, DType, Error, Layout, Result, Storage, StorageRef, Tensor, WithDType,
    backend::BackendStorage,
};
use domex_kernels::Float;
use rayon::prelude::*;

/// The element types with kernels of their own.
pub(crate) trait Element: Float + WithDType {
    /// The elements of a storage of this type, to be written.
    fn elements_mut(s: &mut CpuStorage) -> Option<&mut [Self]>;
}

impl Element for f32 {
    fn elements_mut(s: &mut CpuStorage) -> Option<&mut [Self]> {
        match s {
            CpuStorage::F32(elements) => Some(elements),
            _ => None,
        }
    }
}

impl Element for f64 {
    fn elements_mut(s: &mut CpuStorage) -> Option<&mut [Self]> {
        match s {
            CpuStorage::F64(elements) => Some(elements),
            _ => None,
        }
    }
}

/// Runs `$body` with `$T` as the element type of the storage `$s`.
macro_rules! by_dtype {
    ($s:expr, $op:expr, $T:ident => $body:expr) => {
        match candle_core::backend::BackendStorage::dtype($s) {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $op)),
        }
    };
}
pub(crate) use by_dtype;

/// The elements of a contiguous operand.
pub(crate) fn slice<'a, T: Element>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [T]> {
    let (start, end) = l
        .contiguous_offsets()
        .ok_or(Error::RequiresContiguous { op: "domex-ops" })?;
    Ok(&T::cpu_storage_as_slice(s)?[start..end])
}

/// The elements of a contiguous operand that is written in place.
pub(crate) fn slice_mut<'a, T: Element>(s: &'a mut CpuStorage, l: &Layout) -> Result<&'a mut [T]> {
    let (start, end) = l
        .contiguous_offsets()
        .ok_or(Error::RequiresContiguous { op: "domex-ops" })?;
    let dtype = s.dtype();
    T::elements_mut(s)
        .map(|all| &mut all[start..end])
        .ok_or(Error::UnsupportedDTypeForOp(dtype, "domex-ops"))
}

/// The elements from the operand's first one on; its strides say where the others are.
pub(crate) fn strided<'a, T: Element>(s: &'a CpuStorage, l: &Layout) -> Result<&'a [T]> {
    Ok(&T::cpu_storage_as_slice(s)?[l.start_offset()..])
}

/// `len` zeros, to be written over. Those of large maps are cleared by all threads: one alone, which the others wait for, took a
/// fourteenth of a training step.
pub(crate) fn zeros<T: Element>(len: usize) -> Vec<T> {
    /// Elements that one thread clears at a time.
    const PART: usize = 1 << 18;
    if len <= PART {
        return vec![T::default(); len];
    }
    let mut data = Vec::with_capacity(len);
    let room = &mut data.spare_capacity_mut()[..len];
    room.par_chunks_mut(PART).for_each(|part| {
        part.fill(MaybeUninit::new(T::default()));
    });
    // SAFETY: the first `len` elements were written just now.
    unsafe { data.set_len(len) };
    data
}

/// A new storage of `len` elements that `fill` writes.
pub(crate) fn filled<T: Element>(
    len: usize,
    fill: impl FnOnce(&mut [T]) -> domex_kernels::Result<()>,
) -> Result<CpuStorage> {
    let mut data = zeros(len);
    fill(&mut data).map_err(Error::wrap)?;
    Ok(T::to_cpu_storage_owned(data))
}

/// A copy of a contiguous operand of any type.
pub(crate) fn copy(s: &CpuStorage, l: &Layout) -> Result<CpuStorage> {
    fn typed<T: WithDType>(s: &CpuStorage, l: &Layout) -> Result<CpuStorage> {
        let (start, end) = l
            .contiguous_offsets()
            .ok_or(Error::RequiresContiguous { op: "domex-ops" })?;
        Ok(T::to_cpu_storage_owned(
            T::cpu_storage_as_slice(s)?[start..end].to_vec(),
        ))
    }
    match s.dtype() {
        DType::F32 => typed::<f32>(s, l),
        DType::F64 => typed::<f64>(s, l),
        DType::F16 => typed::<half::f16>(s, l),
        DType::BF16 => typed::<half::bf16>(s, l),
        other => Err(Error::UnsupportedDTypeForOp(other, "copy")),
    }
}

/// A tensor whose storage is borrowed: for operands that an operator has captured, and in a backward pass.
pub(crate) struct Borrowed<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Borrowed<'a> {
    pub(crate) fn new(t: &'a Tensor) -> Self {
        let (storage, layout) = t.storage_and_layout();
        Self { storage, layout }
    }

    /// The storage, which must be the CPU's.
    pub(crate) fn storage(&self) -> Result<&CpuStorage> {
        match &*self.storage {
            Storage::Cpu(s) => Ok(s),
            _ => Err(Error::msg(
                "an operand left the CPU between forward and backward",
            )),
        }
    }

    /// Storage and layout, which must be a CUDA device's.
    #[cfg(feature = "cuda")]
    pub(crate) fn cuda(&self) -> Result<(&candle_core::CudaStorage, &Layout)> {
        match &*self.storage {
            Storage::Cuda(s) => Ok((s, self.layout)),
            _ => Err(Error::msg(
                "an operand left the device between forward and backward",
            )),
        }
    }

    /// The elements of a contiguous tensor.
    pub(crate) fn slice<T: Element>(&self) -> Result<&[T]> {
        slice(self.storage()?, self.layout)
    }
}
