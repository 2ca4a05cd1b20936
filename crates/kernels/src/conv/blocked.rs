//! Channel-blocked images: `[n, blocks, height, width, lanes]` with zeros around and behind.
//!
//! Inside a convolution, the channels of a pixel lie side by side, so that the taps of one kernel row are one contiguous run
//! of `kw · lanes` values. Channels are split evenly into blocks of at most sixteen: 17 channels are 2 × 9, not 16 + 16.

use rayon::prelude::*;

use crate::scratch::{Scratch, take};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat_mut};

/// Bytes of a group of converted images: a fraction of a common last-level cache, which other programs use too.
const GROUP_BYTES: usize = 4 << 20;

/// The layout of a blocked image batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocked {
    pub n: usize,
    pub channels: usize,
    /// Size of the image inside.
    pub h: usize,
    pub w: usize,
    /// Zeros before the first row and column.
    pub top: usize,
    pub left: usize,
    /// Size with zeros.
    pub height: usize,
    pub width: usize,
    /// Channels of a block.
    pub lanes: usize,
}

impl Blocked {
    /// Blocks of evenly split channels for images `[n, channels, h, w]`, with no zeros around.
    pub fn new(n: usize, channels: usize, h: usize, w: usize) -> Self {
        let lanes = channels.div_ceil(channels.div_ceil(LANES));
        Self {
            n,
            channels,
            h,
            w,
            top: 0,
            left: 0,
            height: h,
            width: w,
            lanes,
        }
    }

    /// Blocks of exactly sixteen lanes, as vector operands need; the last ones may be zeros.
    pub fn full_lanes(self) -> Self {
        Self {
            lanes: LANES,
            ..self
        }
    }

    /// With zeros around, up to a full size.
    pub fn padded(self, top: usize, left: usize, height: usize, width: usize) -> Self {
        Self {
            top,
            left,
            height: height.max(top + self.h),
            width: width.max(left + self.w),
            ..self
        }
    }

    pub fn blocks(&self) -> usize {
        self.channels.div_ceil(self.lanes)
    }

    /// Elements from one block of channels to the next.
    pub fn plane(&self) -> usize {
        self.height * self.width * self.lanes
    }

    /// Elements from one image to the next.
    pub fn image(&self) -> usize {
        self.blocks() * self.plane()
    }

    /// The same for `n` images.
    pub fn images(self, n: usize) -> Self {
        Self { n, ..self }
    }

    /// Images that are converted and worked on before the next: as many as make `tasks` tasks where one makes `per_image`, and as fit
    /// [`GROUP_BYTES`]. The converted copy then stays in the last-level cache between being written and read.
    pub fn group(&self, per_image: usize, tasks: usize) -> usize {
        let small = GROUP_BYTES / (4 * self.image());
        small.max(tasks.div_ceil(per_image)).clamp(1, self.n)
    }

    /// Brings images `x [n, channels, h, w]` into this layout.
    pub fn convert(&self, isa: Isa, x: &[f32]) -> Scratch {
        let mut out = take(self.n * self.image());
        let plane = self.plane();
        flat_mut(&mut out)[..self.n * self.image()]
            .par_chunks_mut(plane)
            .enumerate()
            .for_each(|(index, out)| {
                dispatch(
                    isa,
                    Convert {
                        layout: self,
                        index,
                        x,
                        out,
                    },
                );
            });
        out
    }
}

/// One plane: all rows of one block of one image.
struct Convert<'a> {
    layout: &'a Blocked,
    index: usize,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let l = self.layout;
        let (image, block) = (self.index / l.blocks(), self.index % l.blocks());
        let first = block * l.lanes;
        let channels = l.lanes.min(l.channels - first);
        let x = &self.x[(image * l.channels + first) * l.h * l.w..];
        let pitch = l.width * l.lanes;
        let (above, rest) = self.out.split_at_mut(l.top * pitch);
        let (inside, below) = rest.split_at_mut(l.h * pitch);
        above.fill(0.0);
        below.fill(0.0);
        for (i, row) in inside.chunks_exact_mut(pitch).enumerate() {
            let (before, rest) = row.split_at_mut(l.left * l.lanes);
            let (pixels, after) = rest.split_at_mut(l.w * l.lanes);
            before.fill(0.0);
            after.fill(0.0);
            interleave(s, &x[i * l.w..], l.h * l.w, channels, l.lanes, pixels);
        }
    }
}

