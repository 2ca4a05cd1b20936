//! The gradient of the weights.

use rayon::prelude::*;

use super::super::ConvShape;
use super::super::blocked::{Blocked, Shared};
use super::super::tile::{Place, Product, Run, Walk};
use super::Tile;
use super::transform::{Filter, Four, Two, read, write};
use crate::scratch::take;
use crate::simd::{Isa, Kernel, LANES, Simd, dispatch, flat, flat_mut};

/// Blocks of input and output channels of a task. With the smaller tiles its products are 16 · 64 · 96 values, 384 KiB, and stay in
/// a second-level cache of 1 MiB together with the transformed tiles below. A tile is transformed anew by every task that needs
/// it, which costs about a twelfth of the products it then takes part in. (With the larger ones both leave that cache; groups of
/// half the size that stay in it were a tenth slower.)
const GROUP: (usize, usize) = (4, 6);

/// Tiles transformed at a time: 16 · (64 + 96) · 4 bytes each, 320 KiB together. The products are read and written once for
/// so many, so that the sums' own traffic is a sixteenth of the work.
const TILES: usize = 32;

/// Tasks to aim at; where the channels give fewer, the tiles are split too and the parts are added up in a fixed order.
const TASKS: usize = 16;

/// Pixels of a part at least, so that adding up the parts stays small.
const PART_PIXELS: usize = 512;

struct Plan<'a> {
    tile: Tile,
    x: Blocked,
    gy: Blocked,
    xs: &'a [f32],
    gys: &'a [f32],
    sums: Shared,
    /// Rows and columns of tiles of an image.
    down: usize,
    across: usize,
    groups: (usize, usize),
    parts: usize,
}

/// Elements of a task's products: place, block of input channels, channel, output channel.
fn task_len(tile: Tile) -> usize {
    tile.places() * GROUP.0 * LANES * GROUP.1 * LANES
}

/// `gw` is overwritten.
pub(crate) fn grad_weight(
    s: &ConvShape,
    tile: Tile,
    isa: Isa,
    x: &[f32],
    gy: &[f32],
    gw: &mut [f32],
) {
    let (side, p) = (tile.side(), s.padding);
    let (down, across) = (s.out_h().div_ceil(side), s.out_w().div_ceil(side));
    let (height, width) = (side * down, side * across);
    let x_layout =
        Blocked::new(s.n, s.c_in, s.h, s.w)
            .full_lanes()
            .padded(p, p, height + 2, width + 2);
    let gy_layout = Blocked::new(s.n, s.c_out, s.out_h(), s.out_w())
        .full_lanes()
        .padded(0, 0, height, width);
    let (xs, gys) = (x_layout.convert(isa, x), gy_layout.convert(isa, gy));
    let groups = (
        x_layout.blocks().div_ceil(GROUP.0),
        gy_layout.blocks().div_ceil(GROUP.1),
    );
    let tiles = s.n * down * across;
    let parts = (TASKS / (groups.0 * groups.1))
        .min(tiles * side * side / PART_PIXELS)
        .max(1);
    let tasks = groups.0 * groups.1 * parts;
    let mut sums = take(tasks * task_len(tile));
    let to = Shared::new(flat_mut(&mut sums));
    let (xs, gys) = (flat(&xs), flat(&gys));
    let plan = Plan {
        tile,
        x: x_layout,
        gy: gy_layout,
        xs,
        gys,
        sums: to,
        down,
        across,
        groups,
        parts,
    };
    (0..tasks)
        .into_par_iter()
        .for_each(|index| dispatch(isa, Task { plan: &plan, index }));
    let sums = flat(&sums);
    let (plan, to) = (&plan, Shared::new(gw));
    (0..plan.gy.blocks() * plan.x.blocks())
        .into_par_iter()
        .for_each(|index| {
            dispatch(
                isa,
                Finish {
                    plan,
                    sums,
                    to,
                    index,
                },
            );
        });
}

/// One group of input channels with one of output channels, over one part of the tiles.
struct Task<'a> {
    plan: &'a Plan<'a>,
    index: usize,
}

