//! The micro-kernel under all convolutions: a register tile of a matrix product, gathered from runs.
//!
//! `c[i][v] += Σ_runs Σ_k a[i·a_row + k·a_step] · b[k·b_step + v·b_vector]`: `a` is read value by value and broadcast, `b`
//! as vectors of sixteen. A *run* is a stretch of k over which both sides advance evenly, such as the taps of one
//! kernel row times the channels of one block. A convolution is a few runs per block of channels, without any
//! buffer of unfolded columns.
//!
//! On AVX-512 a tile is 14 rows of 2 vectors: 28 accumulators hide the latency of the multiply-add several times over, and
//! 16 loads for 28 multiply-adds leave the load ports idle half the time, also where `b` comes from the second-level
//! cache. (Measured on Zen 4: any tile from 4 × 2 upwards runs at 93 to 100 % of the peak.)

use crate::simd::{Kernel, LANES, Simd};

/// How a tile walks its operands. Distances count f32 elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    /// From one row of the tile to the next, in `a`.
    pub a_row: usize,
    /// From one k to the next, in `a`.
    pub a_step: usize,
    /// From one k to the next, in `b`.
    pub b_step: usize,
    /// From one vector to the next, in `b`.
    pub b_vector: usize,
    /// Values of k in a run.
    pub len: usize,
}

/// Where a run starts in `a` and `b`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Run {
    pub a: usize,
    pub b: usize,
}

/// Where a tile lands: `c[i·row + v·vector + lane]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub row: usize,
    pub vector: usize,
    /// Add to what is there, or overwrite it.
    pub add: bool,
}

/// A product: a matrix of `size` (rows, vectors) from the top left of `c`, tile by tile.
/// The rows are split evenly, so that 16 rows are 8 + 8 and not 14 + 2.
pub(crate) struct Product<'a> {
    pub size: (usize, usize),
    pub walk: Walk,
    pub runs: &'a [Run],
    pub a: &'a [f32],
    pub b: &'a [f32],
    pub c: &'a mut [f32],
    pub place: Place,
}

impl Product<'_> {
    /// Panics if the product would leave its slices.
    #[inline(always)]
    fn check(&self) {
        let ((rows, vectors), walk, place) = (self.size, self.walk, self.place);
        assert!((rows - 1) * place.row + (vectors - 1) * place.vector + LANES <= self.c.len());
        if walk.len > 0 {
            let a_reach = (rows - 1) * walk.a_row + (walk.len - 1) * walk.a_step;
            let b_reach = (vectors - 1) * walk.b_vector + (walk.len - 1) * walk.b_step + LANES - 1;
            for run in self.runs {
                assert!(run.a + a_reach < self.a.len() && run.b + b_reach < self.b.len());
            }
        }
    }
}

impl Kernel for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ((rows, vectors), walk, place) = (self.size, self.walk, self.place);
        if rows == 0 || vectors == 0 {
            return;
        }
        self.check();
        let tiles = rows.div_ceil(S::ROWS);
        let mut first_vector = 0;
        while first_vector < vectors {
            let n = S::VECTORS.min(vectors - first_vector);
            let mut row = 0;
            for tile in 0..tiles {
                let r = (rows - row).div_ceil(tiles - tile);
                // SAFETY: `check` covers the farthest element of the whole matrix, and a tile is a part of it.
                unsafe {
                    let a = self.a.as_ptr().add(row * walk.a_row);
                    let b = self.b.as_ptr().add(first_vector * walk.b_vector);
                    let c = self
                        .c
                        .as_mut_ptr()
                        .add(row * place.row + first_vector * place.vector);
                    choose(s, r, n, walk, self.runs, a, b, c, place);
                }
                row += r;
            }
            first_vector += n;
        }
    }
}

/// Picks the tile compiled for `r` rows and `n` vectors.
///
/// # Safety
/// As [`tile`], for `r` rows and `n` vectors; 1 ≤ r ≤ S::ROWS, 1 ≤ n ≤ S::VECTORS.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn choose<S: Simd>(
    s: S,
    r: usize,
    n: usize,
    walk: Walk,
    runs: &[Run],
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    place: Place,
) {
    macro_rules! sizes {
        ($($r:literal)*) => {
            match (r, n) {
                $(
                    // SAFETY: handed on.
                    ($r, 1) if $r <= S::ROWS => unsafe {
                        tile::<S, $r, 1>(s, walk, runs, a, b, c, place);
                    },
                    // SAFETY: handed on.
                    ($r, 2) if $r <= S::ROWS && S::VECTORS >= 2 => unsafe {
                        tile::<S, $r, 2>(s, walk, runs, a, b, c, place);
                    },
                )*
                _ => unreachable!("a tile of {r} rows and {n} vectors"),
            }
        };
    }
    sizes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14);
}

/// Terms that are summed in registers before they are added to memory. A sum of n terms one by one
/// is off by about √n roundings; in parts of 128 it is off by √(128 + n/128). Writing a tile that
/// often makes no difference that could be measured.
const TERMS: usize = 128;

