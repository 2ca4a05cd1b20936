//! The element types of the kernels: f32, which has fast paths, and f64, which has the portable ones.

use std::any::TypeId;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// f32 or f64. Sealed: the kernels hand slices of it to typed code.
pub trait Float:
    num_traits::Float
    + num_traits::NumAssign
    + std::iter::Sum
    + Default
    + std::fmt::Debug
    + std::fmt::Display
    + Send
    + Sync
    + sealed::Sealed
    + 'static
{
    /// The nearest value of this type.
    fn of(value: f64) -> Self;
    /// The value as f64, without loss.
    fn wide(self) -> f64;
    /// `eˣ`: in f32 as vectorisable arithmetic within 2e-7, in f64 the library's.
    fn fast_exp(self) -> Self;
    /// The error function: in f32 within 7e-7, in f64 within 1e-14.
    fn fast_erf(self) -> Self;
}

impl Float for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn fast_exp(self) -> Self {
        crate::math::exp(self)
    }
    #[inline(always)]
    fn fast_erf(self) -> Self {
        crate::math::erf(self)
    }
}

impl Float for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
    fn fast_exp(self) -> Self {
        self.exp()
    }
    fn fast_erf(self) -> Self {
        crate::math::erf64(self)
    }
}

/// The slice as f32, if that is what it holds.
pub(crate) fn as_f32<T: Float>(slice: &[T]) -> Option<&[f32]> {
    if TypeId::of::<T>() != TypeId::of::<f32>() {
        return None;
    }
    // SAFETY: T is f32, so the slice has that layout, length and lifetime.
    Some(unsafe { std::slice::from_raw_parts(slice.as_ptr().cast(), slice.len()) })
}

/// The slice as mutable f32, if that is what it holds.
pub(crate) fn as_f32_mut<T: Float>(slice: &mut [T]) -> Option<&mut [f32]> {
    if TypeId::of::<T>() != TypeId::of::<f32>() {
        return None;
    }
    // SAFETY: T is f32, so the slice has that layout and length; it is borrowed for as long.
    Some(unsafe { std::slice::from_raw_parts_mut(slice.as_mut_ptr().cast(), slice.len()) })
}
