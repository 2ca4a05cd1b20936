//! The separable path: columns first, then rows, one line of output at a time.
//!
//! A line of the input's width is summed from the input rows that the vertical filter meets, in a buffer with zeros where the
//! image ends; the horizontal filter then runs over it. Everything between is one line, which the first-level cache
//! holds, so memory is read once and written once. For up-sampling the vertical pass comes at the smaller width.

use rayon::prelude::*;

use super::horizontal::{Horizontal, Scratch};
use super::{Axis, UpFirDnShape, axes};
use crate::Float;
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Pixels that a thread takes at once, about.
const GRAIN: usize = 1 << 14;

/// `then` is told of lines of output, the number of the first counted over all planes, while the caches still hold them.
pub(super) fn run<T: Float>(
    isa: Isa,
    s: &UpFirDnShape,
    [fx, fy]: [&[T]; 2],
    x: &[T],
    y: &mut [T],
    then: impl Fn(usize, &mut [T]) + Sync,
) {
    let turned = |taps: &[T], gain: T| -> Vec<T> {
        let taps = taps.iter().map(|&t| t * gain);
        if s.flip {
            taps.collect()
        } else {
            taps.rev().collect()
        }
    };
    let (fx, fy) = (turned(fx, T::one()), turned(fy, T::of(s.gain)));
    let (oh, ow) = (s.out_h(), s.out_w());
    let rows = (GRAIN / ow).max(1);
    let (vertical, horizontal) = axes(s);
    let long = (fx.len() > 4).then(|| Horizontal::new(s, &fx)).flatten();
    y.par_chunks_mut(rows * ow).enumerate().for_each_init(
        Scratch::default,
        |scratch, (part, y)| {
            let first = part * rows;
            let lines = Lines {
                s,
                fx: &fx,
                fy: &fy,
                vertical: &vertical,
                horizontal: &horizontal,
                long: long.as_ref(),
                x,
                y: &mut *y,
                first,
                oh,
                scratch,
            };
            dispatch(isa, lines);
            then(first, y);
        },
    );
}

/// Lines of output `first ..`, counted over all planes.
struct Lines<'a, T> {
    s: &'a UpFirDnShape,
    fx: &'a [T],
    fy: &'a [T],
    vertical: &'a Axis,
    horizontal: &'a Axis,
    /// For more than four taps.
    long: Option<&'a Horizontal<T>>,
    x: &'a [T],
    y: &'a mut [T],
    first: usize,
    oh: usize,
    scratch: &'a mut Scratch<T>,
}

impl<T: Float> Kernel for Lines<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if let Some(long) = self.long {
            return self.run_long(simd, long);
        }
        let (s, up, down) = (self.s, self.horizontal.up, self.horizontal.down);
        let ow = s.out_w();
        let near = |p: i64| (0..=NEAR as i64).contains(&p);
        // The forms that the networks use: factors 1 and 2, four taps, a small padding.
        let fast =
            self.fx.len() == 4 && near(s.padding[0]) && matches!((up, down), (1 | 2, 1) | (1, 2));
        // Enough behind the image for the taps of the last pixel, whatever the padding.
        let behind = (ow * down).saturating_sub(s.w * up) / up + NEAR;
        let before = if fast { NEAR } else { 0 };
        let width = before + s.w + if fast { behind } else { 0 };
        let line = &mut self.scratch.line;
        line.clear();
        line.resize(width, T::zero());
        for (index, y) in self.y.chunks_exact_mut(ow).enumerate() {
            let (plane, i) = (
                (self.first + index) / self.oh,
                (self.first + index) % self.oh,
            );
            let plane = &self.x[plane * s.h * s.w..][..s.h * s.w];
            let inside = &mut line[before..][..s.w];
            vertical(self.vertical, self.fy, plane, i, inside);
            if !fast {
                for (j, value) in y.iter_mut().enumerate() {
                    let mut sum = T::zero();
                    self.horizontal
                        .visit(j, |b, pixel| sum += self.fx[b] * line[pixel]);
                    *value = sum;
                }
                continue;
            }
            let f = [self.fx[0], self.fx[1], self.fx[2], self.fx[3]];
            let padding = s.padding[0] as usize;
            match (up, down) {
                (1, 1) => plain(&line[NEAR - padding..], f, y),
                (1, 2) => halve(&line[NEAR - padding..], f, y),
                _ => double(line, padding, f, y),
            }
        }
    }
}

impl<T: Float> Lines<'_, T> {
    /// The same for more than four taps.
    #[inline(always)]
    fn run_long<S: Simd>(self, _: S, long: &Horizontal<T>) {
        let (s, scratch) = (self.s, self.scratch);
        long.clear(scratch);
        for (index, y) in self.y.chunks_exact_mut(s.out_w()).enumerate() {
            let at = self.first + index;
            let plane = &self.x[at / self.oh * s.h * s.w..][..s.h * s.w];
            let inside = long.line(scratch, s.w);
            vertical(self.vertical, self.fy, plane, at % self.oh, inside);
            long.filter(scratch, y, false);
        }
    }
}

/// The largest padding of the fast forms, in pixels.
const NEAR: usize = 8;

