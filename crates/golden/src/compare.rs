//! How far a computed tensor is from the expected one.
//!
//! *absolute*: the largest `|got - want|` over the tensor's entries.
//! *relative*: that error divided by the largest `|want|` of the tensor. Where an area's page asks
//! for it, a tensor whose largest entry is below 1e-2 of the largest entry among the tensors of
//! its kind in the same file is measured against that floor instead: such tensors (the gradient of
//! a bias that cancels, say) can be pure rounding noise.
//!
//! Both errors have a bound, and both must hold. An entry that is not finite in one of the two
//! tensors and differs from the other is an infinite error.

use candle_core::{DType, Device, Tensor};

use crate::{
    Result,
    case::{Case, Kind},
};

/// Tensors below this share of their kind's largest entry are measured against the floor.
pub const FLOOR: f64 = 1e-2;

/// The largest errors that are accepted. Infinite where there is no bound of that sort.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Of the absolute error.
    pub abs: f64,
    /// Of the relative error.
    pub rel: f64,
}

impl Bound {
    /// Both bounds.
    #[must_use]
    pub const fn new(abs: f64, rel: f64) -> Self {
        Self { abs, rel }
    }

    /// A bound of the absolute error only.
    #[must_use]
    pub const fn abs(abs: f64) -> Self {
        Self {
            abs,
            rel: f64::INFINITY,
        }
    }

    /// A bound of the relative error only.
    #[must_use]
    pub const fn rel(rel: f64) -> Self {
        Self {
            abs: f64::INFINITY,
            rel,
        }
    }

    /// Equal to the last bit.
    pub const EXACT: Self = Self { abs: 0.0, rel: 0.0 };

    /// How much of the bound the errors use up: at most 1 is within. Never NaN.
    #[must_use]
    pub fn used(&self, error: Deviation) -> f64 {
        if error.abs.is_finite() {
            share(error.abs, self.abs).max(share(error.rel, self.rel))
        } else {
            f64::INFINITY
        }
    }
}

fn share(error: f64, bound: f64) -> f64 {
    if error == 0.0 || bound == f64::INFINITY {
        0.0
    } else if error.is_finite() && bound > 0.0 {
        error / bound
    } else {
        f64::INFINITY
    }
}

/// The errors of one tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deviation {
    /// Largest absolute error.
    pub abs: f64,
    /// Largest absolute error divided by the tensor's scale.
    pub rel: f64,
}

impl Deviation {
    /// What a missing tensor or a wrong shape counts as.
    pub const INFINITE: Self = Self {
        abs: f64::INFINITY,
        rel: f64::INFINITY,
    };

    /// The errors of `got` against `want`, whose scale is at least `floor`.
    ///
    /// # Errors
    ///
    /// A dtype that cannot be read as numbers.
    pub fn between(got: &Tensor, want: &Tensor, floor: f64) -> Result<Self> {
        if got.dims() != want.dims() {
            return Ok(Self::INFINITE);
        }
        let (got, want) = (values(got)?, values(want)?);
        let mut abs = 0f64;
        let mut scale = floor;
        for (&g, &w) in got.iter().zip(&want) {
            let error = if g == w || (g.is_nan() && w.is_nan()) {
                0.0
            } else {
                (g - w).abs()
            };
            abs = abs.max(if error.is_nan() { f64::INFINITY } else { error });
            if w.is_finite() {
                scale = scale.max(w.abs());
            }
        }
        let rel = if abs == 0.0 { 0.0 } else { abs / scale };
        Ok(Self { abs, rel })
    }
}

/// The floor under the scale of `kind`'s tensors in a file.
///
/// # Errors
///
/// A dtype that cannot be read as numbers.
pub fn floor(case: &Case, kind: Kind) -> Result<f64> {
    let mut largest = 0f64;
    for (_, tensor) in case.expected(kind) {
        for value in values(tensor)? {
            if value.is_finite() {
                largest = largest.max(value.abs());
            }
        }
    }
    Ok(largest * FLOOR)
}

/// All entries as f64, row by row.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    let here = tensor.to_device(&Device::Cpu)?;
    Ok(here.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Bound, Deviation};

    fn tensor(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn both_errors_are_taken_from_the_worst_entry() {
        let d = Deviation::between(&tensor(&[1.0, -3.5]), &tensor(&[1.0, -4.0]), 0.0).unwrap();
        assert_eq!(
            d,
            Deviation {
                abs: 0.5,
                rel: 0.125
            }
        );
    }

    #[test]
    fn a_small_tensor_is_measured_against_the_floor() {
        let d = Deviation::between(&tensor(&[2e-6]), &tensor(&[1e-6]), 1e-2).unwrap();
        assert!((d.rel - 1e-4).abs() < 1e-9, "{d:?}");
    }

    #[test]
    fn next_to_zero_an_absolute_bound_is_enough() {
        let d = Deviation::between(&tensor(&[1e-9]), &tensor(&[0.0]), 0.0).unwrap();
        assert!(Bound::abs(1e-6).used(d) <= 1.0 && Bound::abs(1e-12).used(d) > 1.0);
        assert!(Bound::rel(1e-6).used(d) > 1.0 && Bound::new(1e-6, 1e-6).used(d) > 1.0);
    }

    #[test]
    fn not_a_number_and_wrong_shapes_never_pass() {
        let want = tensor(&[1.0, 2.0]);
        for got in [
            tensor(&[f64::NAN, 2.0]),
            tensor(&[f64::INFINITY, 2.0]),
            tensor(&[1.0]),
        ] {
            let d = Deviation::between(&got, &want, 0.0).unwrap();
            assert!(Bound::new(1e9, 1e9).used(d) > 1.0, "{d:?}");
            assert!(Bound::abs(1e9).used(d) > 1.0, "{d:?}");
        }
    }

    #[test]
    fn one_bound_broken_is_enough() {
        let d = Deviation {
            abs: 1e-3,
            rel: 1e-6,
        };
        assert!(Bound::new(1e-2, 1e-5).used(d) <= 1.0);
        assert!(Bound::new(1e-4, 1e-5).used(d) > 1.0);
        assert!(Bound::new(1e-2, 1e-7).used(d) > 1.0);
        assert!(Bound::EXACT.used(d) > 1.0);
        assert!(Bound::EXACT.used(Deviation { abs: 0.0, rel: 0.0 }) <= 1.0);
    }
}
