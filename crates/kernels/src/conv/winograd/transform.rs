//! The four small transforms, on sixteen channels at a time.

use crate::simd::Simd;

/// `Bᵀ d` for one column of four.
#[inline(always)]
fn input4<S: Simd>(s: S, d: [S::V; 4]) -> [S::V; 4] {
    [
        s.sub(d[0], d[2]),
        s.add(d[1], d[2]),
        s.sub(d[2], d[1]),
        s.sub(d[1], d[3]),
    ]
}

/// `Aᵀ m` for one column of four.
#[inline(always)]
fn output4<S: Simd>(s: S, m: [S::V; 4]) -> [S::V; 2] {
    [
        s.add(s.add(m[0], m[1]), m[2]),
        s.sub(s.sub(m[1], m[2]), m[3]),
    ]
}

/// `G g` for one column of three.
#[inline(always)]
fn weight3<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; 4] {
    let half = s.splat(0.5);
    let (outer, inner) = (s.mul(half, s.add(g[0], g[2])), s.mul(half, g[1]));
    [g[0], s.add(outer, inner), s.sub(outer, inner), g[2]]
}

/// `A y` for one column of two.
#[inline(always)]
fn gradient2<S: Simd>(s: S, y: [S::V; 2]) -> [S::V; 4] {
    [
        y[0],
        s.add(y[0], y[1]),
        s.sub(y[0], y[1]),
        s.sub(s.splat(0.0), y[1]),
    ]
}

/// `Gᵀ m` for one column of four.
#[inline(always)]
fn product4<S: Simd>(s: S, m: [S::V; 4]) -> [S::V; 3] {
    let half = s.splat(0.5);
    let (sum, difference) = (
        s.mul(half, s.add(m[1], m[2])),
        s.mul(half, s.sub(m[1], m[2])),
    );
    [s.add(m[0], sum), difference, s.add(sum, m[3])]
}

/// Applies a one-dimensional transform to the columns and then to the rows of a square.
macro_rules! both_ways {
    ($name:ident, $one:ident, $from:literal, $to:literal, $doc:literal) => {
        #[doc = $doc]
        #[inline(always)]
        pub(super) fn $name<S: Simd>(s: S, x: [[S::V; $from]; $from]) -> [[S::V; $to]; $to] {
            // Loops and no closures, see `Simd::load_rows`.
            let nothing = s.splat(0.0);
            let mut columns = [[nothing; $from]; $to];
            for j in 0..$from {
                let mut column = [nothing; $from];
                for i in 0..$from {
                    column[i] = x[i][j];
                }
                let column = $one(s, column);
                for i in 0..$to {
                    columns[i][j] = column[i];
                }
            }
            let mut out = [[nothing; $to]; $to];
            for i in 0..$to {
                out[i] = $one(s, columns[i]);
            }
            out
        }
    };
}

both_ways!(input, input4, 4, 4, "`Bᵀ d B`.");
both_ways!(output, output4, 4, 2, "`Aᵀ m A`.");
both_ways!(weight, weight3, 3, 4, "`G g Gᵀ`.");
both_ways!(gradient, gradient2, 2, 4, "`A y Aᵀ`.");
both_ways!(product, product4, 4, 3, "`Gᵀ m G`.");

/// Reads a square of vectors whose rows are `pitch` and whose columns are `step` apart.
#[inline(always)]
pub(super) fn read<S: Simd, const N: usize>(
    s: S,
    from: &[f32],
    pitch: usize,
    step: usize,
) -> [[S::V; N]; N] {
    assert!((N - 1) * (pitch + step) + crate::simd::LANES <= from.len());
    let mut rows = [[s.splat(0.0); N]; N];
    for (i, row) in rows.iter_mut().enumerate() {
        // SAFETY: the assert bounds the last of the vectors.
        *row = unsafe { s.load_rows(from.as_ptr().add(i * pitch), step) };
    }
    rows
}

/// Writes a square of vectors, see [`read`].
#[inline(always)]
pub(super) fn write<S: Simd, const N: usize>(
    s: S,
    values: [[S::V; N]; N],
    to: &mut [f32],
    pitch: usize,
    step: usize,
) {
    assert!((N - 1) * (pitch + step) + crate::simd::LANES <= to.len());
    for (i, row) in values.into_iter().enumerate() {
        for (j, value) in row.into_iter().enumerate() {
            // SAFETY: the assert bounds the last of the vectors.
            unsafe { s.store(value, to.as_mut_ptr().add(i * pitch + j * step)) };
        }
    }
}
