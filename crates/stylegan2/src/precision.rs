//! Float16 in the highest resolutions, where the published code has it on a GPU.
//!
//! What goes from layer to layer is then in float16, in half the memory; the published clamp keeps it in range. Weights and styles stay
//! float32, and a modulated layer says itself what of it is in float16 ([`domex_ops::modulated_conv`]).

use candle_core::{DType, Device};

/// Number type of the highest resolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Float16 in the resolutions that the configuration names, on CUDA; elsewhere the weights'
    /// type, like the published code's `force_fp32`.
    #[default]
    Auto,
    /// The weights' type everywhere.
    Full,
    /// Float16 in the resolutions that the configuration names, on any device.
    Half,
}

impl Precision {
    /// The type of a block's activations.
    pub(crate) fn dtype(self, is_half: bool, device: &Device, full: DType) -> DType {
        let half = match self {
            Self::Auto => is_half && device.is_cuda(),
            Self::Full => false,
            Self::Half => is_half,
        };
        if half { DType::F16 } else { full }
    }
}