/// One line of the vertical pass: the sum of the rows that meet output row i.
#[inline(always)]
fn vertical<T: Float>(axis: &Axis, fy: &[T], plane: &[T], i: usize, line: &mut [T]) {
    let w = line.len();
    let mut rows = [(T::zero(), 0); 4];
    let mut count = 0;
    axis.visit(i, |a, source| {
        if count < 4 {
            rows[count] = (fy[a], source);
        }
        count += 1;
    });
    let row = |k: usize| &plane[rows[k].1 * w..][..w];
    // Not `map`: its closure is compiled apart, without the instruction set.
    let f = [rows[0].0, rows[1].0, rows[2].0, rows[3].0];
    match count {
        // The counts of the four-tap filters in one pass over the line.
        4 => {
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            for j in 0..w {
                line[j] = a[j] * f[0] + b[j] * f[1] + c[j] * f[2] + d[j] * f[3];
            }
        }
        2 => {
            let (a, b) = (row(0), row(1));
            for j in 0..w {
                line[j] = a[j] * f[0] + b[j] * f[1];
            }
        }
        _ => {
            line.fill(T::zero());
            axis.visit(i, |a, source| {
                for (value, &pixel) in line.iter_mut().zip(&plane[source * w..][..w]) {
                    *value += fy[a] * pixel;
                }
            });
        }
    }
}

/// `y[j] = Σ f[b] x[j + b]`.
#[inline(always)]
fn plain<T: Float>(x: &[T], f: [T; 4], y: &mut [T]) {
    let n = y.len();
    let (a, b, c, d) = (&x[..n], &x[1..][..n], &x[2..][..n], &x[3..][..n]);
    for j in 0..n {
        y[j] = a[j] * f[0] + b[j] * f[1] + c[j] * f[2] + d[j] * f[3];
    }
}

/// `y[j] = Σ f[b] x[2j + b]`.
#[inline(always)]
fn halve<T: Float>(x: &[T], f: [T; 4], y: &mut [T]) {
    let n = y.len();
    let (near, far) = (
        x[..2 * n].as_chunks::<2>().0,
        x[2..][..2 * n].as_chunks::<2>().0,
    );
    for j in 0..n {
        y[j] = near[j][0] * f[0] + near[j][1] * f[1] + far[j][0] * f[2] + far[j][1] * f[3];
    }
}

/// `y[j] = Σ f[b] u[j + b − padding]` with u the zero-stuffed line: two filters of two taps, in turns.
#[inline(always)]
fn double<T: Float>(line: &[T], padding: usize, f: [T; 4], y: &mut [T]) {
    // Output j meets pixel (j + b − padding) / 2 for the b of j's and padding's parity.
    let phase = |j: usize| {
        let b = (j + padding) % 2;
        // (j + b − padding) / 2, shifted by the zeros in front; the difference is even, and padding ≤ NEAR.
        ((NEAR * 2 + j + b - padding) / 2, f[b], f[b + 2])
    };
    let pairs = y.len() / 2;
    let ((start0, p0, q0), (start1, p1, q1)) = (phase(0), phase(1));
    let (a, b) = (&line[start0..][..pairs], &line[start0 + 1..][..pairs]);
    let (c, d) = (&line[start1..][..pairs], &line[start1 + 1..][..pairs]);
    let (both, last) = y.as_chunks_mut::<2>();
    for j in 0..pairs {
        both[j] = [a[j] * p0 + b[j] * q0, c[j] * p1 + d[j] * q1];
    }
    if let [last] = last {
        *last = line[start0 + pairs] * p0 + line[start0 + pairs + 1] * q0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain;
    use crate::testing::{assert_close, noise};

    /// Every factor, padding and odd size of the fast forms, on every instruction set.
    #[test]
    fn four_taps_agree_with_plain() {
        for (up, down) in [(1, 1), (2, 1), (1, 2)] {
            for (w, before, after) in [1, 2, 3, 16, 17, 37].into_iter().flat_map(|w| {
                [
                    (w, 0, 3),
                    (w, 1, 2),
                    (w, 2, 1),
                    (w, 3, 3),
                    (w, 8, 9),
                    (w, 9, 4),
                    (w, 4, -1),
                    (w, 3, 40),
                ]
            }) {
                let s = UpFirDnShape {
                    planes: 2,
                    h: 5,
                    w,
                    fh: 4,
                    fw: 4,
                    up: [up, up],
                    down: [down, down],
                    padding: [before, after, 2, 1],
                    flip: false,
                    gain: 0.7,
                };
                if s.check().is_err() {
                    continue;
                }
                let x = noise::<f32>(2 * 5 * w, 1);
                let (fx, fy) = (noise::<f32>(4, 2), noise::<f32>(4, 3));
                let filter: Vec<f32> = fy
                    .iter()
                    .flat_map(|&y| fx.iter().map(move |&x| x * y))
                    .collect();
                let len = 2 * s.out_h() * s.out_w();
                let mut want = vec![0.0; len];
                plain::upfirdn2d(&s, &filter, &x, &mut want);
                for isa in Isa::available() {
                    let mut got = vec![f32::NAN; len];
                    run(isa, &s, [&fx, &fy], &x, &mut got, |_, _| ());
                    assert_close(&got, &want, 1e-6);
                }
            }
        }
    }
}
