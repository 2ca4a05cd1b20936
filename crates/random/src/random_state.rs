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
/// let mut state = domex_random::RandomState::new(1);
/// assert_eq!(state.randint(10).take(6).collect::<Vec<_>>(), [5, 8, 9, 5, 0, 0]);
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

    /// `randint(high)`: endless integers from 0 to `high` − 1; `high` 0 stands for 2³².
    pub fn randint(&mut self, high: u32) -> impl Iterator<Item = u32> + '_ {
        let max = high.wrapping_sub(1);
        std::iter::repeat_with(move || self.interval(max))
    }

    /// `permutation(n)`: the numbers 0 to `n` − 1, shuffled.
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            let j = self.interval(i);
            order.swap(i as usize, j as usize);
        }
        order
    }

    /// Uniform in 0 to `max` inclusive: draws are masked to the bits of `max`, and those above it rejected.
    fn interval(&mut self, max: u32) -> u32 {
        if max == 0 {
            return 0; // draws nothing, as NumPy
        }
        let mask = u32::MAX >> max.leading_zeros();
        loop {
            let value = self.mt.next_u32() & mask;
            if value <= max {
                return value;
            }
        }
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
