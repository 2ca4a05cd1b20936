//! Forward, and the gradient of the input.

use rayon::prelude::*;

use super::super::ConvShape;
use super::super::blocked::{Blocked, Shared, deinterleave};
use super::super::pack::{KernelOrder, kernels};
use super::super::tile::{Place, Product, Run, Walk};
use super::Tile;
use super::transform::{Filter, Four, Two, read, write};
use crate::scratch::{Scratch, take};
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat, flat_mut};

/// Output channels of a panel: two vectors, the width of the widest tile.
const PANEL: usize = 2 * LANES;

/// Bytes of transformed input of a task: half of a common second-level cache (1 MiB). It is read once per panel; the
/// transformed weights stream past it from the third level, each used for all tiles of the task.
const TILES_BYTES: usize = 512 << 10;

/// Fewest and most tiles of a task. Fewer would use the streamed weights too seldom; more would push the products
/// of a panel (2 KiB per tile) out of the second-level cache.
const TILES: (usize, usize) = (24, 128);

/// Blocks of channels at most; beyond, the direct form is used.
const MOST_BLOCKS: usize = 256;

/// Channels at most.
pub(super) const MOST_CHANNELS: usize = MOST_BLOCKS * LANES;

/// A gathering of one image batch into another.
pub(crate) struct Gather {
    isa: Isa,
    tile: Tile,
    input: Blocked,
    /// Planar output: channels, height, width.
    out: (usize, usize, usize),
    order: KernelOrder,
}

impl Gather {
    /// `x` to `y`.
    pub fn forward(s: &ConvShape, tile: Tile, isa: Isa) -> Self {
        let order = KernelOrder {
            out: s.c_in * 9,
            inp: 9,
            turned: false,
        };
        Self::new(
            (s.n, s.c_in, s.h, s.w),
            (s.c_out, s.out_h(), s.out_w()),
            s.padding,
            order,
            tile,
            isa,
        )
    }

    /// `gy` to `gx`.
    pub fn grad_input(s: &ConvShape, tile: Tile, isa: Isa) -> Self {
        let order = KernelOrder {
            out: 9,
            inp: s.c_in * 9,
            turned: true,
        };
        Self::new(
            (s.n, s.c_out, s.out_h(), s.out_w()),
            (s.c_in, s.h, s.w),
            2 - s.padding,
            order,
            tile,
            isa,
        )
    }

    fn new(
        (n, channels, h, w): (usize, usize, usize, usize),
        out: (usize, usize, usize),
        padding: usize,
        order: KernelOrder,
        tile: Tile,
        isa: Isa,
    ) -> Self {
        // Whole tiles: rows and columns beyond the output are computed and left.
        let whole = |len: usize| len.next_multiple_of(tile.side()) + 2;
        let (height, width) = (whole(out.1), whole(out.2));
        let input = Blocked::new(n, channels, h, w)
            .full_lanes()
            .padded(padding, padding, height, width);
        Self {
            isa,
            tile,
            input,
            out,
            order,
        }
    }

    fn panels(&self) -> usize {
        self.out.0.div_ceil(PANEL)
    }

    /// Elements from one place to the next in a panel: channels times lanes, and a vector more, so that the places
    /// do not fall on the same lines of the caches.
    fn place_len(&self) -> usize {
        self.input.blocks() * LANES * PANEL + LANES
    }

    /// Elements of one panel: place, channel, lane.
    fn panel_len(&self) -> usize {
        self.tile.places() * self.place_len()
    }

    /// f32 elements of the packed weights.
    pub fn packed_len(&self) -> usize {
        self.panels() * self.panel_len()
    }

    /// Transforms the weights: panel, place, input channel, then the panel's channels.
    pub fn pack(&self, w: &[f32], packed: &mut [f32]) {
        let blocks = self.input.blocks();
        let to = Shared::new(&mut packed[..self.packed_len()]);
        (0..self.panels() * blocks)
            .into_par_iter()
            .for_each(|index| {
                let (panel, block) = (index / blocks, index % blocks);
                let pack = Pack {
                    gather: self,
                    w,
                    panel,
                    block,
                    to,
                };
                dispatch(self.isa, pack);
            });
    }

