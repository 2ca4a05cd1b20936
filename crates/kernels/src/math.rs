//! exp and erf as plain arithmetic, so that loops over them become vector code.

/// `eˣ` in f32, within 2e-7 of the value; results below 3e-38 are zero.
///
/// x = n ln 2 + r with |r| ≤ ½ ln 2; the polynomial for eʳ is that of the Cephes library's `expf`. NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ leaves the rounded integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts: the first has so few digits that n times it is exact.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = p * r + c;
    }
    let value = p * r * r + r + 1.0;
    // 2ⁿ⁻¹, since 2¹²⁸ does not exist but eˣ near it does.
    let half = f32::from_bits(shifted.to_bits().wrapping_add(126) << 23);
    let result = value * half * 2.0;
    if x < -86.6 {
        0.0
    } else if x > 88.722_8 {
        f32::INFINITY
    } else {
        result
    }
}

/// The error function in f32, within 7e-7: Abramowitz and Stegun, formula 7.1.26.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let mut p = 1.061_405_4;
    for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = p * t + c;
    }
    let value = 1.0 - p * t * exp(-a * a);
    if x < 0.0 { -value } else { value }
}

/// The error function in f64, within 1e-14: its series of positive terms,
/// `2/√π · e^(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!`; beyond six it is ±1 to the last digit.
pub(crate) fn erf64(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-18 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `Σ f(a, b)` over two slices of one length, in sixteen interleaved sums: the compiler may not reorder one sum, and this
/// also rounds less than one would.
#[inline(always)]
pub(crate) fn sum<T: crate::Float>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::zero(); 16];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..16 {
            lanes[lane] += f(a[lane], b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        lanes[lane] += f(a, b);
    }
    let mut width = 8;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] += other;
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_keeps_its_promise() {
        for i in -88_000..=88_700 {
            let x = i as f32 / 1000.0;
            let want = f64::from(x).exp();
            let error = (f64::from(exp(x)) - want).abs();
            assert!(
                error <= 2e-7 * want || want < 3e-38,
                "{x}: {} instead of {want}",
                exp(x)
            );
        }
        assert_eq!(
            [exp(0.0), exp(-1e9), exp(f32::NEG_INFINITY)],
            [1.0, 0.0, 0.0]
        );
        assert_eq!([exp(89.0), exp(f32::INFINITY)], [f32::INFINITY; 2]);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn erf_keeps_its_promise() {
        // From tables.
        for (x, want) in [
            (0.0, 0.0),
            (0.5, 0.520_499_877_813_046_5),
            (2.0, 0.995_322_265_018_952_7),
        ] {
            assert!((erf64(x) - want).abs() < 1e-14);
            assert!((erf64(-x) + want).abs() < 1e-14);
        }
        for i in -70_000..70_000 {
            let x = i as f32 / 10_000.0;
            assert!(
                (f64::from(erf(x)) - erf64(f64::from(x))).abs() < 7e-7,
                "{x}"
            );
        }
    }

    #[test]
    fn sum_counts_every_position_once() {
        for len in [0usize, 1, 15, 16, 17, 100] {
            let x: Vec<f64> = (0..len).map(|i| i as f64).collect();
            let want = (0..len).map(|i| i * i).sum::<usize>() as f64;
            assert_eq!(sum(&x, &x, |a, b| a * b), want);
        }
    }
}
