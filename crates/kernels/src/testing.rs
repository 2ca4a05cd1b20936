//! Shared by the tests: reproducible numbers and the comparison.

use crate::Float;

/// Reproducible numbers in [−1, 1), from a multiplicative congruential sequence.
pub fn noise<T: Float>(len: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            T::of((state >> 40) as f64 / f64::from(1u32 << 23) - 1.0)
        })
        .collect()
}

/// The largest difference is within `tolerance` of the largest wanted magnitude; NaN never is.
#[track_caller]
pub fn assert_close<T: Float>(got: &[T], want: &[T], tolerance: f64) {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().map(|w| w.wide().abs()).fold(1e-30, f64::max);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (g.wide() - w.wide()).abs() / scale;
        assert!(
            error <= tolerance,
            "element {i}: {g} instead of {w}, {error:e} of the largest {scale}"
        );
    }
}