    /// Convolves `input` (planar) with packed weights; `output` (planar) is overwritten.
    pub fn run(&self, input: &[f32], packed: &[f32], output: &mut [f32]) {
        let side = self.tile.side();
        let (down, across) = (self.out.1.div_ceil(side), self.out.2.div_ceil(side));
        let tile_bytes = 4 * self.tile.places() * LANES * self.input.blocks();
        let wanted = (TILES_BYTES / tile_bytes).clamp(TILES.0, TILES.1);
        let enough = 8 * rayon::current_num_threads();
        let together = self.input.group((down * across).div_ceil(wanted), enough);
        let len = self.input.channels * self.input.h * self.input.w;
        let to = Shared::new(output);
        for (number, images) in input.chunks(together * len).enumerate() {
            let (first_image, n) = (number * together, images.len() / len);
            let blocked = self.input.images(n).convert(self.isa, images);
            // Rows of tiles, over all images. Whole rows; about as many as wanted, evenly many per task.
            let all = n * down;
            let tasks = (all * across).div_ceil(wanted).min(all);
            (0..tasks).into_par_iter().for_each(|index| {
                let rows = (index * all / tasks, (index + 1) * all / tasks);
                dispatch(
                    self.isa,
                    Task {
                        gather: self,
                        blocked: flat(&blocked),
                        packed,
                        to,
                        first_image,
                        rows,
                        across,
                        down,
                    },
                );
            });
        }
    }

    /// Packs and convolves.
    pub fn pack_and_run(&self, input: &[f32], w: &[f32], output: &mut [f32]) {
        let mut packed: Scratch = take(self.packed_len());
        self.pack(w, flat_mut(&mut packed));
        self.run(input, flat(&packed), output);
    }
}

/// The weights from one block of input channels to one panel.
struct Pack<'a> {
    gather: &'a Gather,
    w: &'a [f32],
    panel: usize,
    block: usize,
    to: Shared,
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.gather.tile {
            Tile::Two => self.by::<S, Two, 2, 4>(s),
            Tile::Four => self.by::<S, Four, 4, 6>(s),
        }
    }
}

impl Pack<'_> {
    #[inline(always)]
    fn by<S: Simd, F: Filter<OUT, IN>, const OUT: usize, const IN: usize>(&self, s: S) {
        let g = self.gather;
        let place = g.place_len();
        // Sixteen input channels, nine taps, sixteen output channels.
        let mut plain = [0.0; LANES * 9 * LANES];
        for v in 0..PANEL / LANES {
            let (out, inp) = (self.panel * PANEL + v * LANES, self.block * LANES);
            kernels(
                s,
                self.w,
                g.order,
                (out, g.out.0),
                (inp, g.input.channels),
                &mut plain,
            );
            for c in 0..LANES {
                let square = read::<S, 3>(s, &plain[c * 9 * LANES..], 3 * LANES, LANES);
                let turned = F::weight(s, square);
                for i in 0..IN * IN {
                    let at = self.panel * g.panel_len() + i * place + (inp + c) * PANEL + v * LANES;
                    let value = turned[i / IN][i % IN];
                    // SAFETY: `Gather::pack` borrows the whole; this panel and block are this task's alone.
                    unsafe { s.store(value, self.to.span(at, LANES).as_mut_ptr()) };
                }
            }
        }
    }
}

