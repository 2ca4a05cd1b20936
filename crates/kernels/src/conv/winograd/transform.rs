//! The small transforms, on sixteen channels at a time: for tiles of two by two outputs, and of four by four.

use crate::simd::Simd;

/// What F(OUT × OUT, 3 × 3) does to a tile of the input, whose side is IN = OUT + 2, and to one of the output.
pub(super) trait Filter<const OUT: usize, const IN: usize>: Copy + Sync {
    /// `Bᵀ d B`.
    fn input<S: Simd>(s: S, d: [[S::V; IN]; IN]) -> [[S::V; IN]; IN];
    /// `Aᵀ m A`.
    fn output<S: Simd>(s: S, m: [[S::V; IN]; IN]) -> [[S::V; OUT]; OUT];
    /// `G g Gᵀ`.
    fn weight<S: Simd>(s: S, g: [[S::V; 3]; 3]) -> [[S::V; IN]; IN];
    /// `A y Aᵀ`.
    fn gradient<S: Simd>(s: S, y: [[S::V; OUT]; OUT]) -> [[S::V; IN]; IN];
    /// `Gᵀ m G`.
    fn product<S: Simd>(s: S, m: [[S::V; IN]; IN]) -> [[S::V; 3]; 3];
}

/// F(2 × 2, 3 × 3).
#[derive(Clone, Copy)]
pub(super) struct Two;

/// F(4 × 4, 3 × 3).
#[derive(Clone, Copy)]
pub(super) struct Four;

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
fn weight4<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; 4] {
    let half = s.splat(0.5);
    let (outer, inner) = (s.mul(half, s.add(g[0], g[2])), s.mul(half, g[1]));
    [g[0], s.add(outer, inner), s.sub(outer, inner), g[2]]
}

/// `A y` for one column of two.
#[inline(always)]
fn gradient4<S: Simd>(s: S, y: [S::V; 2]) -> [S::V; 4] {
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

/// The points of [`Four`] but 0 and infinity: ± 3/4 and ± 3/2, in f32 exact with all that follows from them.
const A: f32 = 0.75;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;

/// What `G`'s rows are divided by: the products of a point's distances from the others.
const AT_0: f32 = A2 * B2;
const AT_A: f32 = 2.0 * A2 * (A2 - B2);
const AT_B: f32 = 2.0 * B2 * (B2 - A2);

/// From what the points ± p have in common and what sets them apart to the places of all six points.
#[inline(always)]
fn places<S: Simd>(s: S, at_0: S::V, a: [S::V; 2], b: [S::V; 2], at_infinity: S::V) -> [S::V; 6] {
    [
        at_0,
        s.add(a[0], a[1]),
        s.sub(a[0], a[1]),
        s.add(b[0], b[1]),
        s.sub(b[0], b[1]),
        at_infinity,
    ]
}

/// The transpose of [`places`], of the points ± p.
#[inline(always)]
fn halves<S: Simd>(s: S, m: [S::V; 6]) -> [[S::V; 2]; 2] {
    [
        [s.add(m[1], m[2]), s.sub(m[1], m[2])],
        [s.add(m[3], m[4]), s.sub(m[3], m[4])],
    ]
}

/// `a · x + b · y`.
#[inline(always)]
fn both<S: Simd>(s: S, a: f32, x: S::V, b: f32, y: S::V) -> S::V {
    s.mul_add(s.splat(a), x, s.mul(s.splat(b), y))
}

/// `Bᵀ d` for one column of six: a row holds the coefficients of the product of `x − q` over all points q but its own.
#[inline(always)]
fn input6<S: Simd>(s: S, d: [S::V; 6]) -> [S::V; 6] {
    let (sum, product) = (s.splat(-A2 - B2), s.splat(A2 * B2));
    let (a2, b2) = (s.splat(-A2), s.splat(-B2));
    let odd_a = s.mul(s.splat(A), s.mul_add(b2, d[1], d[3]));
    let odd_b = s.mul(s.splat(B), s.mul_add(a2, d[1], d[3]));
    places(
        s,
        s.mul_add(product, d[0], s.mul_add(sum, d[2], d[4])),
        [s.mul_add(b2, d[2], d[4]), odd_a],
        [s.mul_add(a2, d[2], d[4]), odd_b],
        s.mul_add(product, d[1], s.mul_add(sum, d[3], d[5])),
    )
}

/// `Aᵀ m` for one column of six: row i holds the points to the power of i.
#[inline(always)]
fn output6<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 4] {
    let [a, b] = halves(s, m);
    [
        s.add(m[0], s.add(a[0], b[0])),
        both(s, A, a[1], B, b[1]),
        both(s, A2, a[0], B2, b[0]),
        s.add(both(s, A2 * A, a[1], B2 * B, b[1]), m[5]),
    ]
}

/// `G g` for one column of three: row p holds the powers of its point, divided.
#[inline(always)]
fn weight6<S: Simd>(s: S, g: [S::V; 3]) -> [S::V; 6] {
    places(
        s,
        s.mul(s.splat(1.0 / AT_0), g[0]),
        [
            both(s, A2 / AT_A, g[2], 1.0 / AT_A, g[0]),
            s.mul(s.splat(A / AT_A), g[1]),
        ],
        [
            both(s, B2 / AT_B, g[2], 1.0 / AT_B, g[0]),
            s.mul(s.splat(B / AT_B), g[1]),
        ],
        g[2],
    )
}

/// `A y` for one column of four.
#[inline(always)]
fn gradient6<S: Simd>(s: S, y: [S::V; 4]) -> [S::V; 6] {
    let (a2, b2) = (s.splat(A2), s.splat(B2));
    let odd_a = s.mul(s.splat(A), s.mul_add(a2, y[3], y[1]));
    let odd_b = s.mul(s.splat(B), s.mul_add(b2, y[3], y[1]));
    places(
        s,
        y[0],
        [s.mul_add(a2, y[2], y[0]), odd_a],
        [s.mul_add(b2, y[2], y[0]), odd_b],
        y[3],
    )
}

/// `Gᵀ m` for one column of six.
#[inline(always)]
fn product6<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 3] {
    let [a, b] = halves(s, m);
    let zeroth = both(s, 1.0 / AT_A, a[0], 1.0 / AT_B, b[0]);
    [
        s.mul_add(s.splat(1.0 / AT_0), m[0], zeroth),
        both(s, A / AT_A, a[1], B / AT_B, b[1]),
        s.add(both(s, A2 / AT_A, a[0], B2 / AT_B, b[0]), m[5]),
    ]
}

/// Applies a one-dimensional transform to the columns and then to the rows of a square.
macro_rules! both_ways {
    ($name:ident, $one:ident, $from:literal, $to:literal) => {
        #[inline(always)]
        fn $name<S: Simd>(s: S, x: [[S::V; $from]; $from]) -> [[S::V; $to]; $to] {
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

impl Filter<2, 4> for Two {
    both_ways!(input, input4, 4, 4);
    both_ways!(output, output4, 4, 2);
    both_ways!(weight, weight4, 3, 4);
    both_ways!(gradient, gradient4, 2, 4);
    both_ways!(product, product4, 4, 3);
}

impl Filter<4, 6> for Four {
    both_ways!(input, input6, 6, 6);
    both_ways!(output, output6, 6, 4);
    both_ways!(weight, weight6, 3, 6);
    both_ways!(gradient, gradient6, 4, 6);
    both_ways!(product, product6, 6, 3);
}

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
