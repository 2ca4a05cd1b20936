//! One step of Adam over flat buffers, in one pass (Kingma and Ba, 2015; with decoupled decay, Loshchilov and Hutter, 2019).
//!
//! `m ← β₁ m + (1 − β₁) g`, `v ← β₂ v + (1 − β₂) g²`,
//! `p ← p (1 − lr · decay) − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)`, as PyTorch's `Adam` and `AdamW`.

use rayon::prelude::*;

use crate::Float;
use crate::error::{Check, Result};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// The settings of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// Number of this step, from one on.
    pub step: u64,
}

/// The state of an optimised buffer: parameters and moments, of one length.
#[derive(Debug)]
pub struct AdamState<'a, T> {
    /// The parameters.
    pub parameters: &'a mut [T],
    /// First moment.
    pub m: &'a mut [T],
    /// Second moment.
    pub v: &'a mut [T],
}

/// Elements that a thread takes at once: four buffers of 64 KiB in f32.
const GRAIN: usize = 1 << 14;

/// One step; parameters and moments are updated in place.
///
/// # Errors
///
/// A step number of zero; buffers of different lengths.
pub fn step<T: Float>(adam: &Adam, state: AdamState<'_, T>, gradient: &[T]) -> Result<()> {
    step_on(Isa::best(), adam, state, gradient)
}

fn step_on<T: Float>(isa: Isa, adam: &Adam, state: AdamState<'_, T>, gradient: &[T]) -> Result<()> {
    let check = Check {
        operator: "Adam step",
        shape: adam,
    };
    check.non_zero(&[("step", usize::try_from(adam.step).unwrap_or(usize::MAX))])?;
    let AdamState { parameters, m, v } = state;
    let len = parameters.len();
    for (name, found) in [("gradient", gradient.len()), ("m", m.len()), ("v", v.len())] {
        check.length(name, found, len)?;
    }
    let parts = parameters
        .par_chunks_mut(GRAIN)
        .zip(m.par_chunks_mut(GRAIN));
    let parts = parts
        .zip(v.par_chunks_mut(GRAIN))
        .zip(gradient.par_chunks(GRAIN));
    parts.for_each(|(((p, m), v), g)| dispatch(isa, Step { adam, p, m, v, g }));
    Ok(())
}

struct Step<'a, T> {
    adam: &'a Adam,
    p: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
    g: &'a [T],
}

impl<T: Float> Kernel for Step<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let a = self.adam;
        let steps = i32::try_from(a.step).unwrap_or(i32::MAX);
        let (b1, b2, eps) = (T::of(a.beta1), T::of(a.beta2), T::of(a.eps));
        let (c1, c2) = (T::of(1.0 - a.beta1), T::of(1.0 - a.beta2));
        let size = T::of(a.lr / (1.0 - a.beta1.powi(steps)));
        let root = T::of(1.0 / (1.0 - a.beta2.powi(steps)).sqrt());
        let keep = T::of(1.0 - a.lr * a.decay);
        for (((p, m), v), &g) in self.p.iter_mut().zip(self.m).zip(self.v).zip(self.g) {
            *m = b1 * *m + c1 * g;
            *v = b2 * *v + c2 * g * g;
            *p = keep * *p - size * *m / ((*v).sqrt() * root + eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    fn plain(a: &Adam, p: &mut [f64], m: &mut [f64], v: &mut [f64], g: &[f64]) {
        let t = a.step as f64;
        for i in 0..p.len() {
            m[i] = a.beta1 * m[i] + (1.0 - a.beta1) * g[i];
            v[i] = a.beta2 * v[i] + (1.0 - a.beta2) * g[i] * g[i];
            let (m, v) = (
                m[i] / (1.0 - a.beta1.powf(t)),
                v[i] / (1.0 - a.beta2.powf(t)),
            );
            p[i] = p[i] - a.lr * a.decay * p[i] - a.lr * m / (v.sqrt() + a.eps);
        }
    }

    #[test]
    fn three_steps_agree_with_the_formula() {
        for (len, isa) in [1, 17, 40_000]
            .into_iter()
            .flat_map(|l| Isa::available().into_iter().map(move |i| (l, i)))
        {
            let start = noise::<f64>(len, 1);
            let (mut p, mut m, mut v) = (start.clone(), vec![0.0; len], vec![0.0; len]);
            let mut q: Vec<f32> = start.iter().map(|&x| x as f32).collect();
            let (mut mq, mut vq) = (vec![0.0f32; len], vec![0.0f32; len]);
            for t in 1..=3 {
                let adam = Adam {
                    lr: 0.02,
                    beta1: 0.5,
                    beta2: 0.99,
                    eps: 1e-8,
                    decay: 0.1,
                    step: t,
                };
                let g = noise::<f64>(len, 10 + t);
                plain(&adam, &mut p, &mut m, &mut v, &g);
                let g: Vec<f32> = g.iter().map(|&x| x as f32).collect();
                let state = AdamState {
                    parameters: &mut q,
                    m: &mut mq,
                    v: &mut vq,
                };
                step_on(isa, &adam, state, &g).unwrap();
            }
            let want: Vec<f32> = p.iter().map(|&x| x as f32).collect();
            assert_close(&q, &want, 2e-6);
        }
    }

    #[test]
    fn refuses_step_zero_and_unequal_lengths() {
        let adam = Adam {
            lr: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            decay: 0.0,
            step: 0,
        };
        let (mut p, mut m, mut v) = ([0.0f32; 2], [0.0; 2], [0.0; 2]);
        let state = AdamState {
            parameters: &mut p,
            m: &mut m,
            v: &mut v,
        };
        assert!(step(&adam, state, &[0.0; 2]).is_err());
        let state = AdamState {
            parameters: &mut p,
            m: &mut m,
            v: &mut v,
        };
        assert!(step(&Adam { step: 1, ..adam }, state, &[0.0; 3]).is_err());
    }
}
