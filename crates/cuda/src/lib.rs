//! The operators' CUDA bodies: kernels in CUDA C++, how each is launched, and how they are compiled without a toolkit.
//!
//! - [`modules`]: the sources, one file for each family of operators (`kernels/`).
//! - [`plan`]: for each operator the launches that compute it: kernel, grid, arguments, scratch memory. A [`Plan`] knows no
//!   device; what runs it does. The tests run the same plans on the host, where `shim/cuda_shim.h` takes CUDA's place.
//! - [`compile`]: NVRTC, loaded when it is first needed, and a cache of what it made.
//! - [`cudnn`]: convolutions by NVIDIA's own library, where it is there.
//! - [`nccl`]: sums over several GPUs.
//! - [`device`]: whether this machine can run them, and if not, what is missing and where it was looked for.
//!
//! Not here, on purpose: tensors, gradients, memory of the device. This crate lies below candle, whose own kernels it supplies, too
//! (`candle-kernels`); it links against nothing of CUDA, and builds on any machine.

pub mod compile;
pub mod cudnn;
pub mod device;
mod error;
mod launch;
mod library;
pub mod modules;
pub mod nccl;
pub mod plan;

pub use error::{Error, Result};
pub use launch::{Arg, Buffer, Element, Launch, Plan, THREADS};
