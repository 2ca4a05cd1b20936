//! Work buffers that outlive a call, so that a training step allocates hardly anything after the first.
//!
//! Each thread keeps its own few; a buffer is taken out while in use, so nested and stolen work cannot meet it.
//! What a buffer holds when taken is unspecified: whoever takes one writes before reading. The crate's own
//! tests fill it with NaN to hold kernels to that.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use crate::Float;
use crate::simd::{Block, LANES};

/// Buffers that a thread keeps. A convolution holds at most four at once on the calling thread and three on a worker.
const KEPT: usize = 8;

/// Blocks of the largest buffer that a thread keeps, 32 MiB. A larger one takes longer to fill than to get, and several of them,
/// on each thread that ever needed some, would be more than a network's activations.
const LARGEST: usize = (32 << 20) / size_of::<Block>();

thread_local! {
    static POOL: RefCell<Vec<Vec<Block>>> = const { RefCell::new(Vec::new()) };
}

/// A borrowed buffer; goes back to this thread's pool when dropped.
pub(crate) struct Scratch {
    blocks: Vec<Block>,
    len: usize,
}

/// A buffer of at least `floats` f32, rounded up to whole blocks, with unspecified contents.
pub(crate) fn take(floats: usize) -> Scratch {
    let len = floats.div_ceil(LANES);
    let mut blocks = POOL.with_borrow_mut(|pool| {
        // The smallest that is large enough; else the largest, to grow.
        let fit = (0..pool.len())
            .filter(|&i| pool[i].len() >= len)
            .min_by_key(|&i| pool[i].len());
        let found = fit.or_else(|| (0..pool.len()).max_by_key(|&i| pool[i].len()));
        found.map(|i| pool.swap_remove(i)).unwrap_or_default()
    });
    if blocks.len() < len {
        // Not `resize`: that would copy the old contents.
        blocks = vec![Block::ZERO; len];
    }
    if cfg!(test) {
        blocks[..len].fill(Block([f32::NAN; LANES]));
    }
    Scratch { blocks, len }
}

/// A buffer for at least `len` values of a type, see [`take`].
pub(crate) fn take_for<T: Float>(len: usize) -> Scratch {
    take(len * (size_of::<T>() / size_of::<f32>()))
}

/// The first `len` values of a type in a buffer.
pub(crate) fn values<T: Float>(blocks: &mut [Block], len: usize) -> &mut [T] {
    assert!(len * size_of::<T>() <= size_of_val(blocks));
    // SAFETY: T is f32 or f64 (the trait is sealed), for which any bits are a value; a block is aligned to 64 bytes,
    // the length is checked above, and the borrow is exclusive.
    unsafe { std::slice::from_raw_parts_mut(blocks.as_mut_ptr().cast(), len) }
}

impl Deref for Scratch {
    type Target = [Block];
    fn deref(&self) -> &[Block] {
        &self.blocks[..self.len]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [Block] {
        &mut self.blocks[..self.len]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let blocks = std::mem::take(&mut self.blocks);
        if blocks.len() > LARGEST {
            return;
        }
        // While a thread ends its pool may be gone; then the buffer just goes too.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            pool.push(blocks);
            if pool.len() > KEPT {
                let smallest = (0..pool.len()).min_by_key(|&i| pool[i].len());
                smallest.map(|i| pool.swap_remove(i));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let first = take(100);
        let at = first.as_ptr();
        assert_eq!(first.len(), 7);
        drop(first);
        let again = take(50);
        assert_eq!(again.as_ptr(), at);
        let mut other = take(50);
        assert_ne!(other.as_ptr(), at);
        assert!(other.iter().all(|b| b.0.iter().all(|x| x.is_nan())));
        assert_eq!(values::<f64>(&mut other, 25).len(), 25);
    }

    #[test]
    fn a_thread_keeps_the_largest_but_none_that_is_too_large() {
        let kept = || POOL.with_borrow(|pool| pool.iter().map(Vec::len).collect::<Vec<_>>());
        // One without buffers of other tests.
        let thread = std::thread::spawn(move || {
            let several: Vec<_> = (1..=KEPT + 2).map(|n| take(n * LANES)).collect();
            drop(several);
            let mut found = kept();
            found.sort_unstable();
            assert_eq!(found, (3..=KEPT + 2).collect::<Vec<_>>());
            drop(take((LARGEST + 1) * LANES));
            assert_eq!(kept().len(), KEPT - 1);
        });
        thread.join().unwrap();
    }
}
