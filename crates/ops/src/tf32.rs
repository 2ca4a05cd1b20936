//! When convolutions on a CUDA device multiply by tensor cores, in TF32: numbers of float32's exponent and eleven bits.
//!
//! Half types fit into TF32, so convolutions of them always do, and so do those of layers that compute in float32 what comes in and leaves
//! in half precision. float32 loses bits by it (a relative error of up to 5·10⁻⁴ a factor), so it does so only where the program was
//! told to, as by PyTorch's `torch.backends.cudnn.allow_tf32`. Cards before compute capability 8.0 have no such cores and multiply as always.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
};

static ALLOWED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IN_HALF: Cell<bool> = const { Cell::new(false) };
}

/// Whether convolutions and matrix products of float32 on CUDA devices may round their factors to TF32. They may not until this says so.
pub fn allow_tf32(allow: bool) {
    ALLOWED.store(allow, Ordering::Relaxed);
    #[cfg(feature = "cuda")]
    candle_core::cuda::set_gemm_reduced_precision_f32(allow);
}

/// Whether an operator that is made now may.
pub(crate) fn allowed() -> bool {
    ALLOWED.load(Ordering::Relaxed) || IN_HALF.get()
}

/// What `layer` makes of operands that were of a half type before they were widened.
pub(crate) fn in_half<R>(layer: impl FnOnce() -> R) -> R {
    let before = IN_HALF.replace(true);
    let made = layer();
    IN_HALF.set(before);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_in_half_precision_may_and_what_follows_may_not() {
        assert!(!allowed());
        in_half(|| {
            assert!(allowed());
            in_half(|| assert!(allowed()));
            assert!(allowed());
        });
        assert!(!allowed());
    }
}
