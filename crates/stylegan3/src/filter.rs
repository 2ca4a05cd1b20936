//! Low-pass filters: how each layer limits the frequencies of its features.
//!
//! A separable filter is a sinc under a Kaiser window, scaled to a sum of 1:
//!
//! ```text
//! f[k] ∝ sinc(2 c m / s) kaiser_β(m),   m = k - (n - 1)/2
//! ```
//!
//! with n taps at a sampling rate s and a cutoff c, sinc(x) = sin(πx)/(πx). β follows from the width Δ of the transition band by
//! Kaiser's formulas: attenuation `A = 2.285 (n - 1) π Δ/(s/2) + 7.95`; `β = 0.1102 (A - 8.7)` above 50,
//! `0.5842 (A - 21)^0.4 + 0.07886 (A - 21)` above 21, else 0.
//!
//! A radially symmetric one has a jinc in place of the sinc, `J₁(2π c r) / (π r)` at the distance r from the middle, under the product of two
//! such windows. See appendix C of *Alias-Free Generative Adversarial Networks* (arXiv 2106.12423); both are computed in double precision, so that they
//! agree with the published ones, which a checkpoint also holds.

use std::f64::consts::PI;

/// What a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Cutoff frequency.
    pub cutoff: f64,
    /// Width of the transition band.
    pub width: f64,
    /// Sampling rate.
    pub rate: f64,
}

/// A separable filter `[taps]`, `taps` at least 2.
#[must_use]
pub fn separable(taps: usize, band: &Band) -> Vec<f64> {
    let share = 2.0 * band.cutoff / band.rate;
    let window = kaiser(taps, band);
    let taps = offsets(taps).zip(window).map(|(m, w)| sinc(share * m) * w);
    normalised(taps.collect())
}

/// A radially symmetric filter `[taps, taps]`, row by row, `taps` at least 2.
#[must_use]
pub fn radial(taps: usize, band: &Band) -> Vec<f64> {
    let window = kaiser(taps, band);
    let mut filter = Vec::with_capacity(taps * taps);
    for (y, wy) in offsets(taps).zip(&window) {
        for (x, wx) in offsets(taps).zip(&window) {
            let r = x.hypot(y) / band.rate;
            filter.push(jinc(band.cutoff, r) * wx * wy);
        }
    }
    normalised(filter)
}

/// Places of taps from their middle, in samples.
fn offsets(taps: usize) -> impl Iterator<Item = f64> {
    let middle = (taps as f64 - 1.0) / 2.0;
    (0..taps).map(move |k| k as f64 - middle)
}

fn normalised(mut filter: Vec<f64>) -> Vec<f64> {
    let sum: f64 = filter.iter().sum();
    filter.iter_mut().for_each(|tap| *tap /= sum);
    filter
}

/// `sin(πx)/(πx)`.
fn sinc(x: f64) -> f64 {
    match x == 0.0 {
        true => 1.0,
        false => (PI * x).sin() / (PI * x),
    }
}

/// `J₁(2π c r)/(π r)`, whose limit in the middle is c.
fn jinc(cutoff: f64, r: f64) -> f64 {
    match r == 0.0 {
        true => cutoff,
        false => bessel_j1(2.0 * PI * cutoff * r) / (PI * r),
    }
}

/// The window that has a transition band of this width.
fn kaiser(taps: usize, band: &Band) -> Vec<f64> {
    let spans = taps as f64 - 1.0;
    let attenuation = 2.285 * spans * PI * band.width / (band.rate / 2.0) + 7.95;
    let beta = if attenuation > 50.0 {
        0.1102 * (attenuation - 8.7)
    } else if attenuation > 21.0 {
        0.5842 * (attenuation - 21.0).powf(0.4) + 0.07886 * (attenuation - 21.0)
    } else {
        0.0
    };
    let at = |m: f64| {
        let inside = 1.0 - (2.0 * m / spans).powi(2);
        bessel_i0(beta * inside.max(0.0).sqrt()) / bessel_i0(beta)
    };
    offsets(taps).map(at).collect()
}

/// The modified Bessel function I₀ for the arguments of windows: `Σ ((x/2)^k / k!)²`, whose terms are all positive.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

/// The Bessel function J₁ by its integral, `1/π ∫₀^π cos(t - x sin t) dt`. Its integrand is even and periodic, so the trapezoid rule is
/// exact to the last digits once it has some more points than x.
fn bessel_j1(x: f64) -> f64 {
    let points = 32 + x.abs().ceil() as usize;
    let inner = (1..points).map(|k| {
        let t = PI * k as f64 / points as f64;
        (t - x * t.sin()).cos()
    });
    // The ends, cos 0 and cos π, cancel.
    inner.sum::<f64>() / points as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-14, "{found} {expected}");
    }

    /// Abramowitz and Stegun, tables 9.1 and 9.8, and the first zero of J₁.
    #[test]
    fn bessel_functions_have_their_tabled_values() {
        near(bessel_j1(0.0), 0.0);
        near(bessel_j1(1.0), 0.440_050_585_744_933_5);
        near(bessel_j1(10.0), 0.043_472_746_168_861_44);
        near(bessel_j1(50.0), -0.097_511_828_125_175_14);
        near(bessel_j1(3.831_705_970_207_512), 0.0);
        near(bessel_i0(0.0), 1.0);
        near(bessel_i0(1.0), 1.266_065_877_752_008_4);
        assert!((bessel_i0(10.0) / 2_815.716_628_466_254 - 1.0).abs() < 1e-14);
    }

    #[test]
    fn filters_are_symmetric_let_a_constant_through_and_stop_what_lies_above() {
        let band = Band {
            cutoff: 8.0,
            width: 6.0,
            rate: 64.0,
        };
        let filter = separable(24, &band);
        assert!((filter.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        assert!((0..24).all(|k| (filter[k] - filter[23 - k]).abs() < 1e-16));
        let response = |frequency: f64| {
            let terms = filter.iter().zip(offsets(24));
            let terms = terms.map(|(f, m)| f * (2.0 * PI * frequency * m / band.rate).cos());
            terms.sum::<f64>().abs()
        };
        assert!((response(3.0) - 1.0).abs() < 0.02, "{}", response(3.0));
        assert!((response(band.cutoff) - 0.5).abs() < 0.01);
        assert!(response(13.0) < 0.02, "{}", response(13.0));

        let disc = radial(12, &band);
        assert!((disc.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        for (y, x) in [(0, 3), (2, 7), (5, 5)] {
            let turned = [disc[x * 12 + y], disc[(11 - y) * 12 + x]];
            assert!(turned.iter().all(|t| (t - disc[y * 12 + x]).abs() < 1e-16));
        }
        // In the middle of an odd number of taps the formula has its limit.
        assert!(radial(5, &band).iter().all(|tap| tap.is_finite()));
    }
}
