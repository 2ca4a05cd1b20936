//! Sixteen lanes as an array: the compiler turns the loops into whatever vectors the target has by default.

use super::{Block, Kernel, LANES, Simd};

/// Needs nothing.
#[derive(Clone, Copy)]
pub struct Portable;

impl Simd for Portable {
    type V = [f32; LANES];
    /// 3 × 4 registers of accumulators leave four of SSE2's sixteen for the operands; NEON has 32.
    const ROWS: usize = if cfg!(target_arch = "aarch64") { 6 } else { 3 };
    const VECTORS: usize = 1;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        run(kernel)
    }
    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }
    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Without the instruction, a fused multiply-add is a slow library call.
        if cfg!(target_arch = "aarch64") {
            let mut out = a;
            for i in 0..LANES {
                out[i] = a[i].mul_add(b[i], c[i]);
            }
            out
        } else {
            let mut out = a;
            for i in 0..LANES {
                out[i] = a[i] * b[i] + c[i];
            }
            out
        }
    }
    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        let mut out = a;
        for i in 0..LANES {
            out[i] = a[i] + b[i];
        }
        out
    }
    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        let mut out = a;
        for i in 0..LANES {
            out[i] = a[i] - b[i];
        }
        out
    }
    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        let mut out = a;
        for i in 0..LANES {
            out[i] = a[i] * b[i];
        }
        out
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller vouches for 16 f32; f32 arrays need no more alignment than f32.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, value: Self::V, to: *mut f32) {
        // SAFETY: the caller vouches for 16 f32.
        unsafe { to.cast::<Self::V>().write_unaligned(value) }
    }
    #[inline(always)]
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES] {
        transpose_by_memory(self, rows)
    }
}

/// Compiles and runs a kernel.
#[inline(never)]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Portable)
}

/// Writes the rows down and reads the columns back, scalar by scalar.
#[inline(always)]
pub fn transpose_by_memory<S: Simd>(s: S, rows: [S::V; LANES]) -> [S::V; LANES] {
    let mut before = [Block::ZERO; LANES];
    for i in 0..LANES {
        s.put(rows[i], &mut before[i]);
    }
    let mut columns = rows;
    for (i, column) in columns.iter_mut().enumerate() {
        let mut block = Block::ZERO;
        for j in 0..LANES {
            block.0[j] = before[j].0[i];
        }
        *column = s.get(&block);
    }
    columns
}
