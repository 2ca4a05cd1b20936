//! The horizontal pass for any number of taps, where one of the factors is 1.
//!
//! With u the zero-stuffed line, `y[j] = Σ_b f[b] u[j·down + b − before]` falls apart into sums over consecutive numbers, which vectors run over:
//!
//! - Up-sampling: outputs of one phase r meet every `up`-th tap, `y[up·q + r] = Σ_t f[b_r + up·t] x[q + o_r + t]`.
//! - Down-sampling: the line is taken apart into its phases, `x_k[m] = x[down·m + k]`, and
//!   `y[j] = Σ_k Σ_t f[b_k + down·t] x_k[j + o_k + t]`.

use super::UpFirDnShape;
use crate::Float;

/// Taps that one pass over a line takes; each phase's are filled up with zeros.
const BLOCK: usize = 4;

/// The taps of one phase, and where it begins.
struct Phase<T> {
    start: usize,
    taps: Vec<T>,
}

/// How lines of one shape are filtered.
pub(super) struct Horizontal<T> {
    up: usize,
    down: usize,
    phases: Vec<Phase<T>>,
    /// Zeros before the line, with which [`add`](Self::add) takes it.
    front: usize,
    /// Length of the line with zeros on both sides.
    width: usize,
}

/// What lines need on the way; each thread has its own.
#[derive(Default)]
pub(super) struct Scratch<T> {
    /// The line with zeros on both sides.
    pub line: Vec<T>,
    parts: Vec<T>,
}

impl<T: Float> Horizontal<T> {
    /// `taps` along the correlation; `None` where both factors are above 1.
    pub fn new(s: &UpFirDnShape, taps: &[T]) -> Option<Self> {
        let ([up, _], [down, _], before) = (s.up, s.down, s.padding[0]);
        if up > 1 && down > 1 {
            return None;
        }
        // Both are 1 or more, and the shape was checked: nothing here overflows.
        let step = up * down;
        let front = before.max(0) as usize / up + 1;
        let phase = |r: usize| {
            // Of up-sampling the phase of outputs, else that of pixels; one of them is 0.
            let (first, start) = if down == 1 {
                let first = (before - r as i64).rem_euclid(up as i64);
                let start = front as i64 + (r as i64 + first - before) / up as i64;
                (first as usize, start as usize)
            } else {
                let shift = (front as i64 - before) as usize;
                let first = (r + down - shift % down) % down;
                (first, (first + shift) / down)
            };
            let mut own: Vec<T> = taps.iter().skip(first).step_by(step).copied().collect();
            own.resize(own.len().next_multiple_of(BLOCK), T::zero());
            Phase { start, taps: own }
        };
        let phases: Vec<_> = (0..step).map(phase).collect();
        let reach = phases.iter().map(|phase| phase.start + phase.taps.len());
        let outputs = s.out_w().div_ceil(up);
        let width = (reach.max().unwrap_or(0) + outputs) * down;
        Some(Self {
            up,
            down,
            phases,
            front,
            width: width.max((front + s.w).next_multiple_of(down)),
        })
    }

    /// Makes room for a line of `w` numbers, with zeros on both sides.
    #[inline(always)]
    pub fn clear(&self, scratch: &mut Scratch<T>) {
        scratch.line.clear();
        scratch.line.resize(self.width, T::zero());
    }

    /// Where a line of `w` numbers goes.
    #[inline(always)]
    pub fn line<'a>(&self, scratch: &'a mut Scratch<T>, w: usize) -> &'a mut [T] {
        &mut scratch.line[self.front..][..w]
    }

    /// Adds the filtered line to `y`, or puts it there.
    #[inline(always)]
    pub fn filter(&self, scratch: &mut Scratch<T>, y: &mut [T], add: bool) {
        let Scratch { line, parts } = scratch;
        match (self.up, self.down) {
            (1, 1) => {
                let phase = &self.phases[0];
                convolve(&line[phase.start..], &phase.taps, y, add);
            }
            (_, 1) => self.spread(line, parts, y, add),
            (..) => self.gather(line, parts, y, add),
        }
    }

    /// Up-sampling: each phase by itself, and then in turns.
    #[inline(always)]
    fn spread(&self, line: &[T], parts: &mut Vec<T>, y: &mut [T], add: bool) {
        let most = y.len().div_ceil(self.up);
        parts.resize(self.up * most, T::zero());
        for (phase, part) in self.phases.iter().zip(parts.chunks_exact_mut(most)) {
            convolve(&line[phase.start..], &phase.taps, part, false);
        }
        if self.up == 2 && !add {
            let (even, odd) = parts.split_at(most);
            let (pairs, last) = y.as_chunks_mut::<2>();
            let n = pairs.len();
            let (a, b) = (&even[..n], &odd[..n]);
            for j in 0..n {
                pairs[j] = [a[j], b[j]];
            }
            if let [last] = last {
                *last = even[n];
            }
            return;
        }
        for (r, part) in parts.chunks_exact(most).enumerate() {
            for (value, &made) in y.iter_mut().skip(r).step_by(self.up).zip(part) {
                *value = if add { *value + made } else { made };
            }
        }
    }

    /// Down-sampling: the line's phases, each with its own taps.
    #[inline(always)]
    fn gather(&self, line: &[T], parts: &mut Vec<T>, y: &mut [T], add: bool) {
        let (down, most) = (self.down, line.len() / self.down);
        parts.resize(down * most, T::zero());
        if down == 2 {
            let (pairs, (even, odd)) = (line.as_chunks::<2>().0, parts.split_at_mut(most));
            let (pairs, odd) = (&pairs[..most], &mut odd[..most]);
            for j in 0..most {
                even[j] = pairs[j][0];
                odd[j] = pairs[j][1];
            }
        } else {
            for (k, part) in parts.chunks_exact_mut(most).enumerate() {
                for (value, &pixel) in part.iter_mut().zip(line.iter().skip(k).step_by(down)) {
                    *value = pixel;
                }
            }
        }
        let phases = self.phases.iter().zip(parts.chunks_exact(most));
        for (k, (phase, part)) in phases.enumerate() {
            convolve(&part[phase.start..], &phase.taps, y, add || k > 0);
        }
    }
}

/// `y[j] = Σ_t taps[t] x[j + t]`, or added to what is there. `taps` come in blocks.
#[inline(always)]
fn convolve<T: Float>(x: &[T], taps: &[T], y: &mut [T], add: bool) {
    let n = y.len();
    for (block, f) in taps.as_chunks::<BLOCK>().0.iter().enumerate() {
        let x = &x[block * BLOCK..];
        let (a, b, c, d) = (&x[..n], &x[1..][..n], &x[2..][..n], &x[3..][..n]);
        if add || block > 0 {
            for j in 0..n {
                y[j] += a[j] * f[0] + b[j] * f[1] + c[j] * f[2] + d[j] * f[3];
            }
        } else {
            for j in 0..n {
                y[j] = a[j] * f[0] + b[j] * f[1] + c[j] * f[2] + d[j] * f[3];
            }
        }
    }
    if taps.is_empty() && !add {
        y.fill(T::zero());
    }
}