/// One tile of `R` rows and `N` vectors.
///
/// # Safety
/// All that the walk reaches from each run's start lies in the memory of `a` and `b`: rows 0..R, k 0..len, vectors 0..N
/// of 16 lanes. `c` is valid for the tile.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const N: usize>(
    s: S,
    walk: Walk,
    runs: &[Run],
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    place: Place,
) {
    let mut acc = [[s.splat(0.0); N]; R];
    let (mut add, mut terms) = (place.add, 0);
    for run in runs {
        if terms >= TERMS {
            // SAFETY: the caller vouches for the tile in c.
            unsafe { put(s, &acc, c, place, add) };
            acc = [[s.splat(0.0); N]; R];
            (add, terms) = (true, 0);
        }
        terms += walk.len;
        // Wrapping, since the step after a run's last k may leave the slice; nothing is read there.
        let (mut a, mut b) = (a.wrapping_add(run.a), b.wrapping_add(run.b));
        for _ in 0..walk.len {
            // SAFETY: the caller vouches for every element that the walk reaches.
            unsafe {
                let bs: [S::V; N] = s.load_rows(b, walk.b_vector);
                for i in 0..R {
                    let x = s.splat(*a.add(i * walk.a_row));
                    for v in 0..N {
                        acc[i][v] = s.mul_add(x, bs[v], acc[i][v]);
                    }
                }
            }
            a = a.wrapping_add(walk.a_step);
            b = b.wrapping_add(walk.b_step);
        }
    }
    // SAFETY: the caller vouches for the tile in c.
    unsafe { put(s, &acc, c, place, add) };
}

/// Writes a tile's sums to `c`, or adds them to what is there.
///
/// # Safety
/// `c` is valid for the tile.
#[inline(always)]
unsafe fn put<S: Simd, const R: usize, const N: usize>(
    s: S,
    acc: &[[S::V; N]; R],
    c: *mut f32,
    place: Place,
    add: bool,
) {
    for i in 0..R {
        for v in 0..N {
            // SAFETY: the caller vouches for the tile in c.
            unsafe {
                let to = c.add(i * place.row + v * place.vector);
                let sum = if add {
                    s.add(acc[i][v], s.load(to))
                } else {
                    acc[i][v]
                };
                s.store(sum, to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, dispatch};
    use crate::testing::{assert_close, noise};

    #[test]
    fn every_tile_size_agrees_with_the_formula() {
        let runs = [
            Run { a: 3, b: 16 },
            Run { a: 0, b: 112 },
            Run { a: 40, b: 0 },
        ];
        for (rows, vectors, len) in
            (1..=31).flat_map(|r| [(r, 1, 5), (r, 2, 1), (r, 3, 0), (r, 4, 7)])
        {
            let walk = Walk {
                a_row: 5,
                a_step: 2,
                b_step: 80,
                b_vector: 16,
                len,
            };
            let (a, b) = (noise::<f32>(300, 1), noise::<f32>(1000, 2));
            for (isa, add) in Isa::available()
                .into_iter()
                .flat_map(|i| [(i, false), (i, true)])
            {
                let place = Place {
                    row: 70,
                    vector: 17,
                    add,
                };
                let mut c = noise::<f32>(31 * 70, 3);
                let mut want = c.clone();
                for (i, v, lane) in
                    (0..rows * vectors * 16).map(|e| (e / (vectors * 16), e / 16 % vectors, e % 16))
                {
                    let mut sum = 0.0;
                    for (run, k) in runs.iter().flat_map(|r| (0..len).map(move |k| (r, k))) {
                        sum += a[run.a + i * 5 + k * 2] * b[run.b + k * 80 + v * 16 + lane];
                    }
                    let at = i * 70 + v * 17 + lane;
                    // Vectors overlap by no lane, so each place is written once.
                    want[at] = if add { want[at] + sum } else { sum };
                }
                let kernel = Product {
                    size: (rows, vectors),
                    walk,
                    runs: &runs,
                    a: &a,
                    b: &b,
                    c: &mut c,
                    place,
                };
                dispatch(isa, kernel);
                assert_close(&c, &want, 1e-6);
            }
        }
    }

    #[test]
    #[should_panic(expected = "assertion failed")]
    fn a_walk_out_of_bounds_is_caught() {
        let walk = Walk {
            a_row: 1,
            a_step: 1,
            b_step: 16,
            b_vector: 16,
            len: 4,
        };
        let place = Place {
            row: 16,
            vector: 16,
            add: false,
        };
        let (a, b, mut c) = ([0.0; 6], [0.0; 64], [0.0; 64]);
        let kernel = Product {
            size: (4, 1),
            walk,
            runs: &[Run::default()],
            a: &a,
            b: &b,
            c: &mut c,
            place,
        };
        dispatch(Isa::Portable, kernel);
    }
}
