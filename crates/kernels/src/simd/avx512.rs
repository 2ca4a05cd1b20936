//! AVX-512: one register holds the sixteen lanes.

use std::arch::x86_64::*;

use super::{Kernel, LANES, Simd};

/// Proof that the processor has AVX-512 F, VL and DQ.
#[derive(Clone, Copy)]
pub struct Avx512(());

/// Compiles and runs a kernel with AVX-512.
///
/// # Safety
/// The processor has AVX-512 F, VL and DQ, AVX2 and FMA.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
pub unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512(()))
}

// SAFETY of the blocks below: a value of Avx512 exists only inside `run`, whose caller has the instructions.
#[allow(clippy::undocumented_unsafe_blocks)]
impl Simd for Avx512 {
    type V = __m512;
    /// 14 × 2 accumulators, two vectors and one broadcast fill 31 of the 32 registers.
    const ROWS: usize = 14;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn outline<K: Kernel>(self, kernel: K) -> K::Output {
        unsafe { run(kernel) }
    }
    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, value: __m512, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, value) }
    }

    #[inline(always)]
    fn transpose(self, r: [__m512; LANES]) -> [__m512; LANES] {
        unsafe {
            // Pairs of rows interleaved, then pairs of pairs: 4 × 4 squares inside each 128-bit quarter.
            let mut t = r;
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            let mut u = t;
            for i in 0..4 {
                let (a, b, c, d) = (t[4 * i], t[4 * i + 1], t[4 * i + 2], t[4 * i + 3]);
                u[4 * i] = _mm512_shuffle_ps::<0x44>(a, c);
                u[4 * i + 1] = _mm512_shuffle_ps::<0xee>(a, c);
                u[4 * i + 2] = _mm512_shuffle_ps::<0x44>(b, d);
                u[4 * i + 3] = _mm512_shuffle_ps::<0xee>(b, d);
            }
            // u[4 i + j], quarter q holds column 4 q + j of rows 4 i .. 4 i + 4: now move the quarters.
            let mut v = u;
            for j in 0..4 {
                let (a, b, c, d) = (u[j], u[4 + j], u[8 + j], u[12 + j]);
                let (ab0, ab1) = (
                    _mm512_shuffle_f32x4::<0x88>(a, b),
                    _mm512_shuffle_f32x4::<0xdd>(a, b),
                );
                let (cd0, cd1) = (
                    _mm512_shuffle_f32x4::<0x88>(c, d),
                    _mm512_shuffle_f32x4::<0xdd>(c, d),
                );
                v[j] = _mm512_shuffle_f32x4::<0x88>(ab0, cd0);
                v[8 + j] = _mm512_shuffle_f32x4::<0xdd>(ab0, cd0);
                v[4 + j] = _mm512_shuffle_f32x4::<0x88>(ab1, cd1);
                v[12 + j] = _mm512_shuffle_f32x4::<0xdd>(ab1, cd1);
            }
            v
        }
    }
}