/// Some rows of tiles, for all channels.
struct Task<'a> {
    gather: &'a Gather,
    blocked: &'a [f32],
    packed: &'a [f32],
    to: Shared,
    /// The place in the batch of the first image in `blocked`.
    first_image: usize,
    /// First and end, over all images there.
    rows: (usize, usize),
    across: usize,
    down: usize,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.gather.tile {
            Tile::Two => self.by::<S, Two, 2, 4>(s),
            Tile::Four => self.by::<S, Four, 4, 6>(s),
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn by<S: Simd, F: Filter<OUT, IN>, const OUT: usize, const IN: usize>(&self, s: S) {
        let places = IN * IN;
        let (g, tiles) = (self.gather, (self.rows.1 - self.rows.0) * self.across);
        let blocks = g.input.blocks();
        let depth = blocks * LANES;
        // A vector between the places, so that the places do not fall on the same lines of the first-level cache.
        let (v_place, m_place) = (tiles * depth + LANES, tiles * PANEL + LANES);
        let (mut v, mut m) = (take(places * v_place), take(places * m_place));
        let mut pixels = take(OUT * OUT * tiles * PANEL);
        let (v, m, pixels) = (flat_mut(&mut v), flat_mut(&mut m), flat_mut(&mut pixels));
        self.transform_input::<S, F, OUT, IN>(s, v, v_place, tiles);
        let mut runs = [Run::default(); MOST_BLOCKS];
        for (block, run) in runs[..blocks].iter_mut().enumerate() {
            *run = Run {
                a: block * tiles * LANES,
                b: block * LANES * PANEL,
            };
        }
        let walk = Walk {
            a_row: LANES,
            a_step: 1,
            b_step: PANEL,
            b_vector: LANES,
            len: LANES,
        };
        let place = Place {
            row: PANEL,
            vector: LANES,
            add: false,
        };
        for panel in 0..g.panels() {
            let channels = PANEL.min(g.out.0 - panel * PANEL);
            let size = (tiles, channels.div_ceil(LANES));
            let weights = &self.packed[panel * g.panel_len()..][..g.panel_len()];
            for i in 0..places {
                let (a, b) = (
                    &v[i * v_place..][..tiles * depth],
                    &weights[i * g.place_len()..][..depth * PANEL],
                );
                let c = &mut m[i * m_place..][..tiles * PANEL];
                s.outline(Product {
                    size,
                    walk,
                    runs: &runs[..blocks],
                    a,
                    b,
                    c,
                    place,
                });
            }
            self.transform_output::<S, F, OUT, IN>(s, m, m_place, pixels, panel, size.1);
        }
    }

    /// `v[place][block][tile][lane]`.
    #[inline(always)]
    fn transform_input<S: Simd, F: Filter<OUT, IN>, const OUT: usize, const IN: usize>(
        &self,
        s: S,
        v: &mut [f32],
        v_place: usize,
        tiles: usize,
    ) {
        let l = &self.gather.input;
        for row in self.rows.0..self.rows.1 {
            let (image, tile_row) = (row / self.down, row % self.down);
            for block in 0..l.blocks() {
                let from = image * l.image() + block * l.plane() + OUT * tile_row * l.width * LANES;
                let to = (block * tiles + (row - self.rows.0) * self.across) * LANES;
                for t in 0..self.across {
                    let tile = &self.blocked[from + OUT * t * LANES..];
                    let d = read::<S, IN>(s, tile, l.width * LANES, LANES);
                    let to = &mut v[to + t * LANES..];
                    write(s, F::input(s, d), to, IN * v_place, v_place);
                }
            }
        }
    }

    /// From the products of a panel to its pixels, and from there to the planes.
    #[inline(always)]
    fn transform_output<S: Simd, F: Filter<OUT, IN>, const OUT: usize, const IN: usize>(
        &self,
        s: S,
        m: &[f32],
        m_place: usize,
        pixels: &mut [f32],
        panel: usize,
        vectors: usize,
    ) {
        let (channels, oh, ow) = self.gather.out;
        let mut row = self.rows.0;
        while row < self.rows.1 {
            // The rows of this task that lie in one image: their pixels are contiguous in each plane.
            let (image, first) = (row / self.down, row % self.down);
            let count = (self.down - first).min(self.rows.1 - row);
            let lines = (OUT * count).min(oh - OUT * first);
            for r in 0..count {
                for (t, v) in (0..self.across).flat_map(|t| (0..vectors).map(move |v| (t, v))) {
                    let from = ((row + r - self.rows.0) * self.across + t) * PANEL + v * LANES;
                    let y = F::output(s, read::<S, IN>(s, &m[from..], IN * m_place, m_place));
                    for (i, y) in y.into_iter().enumerate().take(lines - OUT * r) {
                        let columns = ow - OUT * t;
                        for (j, y) in y.into_iter().enumerate().take(columns) {
                            let at = ((OUT * r + i) * ow + OUT * t + j) * PANEL + v * LANES;
                            // SAFETY: the slice holds a vector.
                            unsafe { s.store(y, pixels[at..][..LANES].as_mut_ptr()) };
                        }
                    }
                }
            }
            for v in 0..vectors {
                let channel = panel * PANEL + v * LANES;
                let start =
                    ((self.first_image + image) * channels + channel) * oh * ow + OUT * first * ow;
                let size = (lines * ow, LANES.min(channels - channel));
                // SAFETY: `Gather::run` borrows the output; these rows of tiles are this task's alone.
                unsafe {
                    deinterleave(
                        s,
                        &pixels[v * LANES..],
                        PANEL,
                        size,
                        self.to,
                        start,
                        oh * ow,
                    );
                };
            }
            row += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{SHAPES, shape};
    use super::*;
    use crate::conv::winograd::{applies, tests::every_way};
    use crate::plain;
    use crate::testing::{assert_close, noise};

    #[test]
    fn every_instruction_set_agrees_with_plain() {
        for s in SHAPES.iter().map(|&v| shape(v)).filter(applies) {
            let (x, w) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.w_len(), 2));
            let gy = noise::<f32>(s.y_len(), 3);
            let (mut y, mut gx) = (vec![0.0; s.y_len()], vec![0.0; s.x_len()]);
            plain::conv_forward(&s, &x, &w, &mut y);
            plain::conv_grad_input(&s, &w, &gy, &mut gx);
            for (tile, isa) in every_way() {
                let mut got = vec![f32::NAN; s.y_len()];
                Gather::forward(&s, tile, isa).pack_and_run(&x, &w, &mut got);
                assert_close(&got, &y, 4e-6);
                let mut got = vec![f32::NAN; s.x_len()];
                Gather::grad_input(&s, tile, isa).pack_and_run(&gy, &w, &mut got);
                assert_close(&got, &gx, 4e-6);
            }
        }
    }

    /// The module's statement on rounding, measured: the largest error against that of direct summation.
    #[test]
    fn rounding_stays_near_that_of_direct_summation() {
        for channels in [32, 128, 512] {
            let s = shape([1, channels, 12, 12, 32, 3, 3, 1, 1]);
            let (x, w) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.w_len(), 2));
            let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
            let mut want = vec![0.0; s.y_len()];
            plain::conv_forward(&s, &wide(&x), &wide(&w), &mut want);
            let scale = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let error = |y: &[f32]| {
                let errors = y.iter().zip(&want).map(|(y, w)| (f64::from(*y) - w).abs());
                errors.fold(0.0, f64::max) / scale
            };
            let mut y = vec![f32::NAN; s.y_len()];
            crate::conv::direct::Gather::forward(&s, Isa::best()).pack_and_run(&x, &w, &mut y);
            let direct = error(&y);
            for (tile, most, times) in [(Tile::Two, 2e-6, 4.0), (Tile::Four, 5e-6, 8.0)] {
                Gather::forward(&s, tile, Isa::best()).pack_and_run(&x, &w, &mut y);
                let fast = error(&y);
                println!("{channels} channels, {tile:?}: {fast:.1e}, direct {direct:.1e}");
                assert!(
                    fast < most && fast < times * direct,
                    "{fast:e} against {direct:e}"
                );
            }
        }
    }
}
