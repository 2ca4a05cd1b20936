//! CPU kernels on plain slices: convolution, resampling and what surrounds them.
//!
//! Slices in, slices out: this crate knows no tensor, no gradient tape and no network. f32 has fast paths,
//! chosen at run time by what the processor offers; f64 has the portable ones. Threads are rayon's.
//! Each function checks its sizes before it allocates or reads, returns a typed [`Error`] that names operator and
//! shape, and is safe for whatever passes. [`plain`] holds each formula as bare loops, the oracle of the tests.
//!
//! Not here, on purpose: devices other than the CPU, broadcasting, automatic differentiation.
//!
//! ```
//! use domex_kernels::conv::{self, ConvShape};
//!
//! // A 3 × 3 box filter over a 4 × 4 image of ones: the corners see four of them.
//! let s = ConvShape { n: 1, c_in: 1, h: 4, w: 4, c_out: 1, kh: 3, kw: 3, stride: 1, padding: 1 };
//! let mut y = vec![0f32; s.y_len()];
//! conv::forward(&s, &[1.0; 16], &[1.0; 9], &mut y)?;
//! assert_eq!(y[0], 4.0);
//! assert_eq!(y[5], 9.0);
//! # Ok::<(), domex_kernels::Error>(())
//! ```

pub mod adam;
pub mod attention;
pub mod conv;
pub mod dense;
pub mod epilogue;
pub mod gemm;
pub mod group_norm;
pub mod plain;
pub mod rows;
pub mod simd;
pub mod unit_distance;
pub mod upfirdn;

mod activation;
mod error;
mod float;
mod math;
mod scratch;
#[cfg(test)]
mod testing;

pub use activation::Activation;
pub use error::{Error, Result};
pub use float::Float;
