//! Every kernel on the host, behind `shim/cuda_shim.h`, under the address and undefined-behaviour sanitizers, against the CPU bodies.
//!
//! The kernels are compiled by the system's C++ compiler, once for each run of the tests. Measured with GCC 12 on a
//! virtual Xeon: 59 s of processor time, 12 of them the compiler's, side by side on two cores in 33 s; CI is to spend no minute on it. Where
//! there is none, the tests say so and pass, but in CI (the variable `CI` is set) they fail.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod attention;
mod build;
mod conv;
mod data;
mod device;
mod epilogue;
mod norms;
mod pictures;
mod runner;
mod shim;
mod small;
mod stand_in;
mod tensors;
mod upfirdn;
