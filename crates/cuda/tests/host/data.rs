//! Reproducible numbers, and the comparison.

use domex_cuda::Element;

/// All that memory may hold.
pub const ELEMENTS: [Element; 3] = [Element::F32, Element::F16, Element::Bf16];

/// The error that an element explains: of float32 that of the arithmetic, and of a half type the rounding of the result, too, of which
/// operands that were rounded before know nothing.
pub fn tolerance(element: Element, arithmetic: f64) -> f64 {
    arithmetic
        + match element {
            Element::F32 => 0.0,
            Element::F16 => 4.9e-4,
            Element::Bf16 => 3.95e-3,
        }
}

/// Numbers in [−1, 1), from a multiplicative congruential sequence.
pub fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f64 / f64::from(1u32 << 23) - 1.0) as f32
        })
        .collect()
}

/// As float64, for oracles.
pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// The largest difference is within `tolerance` of the largest wanted magnitude; a NaN never is.
#[track_caller]
pub fn assert_close<T: Copy + Into<f64>>(got: &[f32], want: &[T], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let want: Vec<f64> = want.iter().map(|&w| w.into()).collect();
    let scale = want.iter().map(|w| w.abs()).fold(1e-30, f64::max);
    for (i, (&g, w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(g) - w).abs() / scale;
        assert!(
            error <= tolerance,
            "{what}: element {i}: {g} instead of {w}, {error:e} of the largest {scale}"
        );
    }
}
