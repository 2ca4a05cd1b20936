//! NumPy's legacy generator, `numpy.random.RandomState(seed)`, bit for bit.
//!
//! The published StyleGAN2 programs draw the latent of a seed as `RandomState(seed).randn(1, z_dim)`; the
//! same numbers here mean the same picture. NumPy has frozen this generator's stream (NEP 19), so what is
//! here need not follow later versions. Source: numpy `numpy/random/mtrand.pyx` and `src/legacy`.
//!
//! Bits, not only values: the one function here whose rounding is not fixed by IEEE 754 is the natural
//! logarithm. Both programs call the C library's, so they agree where the C library is the same.

use crate::mt19937::Mt19937;

/// NumPy's `RandomState`: MT19937, 53-bit doubles and the polar method for normals.
///
/// ```
/// let z = domex_random::RandomState::new(1).randn(2);
/// assert_eq!(z, [1.6243453636632417, -0.6117564136500754]);
/// ```
#[derive(Clone, PartialEq)]
pub struct RandomState {
    mt: Mt19937,
    /// The polar method makes normals in pairs: the second one, until it is asked for.
    spare: Option<f64>,
}

impl RandomState {
    /// `RandomState(seed)` for an integer seed. NumPy allows the same range, 0 to 2³² − 1.
    pub fn new(seed: u32) -> Self {
        Self {
            mt: Mt19937::new(seed),
            spare: None,
        }
    }

    /// `random_sample()`: uniform in [0, 1) with 53 bits.
    pub fn random_sample(&mut self) -> f64 {
        let high = f64::from(self.mt.next_u32() >> 5);
        let low = f64::from(self.mt.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// `standard_normal()`: one draw from the normal distribution, by Marsaglia's polar method.
    pub fn standard_normal(&mut self) -> f64 {
        if let Some(value) = self.spare.take() {
            return value;
        }
        loop {
            let x1 = 2.0 * self.random_sample() - 1.0;
            let x2 = 2.0 * self.random_sample() - 1.0;
            let r2 = x1 * x1 + x2 * x2;
            if r2 < 1.0 && r2 != 0.0 {
                let f = (-2.0 * r2.ln() / r2).sqrt();
                self.spare = Some(f * x1);
                return f * x2;
            }
        }
    }

    /// `randn(…)` with `n` values in all, in row-major order.
    pub fn randn(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.standard_normal()).collect()
    }
}

impl std::fmt::Debug for RandomState {
    /// Without the 624 words of state.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RandomState")
            .field("spare", &self.spare)
            .finish_non_exhaustive()
    }
}
