//! Sixteen f32 lanes at a time, on whatever the processor has.
//!
//! A kernel is written once, generic over [`Simd`], and compiled once per instruction set. [`dispatch`] enters it
//! through a function that carries the instruction set's attribute; everything below must be `#[inline(always)]`, or it
//! would be compiled without. The lane count is sixteen everywhere (two AVX2 registers, four NEON registers), so that
//! blocked layouts do not depend on the machine.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use std::sync::OnceLock;

/// f32 lanes of a vector: one AVX-512 register, one cache line.
pub const LANES: usize = 16;

/// One vector in memory. Aligned, so that no load crosses a cache line.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Block(pub [f32; LANES]);

impl Block {
    /// All lanes zero.
    pub const ZERO: Self = Self([0.0; LANES]);
}

/// The elements of blocks, as one slice.
pub fn flat(blocks: &[Block]) -> &[f32] {
    // SAFETY: a Block is 16 f32 without padding (size 64, alignment 64).
    unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast(), blocks.len() * LANES) }
}

/// The elements of blocks, as one mutable slice.
pub fn flat_mut(blocks: &mut [Block]) -> &mut [f32] {
    // SAFETY: as in `flat`; the borrow is exclusive and any f32 is a valid lane.
    unsafe { std::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), blocks.len() * LANES) }
}

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// What the compiler makes of plain arrays: SSE2 on x86-64, NEON on AArch64.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

impl Isa {
    /// The best one that this processor has.
    #[must_use]
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().last().copied().unwrap_or(Self::Portable))
    }

    /// All that this processor has, the best one last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                all.push(Self::Avx2);
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                {
                    all.push(Self::Avx512);
                }
            }
        }
        all
    }

    /// The size of the register tile: rows (broadcast operand) and vectors (loaded operand).
    pub(crate) const fn tile(self) -> (usize, usize) {
        match self {
            Self::Portable => (portable::Portable::ROWS, portable::Portable::VECTORS),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => (avx2::Avx2::ROWS, avx2::Avx2::VECTORS),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => (avx512::Avx512::ROWS, avx512::Avx512::VECTORS),
            #[cfg(not(target_arch = "x86_64"))]
            _ => (portable::Portable::ROWS, portable::Portable::VECTORS),
        }
    }
}

/// Arithmetic on sixteen lanes. A value of an implementing type is the proof that the processor has the instructions;
/// only [`dispatch`] makes one.
pub trait Simd: Copy {
    /// Sixteen f32.
    type V: Copy;
    /// Most rows of a register tile, see [`crate::conv`]'s micro-kernel.
    const ROWS: usize;
    /// Most vectors of a register tile's row.
    const VECTORS: usize;

    /// All lanes the same.
    fn splat(self, value: f32) -> Self::V;
    /// `a · b + c`, fused where the processor can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Sum.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// Difference.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// Product.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// Reads 16 values.
    ///
    /// # Safety
    /// `from` is valid for reading 16 f32. It need not be aligned.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// Writes 16 values.
    ///
    /// # Safety
    /// `to` is valid for writing 16 f32. It need not be aligned.
    unsafe fn store(self, value: Self::V, to: *mut f32);
    /// Row i, lane j becomes row j, lane i.
    fn transpose(self, rows: [Self::V; LANES]) -> [Self::V; LANES];

    /// Runs a kernel on the same instruction set as a call of its own: what is used in several places is compiled once.
    fn outline<K: Kernel>(self, kernel: K) -> K::Output;

    /// Reads `N` vectors that lie `stride` f32 apart.
    ///
    /// # Safety
    /// `from + i · stride` is valid for reading 16 f32, for each i below `N`.
    #[inline(always)]
    unsafe fn load_rows<const N: usize>(self, from: *const f32, stride: usize) -> [Self::V; N] {
        // A loop and no closure: the compiler keeps closures of some calls apart, and then compiles them without the
        // instruction set.
        let mut rows = [self.splat(0.0); N];
        for (i, row) in rows.iter_mut().enumerate() {
            // SAFETY: the caller vouches for it.
            *row = unsafe { self.load(from.add(i * stride)) };
        }
        rows
    }

    /// Reads a block.
    #[inline(always)]
    fn get(self, block: &Block) -> Self::V {
        // SAFETY: a block is 16 f32.
        unsafe { self.load(block.0.as_ptr()) }
    }
    /// Writes a block.
    #[inline(always)]
    fn put(self, value: Self::V, block: &mut Block) {
        // SAFETY: a block is 16 f32, exclusively borrowed.
        unsafe { self.store(value, block.0.as_mut_ptr()) }
    }
}

/// A piece of work that is compiled for each instruction set.
pub trait Kernel {
    /// What it gives.
    type Output;
    /// The work. Must be `#[inline(always)]`, as all that it calls in its loops.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs a kernel on an instruction set; on the portable one where the processor lacks it.
pub fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `best` has found the instruction set or a better one, which contains it.
        Isa::Avx512 if Isa::best() >= isa => unsafe { avx512::run(kernel) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 if Isa::best() >= isa => unsafe { avx2::run(kernel) },
        _ => portable::run(kernel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    struct All<'a>(&'a [f32]);

    impl Kernel for All<'_> {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            let (rows, rest) = self.0.as_chunks::<LANES>();
            assert!(rest.is_empty());
            let rows: [S::V; LANES] = std::array::from_fn(|i| s.get(&Block(rows[i])));
            let mut out = Vec::new();
            let mut keep = |v: S::V| {
                let mut block = Block::ZERO;
                s.put(v, &mut block);
                out.extend(block.0);
            };
            keep(s.mul_add(rows[0], rows[1], rows[2]));
            keep(s.sub(s.add(rows[3], rows[4]), s.mul(rows[5], s.splat(3.0))));
            s.transpose(rows).into_iter().for_each(keep);
            out
        }
    }

    #[test]
    fn every_instruction_set_computes_the_same() {
        let x = noise::<f32>(LANES * LANES, 1);
        let mut want = Vec::new();
        want.extend((0..16).map(|i| x[i].mul_add(x[16 + i], x[32 + i])));
        want.extend((0..16).map(|i| x[48 + i] + x[64 + i] - x[80 + i] * 3.0));
        want.extend((0..256).map(|i| x[i % 16 * 16 + i / 16]));
        for isa in Isa::available() {
            crate::testing::assert_close(&dispatch(isa, All(&x)), &want, 1e-6);
        }
    }
}
