//! Differentiable operators that candle lacks, gets wrong or runs slowly.
//!
//! The building blocks of StyleGAN2 and of the networks that judge its pictures, on candle tensors
//! in `NCHW` order. What all of them promise:
//! - **Gradients arrive.** Every operator has a backward pass, checked against finite differences.
//!   Nothing is dropped silently, as some of candle's fused operations do.
//! - **Of any order.** A backward pass consists of differentiable operators, so the gradient of a
//!   gradient is exact: the R1 penalty and path length need it. [`autograd`] keeps the graph.
//! - **Frozen means free.** An operand that does not track gets no gradient, and no work is done
//!   for one.
//! - **Errors, not panics.** Shapes, element types and parameters are checked before anything is
//!   allocated; an [`Error`] names operator, operand, what was found and what fits.
//!
//! float32 and float64 on the CPU run on kernels of their own (`domex-kernels`), with the feature `cuda` float32 and half precision on a
//! CUDA device do, too (`domex-cuda`); elsewhere convolutions, modulated layers, resampling and distances widen half precision to float32; other
//! devices and types take the composed form from candle's operations, which each module has as `reference` and which is the oracle of its
//! tests. `body` is the one place that chooses.
//!
//! Not differentiable are [`optimizer`], what is done to parameters after a step, and [`peers`], by which the GPUs of several processes
//! add up what they have. [`upload`](mod@upload) sends what the host makes in each step, [`device`] opens a card. [`tf32`] says when tensor
//! cores multiply, [`half`] what a network in half precision is told and says.
//!
//! Deliberately not here: layers with parameters, initialisation, losses, anything that reads a
//! file or draws a random number.
//!
//! ```
//! use candle_core::{DType, Device, Tensor, Var};
//! use domex_ops::{Activation, BiasAct, bias_act, conv2d};
//!
//! // A convolution layer whose weight is frozen and whose bias learns.
//! let x = Tensor::ones((1, 3, 8, 8), DType::F32, &Device::Cpu)?;
//! let weight = Tensor::ones((4, 3, 3, 3), DType::F32, &Device::Cpu)?;
//! let bias = Var::zeros(4, DType::F32, &Device::Cpu)?;
//!
//! let y = conv2d(&x, &weight, None, 2, 1)?;
//! let y = bias_act(&y, Some(&bias), &BiasAct::new(Activation::Lrelu))?;
//! assert_eq!(y.dims(), [1, 4, 4, 4]);
//!
//! let grads = y.sum_all()?.backward()?;
//! assert!(grads.get(&bias).is_some());
//! assert!(grads.get(&weight).is_none());
//! # Ok::<(), domex_ops::Error>(())
//! ```

pub mod attention;
pub mod autograd;
mod axis;
pub mod bias_act;
mod body;
mod channels;
mod check;
pub mod conv;
pub mod conv_resample;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
pub mod device;
pub mod domain_modulation;
mod epilogue;
mod error;
pub mod frozen;
pub mod gelu;
pub mod grid_sample;
pub mod half;
pub mod linear;
pub mod matmul;
pub mod minibatch_std;
pub mod modulated_conv;
pub mod norm;
pub mod optimizer;
pub mod peers;
pub mod pool;
pub mod recompute;
pub mod resize;
pub mod softmax;
pub mod testing;
pub mod tf32;
pub mod unit_distance;
pub mod upfirdn2d;
pub mod upload;
pub mod upsample;

pub use attention::{Mask, attention};
pub use bias_act::{Activation, BiasAct, bias_act};
pub use conv::{allow_cudnn, computed_by_cudnn, conv_transpose2d, conv2d};
pub use conv_resample::conv2d_resample;
pub use domain_modulation::{WeightChange, domain_modulated_conv2d};
pub use error::{Error, Result};
pub use frozen::Weight;
pub use gelu::{Gelu, gelu};
pub use grid_sample::grid_sample;
pub use linear::linear;
pub use matmul::matmul;
pub use minibatch_std::minibatch_std;
pub use modulated_conv::{ModulatedConv, modulated_conv2d, modulated_layer};
pub use norm::{group_norm, group_norm_silu, layer_norm, pixel_norm};
pub use peers::Peers;
pub use pool::{Pool, avg_pool2d, max_pool2d};
pub use recompute::recompute;
pub use resize::{Resize, centre_crop, resize, resize_shorter_side};
pub use softmax::softmax;
pub use tf32::allow_tf32;
pub use unit_distance::{UnitLength, unit_distance};
pub use upfirdn2d::{
    UpFirDn, downsample2d, filter2d, setup_filter, setup_filter2d, upfirdn2d, upsample2d,
};
pub use upload::upload;
pub use upsample::upsample_nearest;
