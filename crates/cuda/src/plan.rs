//! The launches of each operator. Every function documents the operands of its [`Plan`](crate::Plan) in order; scratch buffers
//! follow. All are contiguous and hold no overlapping memory. Where a function takes an [`Element`](crate::Element), its operands are of
//! that; all else is float32, but where said otherwise.

mod attention;
mod channels;
mod conv;
mod epilogue;
mod grid_sample;
mod minibatch_std;
mod norm;
mod optimizer;
mod pool;
mod resample;
mod softmax;
mod unit_distance;
mod upfirdn2d;

pub use attention::{DEEPEST, attention, attention_backward};
pub use channels::{channel_sum, dot_rows, join, plane_sum, scale_rows};
pub use conv::{
    Fused, MOST_CHANNELS, Products, conv_forward, conv_grad_input, conv_grad_weight,
    conv_transposed, demodulation,
};
pub use epilogue::{Epilogue, Noise, epilogue_backward, epilogue_forward, epilogue_slope};
pub use grid_sample::{GridSample, grid_sample, grid_sample_adjoint};
pub use minibatch_std::{MinibatchStd, minibatch_std, minibatch_std_backward};
pub use norm::{Affine, Line, norm, norm_backward};
pub use optimizer::{adam, average};
pub use pool::{MaxPool, max_pool, max_pool_adjoint};
pub use resample::{Resample, resample};
pub use softmax::{softmax, softmax_backward};
pub use unit_distance::{unit_distance, unit_distance_backward};
pub use upfirdn2d::{taps, upfirdn2d, upfirdn2d_epilogue};

use crate::Buffer;

/// The operands by their numbers, for plans with a fixed list.
fn operands<const N: usize>() -> [Buffer; N] {
    std::array::from_fn(Buffer)
}