impl Kernel for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.plan.tile {
            Tile::Two => self.by::<S, Two, 2, 4>(s),
            Tile::Four => self.by::<S, Four, 4, 6>(s),
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn by<S: Simd, F: Filter<OUT, IN>, const OUT: usize, const IN: usize>(&self, s: S) {
        let p = self.plan;
        let (places, task_len) = (IN * IN, task_len(p.tile));
        let (part, group) = (self.index % p.parts, self.index / p.parts);
        let (ci, oi) = (group % p.groups.0 * GROUP.0, group / p.groups.0 * GROUP.1);
        let (cs, os) = (
            GROUP.0.min(p.x.blocks() - ci),
            GROUP.1.min(p.gy.blocks() - oi),
        );
        // SAFETY: the sums are borrowed by `grad_weight`; each index has a stretch of its own.
        let sums = unsafe { p.sums.span(self.index * task_len, task_len) };
        let all = p.x.n * p.down * p.across;
        let (first, last) = (part * all / p.parts, (part + 1) * all / p.parts);
        // A vector between the places, so that the places do not fall on the same lines of the first-level cache.
        let (v_place, w_place) = (cs * TILES * LANES + LANES, os * TILES * LANES + LANES);
        let (mut v, mut w) = (take(places * v_place), take(places * w_place));
        let (v, w) = (flat_mut(&mut v), flat_mut(&mut w));
        for begin in (first..last).step_by(TILES) {
            let count = TILES.min(last - begin);
            for t in 0..count {
                let tile = begin + t;
                let (row, column) = (tile / p.across, tile % p.across);
                let (image, row) = (row / p.down, row % p.down);
                for b in 0..cs {
                    let at = image * p.x.image()
                        + (ci + b) * p.x.plane()
                        + OUT * (row * p.x.width + column) * LANES;
                    let d = read::<S, IN>(s, &p.xs[at..], p.x.width * LANES, LANES);
                    let to = &mut v[(b * TILES + t) * LANES..];
                    write(s, F::input(s, d), to, IN * v_place, v_place);
                }
                for b in 0..os {
                    let at = image * p.gy.image()
                        + (oi + b) * p.gy.plane()
                        + OUT * (row * p.gy.width + column) * LANES;
                    let y = read::<S, OUT>(s, &p.gys[at..], p.gy.width * LANES, LANES);
                    let to = &mut w[(b * TILES + t) * LANES..];
                    write(s, F::gradient(s, y), to, IN * w_place, w_place);
                }
            }
            let walk = Walk {
                a_row: 1,
                a_step: LANES,
                b_step: LANES,
                b_vector: TILES * LANES,
                len: count,
            };
            let place = Place {
                row: GROUP.1 * LANES,
                vector: LANES,
                add: begin > first,
            };
            for (i, b) in (0..places).flat_map(|i| (0..cs).map(move |b| (i, b))) {
                let a = &v[i * v_place + b * TILES * LANES..][..TILES * LANES];
                let c = &mut sums[(i * GROUP.0 + b) * LANES * GROUP.1 * LANES..];
                let runs = &[Run::default()];
                s.outline(Product {
                    size: (LANES, os),
                    walk,
                    runs,
                    a,
                    b: &w[i * w_place..],
                    c,
                    place,
                });
            }
        }
    }
}

/// From the products to the gradient, for one block of input and one of output channels.
struct Finish<'a> {
    plan: &'a Plan<'a>,
    sums: &'a [f32],
    to: Shared,
    index: usize,
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.plan.tile {
            Tile::Two => self.by::<S, Two, 2, 4>(s),
            Tile::Four => self.by::<S, Four, 4, 6>(s),
        }
    }
}

impl Finish<'_> {
    #[inline(always)]
    fn by<S: Simd, F: Filter<OUT, IN>, const OUT: usize, const IN: usize>(&self, s: S) {
        let p = self.plan;
        let task_len = task_len(p.tile);
        let (o_block, c_block) = (self.index / p.x.blocks(), self.index % p.x.blocks());
        let group = o_block / GROUP.1 * p.groups.0 + c_block / GROUP.0;
        let (inputs, outputs) = (p.x.channels, p.gy.channels);
        let (first_c, first_o) = (c_block * LANES, o_block * LANES);
        let (cs, os) = (LANES.min(inputs - first_c), LANES.min(outputs - first_o));
        // [channel][tap][output channel], then the rows of an output channel are gathered.
        let mut taps = [0.0; LANES * 9 * LANES];
        for c in 0..cs {
            let pitch = LANES * GROUP.1 * LANES;
            let at = (c_block % GROUP.0 * LANES + c) * GROUP.1 * LANES + o_block % GROUP.1 * LANES;
            let place = GROUP.0 * pitch;
            let mut m = [[s.splat(0.0); IN]; IN];
            for part in 0..p.parts {
                let from = &self.sums[(group * p.parts + part) * task_len + at..];
                let values = read::<S, IN>(s, from, IN * place, place);
                for (i, j) in (0..IN).flat_map(|i| (0..IN).map(move |j| (i, j))) {
                    m[i][j] = s.add(m[i][j], values[i][j]);
                }
            }
            let to = &mut taps[c * 9 * LANES..];
            write(s, F::product(s, m), to, 3 * LANES, LANES);
        }
        for o in 0..os {
            // SAFETY: the gradient is borrowed by `grad_weight`; these kernels are this task's alone.
            let to = unsafe { self.to.span(((first_o + o) * inputs + first_c) * 9, cs * 9) };
            for (k, value) in to.iter_mut().enumerate() {
                *value = taps[k * LANES + o];
            }
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
        let large = [
            [2, 70, 23, 31, 130, 3, 3, 1, 1],
            [1, 16, 64, 66, 16, 3, 3, 1, 1],
        ];
        for s in SHAPES
            .iter()
            .chain(&large)
            .map(|&v| shape(v))
            .filter(applies)
        {
            let (x, gy) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.y_len(), 3));
            let mut want = vec![0.0; s.w_len()];
            plain::conv_grad_weight(&s, &x, &gy, &mut want);
            for (tile, isa) in every_way() {
                let mut got = vec![f32::NAN; s.w_len()];
                grad_weight(&s, tile, isa, &x, &gy, &mut got);
                assert_close(&got, &want, 4e-6);
            }
        }
    }
}