/// `out[j·lanes + c] = x[c·stride + j]`, zero for lanes from `channels` on. `out` holds whole pixels.
#[inline(always)]
pub(crate) fn interleave<S: Simd>(
    s: S,
    x: &[f32],
    stride: usize,
    channels: usize,
    lanes: usize,
    out: &mut [f32],
) {
    let pixels = out.len() / lanes;
    let mut done = 0;
    if lanes == LANES && channels == LANES {
        // Sixteen pixels of sixteen channels at a time. The last stretch may read on into the next row, as long as that
        // is still x; only its own pixels are written.
        while done < pixels && (LANES - 1) * stride + done + LANES <= x.len() {
            // SAFETY: the loop's condition bounds the farthest of the sixteen reads.
            let rows: [S::V; LANES] = unsafe { s.load_rows(x.as_ptr().add(done), stride) };
            let columns = s.transpose(rows);
            let count = LANES.min(pixels - done);
            let to = &mut out[done * LANES..][..count * LANES];
            for j in 0..count {
                // SAFETY: `to` holds `count` vectors.
                unsafe { s.store(columns[j], to.as_mut_ptr().add(j * LANES)) };
            }
            done += count;
        }
    }
    if lanes == 3 && channels == 3 {
        // The colours of a picture. Known counts: without them this loop takes a tenth of an image's first convolution.
        while done + LANES <= pixels {
            let [r, g, b] = [0, 1, 2].map(|c| &x[c * stride + done..][..LANES]);
            let to = &mut out[done * 3..][..3 * LANES];
            for j in 0..LANES {
                (to[3 * j], to[3 * j + 1], to[3 * j + 2]) = (r[j], g[j], b[j]);
            }
            done += LANES;
        }
    }
    for j in done..pixels {
        let pixel = &mut out[j * lanes..][..lanes];
        for c in 0..channels {
            pixel[c] = x[c * stride + j];
        }
        pixel[channels..].fill(0.0);
    }
}

/// Planes that several threads write at once, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T = f32> {
    to: *mut T,
    len: usize,
}

// SAFETY: only `span` and what uses it write through it; their callers vouch that no two threads meet.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Keeps `all` borrowed for as long as the caller says; see the methods' contracts.
    pub fn new(all: &mut [T]) -> Self {
        Self {
            to: all.as_mut_ptr(),
            len: all.len(),
        }
    }

    /// A part of the whole.
    ///
    /// # Safety
    /// While the part is in use the whole is still borrowed for writing, and no other part overlaps it.
    pub unsafe fn span<'a>(self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start.checked_add(len).is_some_and(|end| end <= self.len));
        // SAFETY: in bounds (asserted); exclusive, says the caller.
        unsafe { std::slice::from_raw_parts_mut(self.to.add(start), len) }
    }
}

/// `to[start + c·stride + j] = tile[j·pitch + c]` for pixels `0..pixels` and channels `0..channels` (at most sixteen).
///
/// # Safety
/// As [`Shared::span`], for each of the `channels` stretches of `pixels` elements.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe fn deinterleave<S: Simd>(
    s: S,
    tile: &[f32],
    pitch: usize,
    (pixels, channels): (usize, usize),
    to: Shared,
    start: usize,
    stride: usize,
) {
    assert!(channels <= LANES && pixels > 0 && (pixels - 1) * pitch + LANES <= tile.len());
    if pixels < LANES {
        for c in 0..channels {
            // SAFETY: handed on to the caller; `span` checks the bounds.
            let line = unsafe { to.span(start + c * stride, pixels) };
            for j in 0..pixels {
                line[j] = tile[j * pitch + c];
            }
        }
        return;
    }
    let mut first = 0;
    loop {
        // SAFETY: pixels first..first + 16 lie below `pixels`, which the assert bounds.
        let rows: [S::V; LANES] = unsafe { s.load_rows(tile.as_ptr().add(first * pitch), pitch) };
        let columns = s.transpose(rows);
        for c in 0..channels {
            // SAFETY: handed on to the caller; `span` checks the bounds and holds sixteen.
            unsafe {
                s.store(
                    columns[c],
                    to.span(start + c * stride + first, LANES).as_mut_ptr(),
                );
            }
        }
        if first + LANES == pixels {
            return;
        }
        // The last stretch overlaps the one before and writes the same values again.
        first = (first + LANES).min(pixels - LANES);
    }
}
