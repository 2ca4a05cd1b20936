//! The phases of an axis: which taps meet an output pixel, and where.

/// One phase along one axis: output `first_out + t·out_step` for t in `0..count` meets input (of the blocked, padded
/// image) `first_in + t·in_step + m` for taps m in `0..taps`; tap m is the kernel's `kernel_first + m·kernel_step`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Phase {
    pub first_out: usize,
    pub out_step: usize,
    pub count: usize,
    pub first_in: usize,
    pub in_step: usize,
    pub taps: usize,
    pub kernel_first: isize,
    pub kernel_step: isize,
}

impl Phase {
    /// The kernel's row or column of tap m.
    pub fn kernel(&self, m: usize) -> usize {
        (self.kernel_first + m as isize * self.kernel_step) as usize
    }
}

/// The phases of an axis of the gradient of the input, and the zeros needed before and the size needed in all.
pub(super) fn transposed(
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> (Vec<Phase>, usize, usize) {
    let before = kernel.div_ceil(stride) - 1;
    let phases = (0..stride).map(|phase| {
        // The first q with a pixel inside the image: stride·q + phase ≥ padding.
        let q = padding.saturating_sub(phase).div_ceil(stride);
        let first_out = stride * q + phase - padding;
        let count = if first_out < size {
            (size - 1 - first_out) / stride + 1
        } else {
            0
        };
        let taps = if phase < kernel {
            (kernel - phase).div_ceil(stride)
        } else {
            0
        };
        Phase {
            first_out,
            out_step: stride,
            count,
            // Tap m of the flipped kernel sees gy[q − (taps − 1) + m], which lies `before` further on.
            first_in: (q + before + 1).saturating_sub(taps),
            in_step: 1,
            taps,
            kernel_first: (phase + stride * taps) as isize - stride as isize,
            kernel_step: -(stride as isize),
        }
    });
    (
        phases.collect(),
        before,
        before + (size - 1 + padding) / stride + 1,
    )
}
