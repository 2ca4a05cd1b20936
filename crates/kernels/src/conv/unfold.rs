//! Convolution as a matrix product over unfolded columns: any kernel, stride, padding and type.
//!
//! The columns `[c_in·kh·kw, rows·out_w]` hold, for some rows of the output, every input that each output sees. Then
//! forward is `w · columns`, the gradient of the weight `gy · columnsᵀ`, and the gradient of the input folds
//! `wᵀ · gy` back. Only so many rows are unfolded at once as [`COLUMNS`] allows. For 1 × 1 kernels the input is its own columns.

use rayon::prelude::*;

use super::ConvShape;
use crate::Float;
use crate::gemm::{MatRef, Product, single};
use crate::math::sum;
use crate::scratch::{Scratch, take_for, values};
use crate::simd::{Isa, Kernel, Simd, dispatch};

/// Elements of the column buffer, about: 1 MiB of f32, which the last-level cache holds beside what else the product
/// reads, so that the product finds what the unfolding just wrote.
const COLUMNS: usize = 1 << 18;

/// Whether a convolution's columns are just its input.
pub(super) fn trivial(s: &ConvShape) -> bool {
    s.kh == 1 && s.kw == 1 && s.stride == 1 && s.padding == 0
}

/// Whether no input is seen twice, so that unfolding is only another order.
fn patches(s: &ConvShape) -> bool {
    s.kh == s.stride && s.kw == s.stride && s.padding == 0
}

/// Whether the plain product is faster than the blocked forms: where unfolding costs nothing or next to nothing.
pub(super) fn pays(s: &ConvShape) -> bool {
    patches(s)
}

/// The same for the gradient of the weight. A 1 × 1 product there runs along the pixels, and the plain product packs both
/// sides across them; with large planes the blocked form's conversion costs less (measured: 70 to 66 GFLOP/s
/// per core at 64 × 64, but 71 to 90 at 16 × 16).
pub(super) fn pays_for_weight(s: &ConvShape) -> bool {
    patches(s) && (!trivial(s) || s.c_out <= FEW || s.h * s.w <= LARGE_PLANE)
}

/// Pixels up to which that plane is not large.
const LARGE_PLANE: usize = 1024;

/// The same for the gradient of the input. The blocked form has sixteen lanes for its channels, so for the three of an
/// image it would compute five times too much.
pub(super) fn pays_for_input(s: &ConvShape) -> bool {
    patches(s) || s.c_in <= 4
}

/// One chunk of work: an image, and rows of its output.
#[derive(Clone, Copy)]
struct Chunk {
    image: usize,
    first: usize,
    rows: usize,
}

/// The output's rows in chunks. Chunks of one image come one after the other.
fn chunks(s: &ConvShape) -> Vec<Chunk> {
    let per_row = s.c_in * s.kh * s.kw * s.out_w();
    let oh = s.out_h();
    let rows = if trivial(s) {
        oh
    } else {
        (COLUMNS / per_row).clamp(1, oh)
    };
    let all = (0..s.n).flat_map(|image| (0..oh).step_by(rows).map(move |first| (image, first)));
    all.map(|(image, first)| Chunk {
        image,
        first,
        rows: rows.min(oh - first),
    })
    .collect()
}

/// Whether chunks go to different threads, or one after the other with a product on all threads.
fn by_chunk(chunks: usize) -> bool {
    chunks >= 2 * rayon::current_num_threads()
}

/// The columns of output rows `first .. first + rows` of one image `x [c_in, h, w]`.
fn unfold<T: Float>(s: &ConvShape, x: &[T], chunk: Chunk, columns: &mut [T]) {
    let column = chunk.rows * s.out_w();
    for (row, column) in columns.chunks_mut(column).enumerate() {
        unfold_row(s, x, row, chunk.first, column);
    }
}

/// The columns `[c_in·kh·kw, n·out_h·out_w]` of all images.
pub(super) fn unfold_all<T: Float>(s: &ConvShape, x: &[T], columns: &mut [T]) {
    let plane = s.out_h() * s.out_w();
    columns
        .par_chunks_mut(s.n * plane)
        .enumerate()
        .for_each(|(row, columns)| {
            for (column, x) in columns.chunks_mut(plane).zip(x.chunks(s.c_in * s.h * s.w)) {
                unfold_row(s, x, row, 0, column);
            }
        });
}

/// One row of the columns: what one tap of one channel of the image `x` sees, from output row `first` on.
fn unfold_row<T: Float>(s: &ConvShape, x: &[T], row: usize, first: usize, column: &mut [T]) {
    let taps = s.kh * s.kw;
    let (c, a, b) = (row / taps, row / s.kw % s.kh, row % s.kw);
    let plane = &x[c * s.h * s.w..][..s.h * s.w];
    let (before, inside) = span(s, b);
    for (r, line) in column.chunks_mut(s.out_w()).enumerate() {
        let i = ((first + r) * s.stride + a).wrapping_sub(s.padding);
        if i >= s.h || inside == 0 {
            line.fill(T::zero());
            continue;
        }
        line[..before].fill(T::zero());
        line[before + inside..].fill(T::zero());
        let source = &plane[i * s.w..][..s.w][before * s.stride + b - s.padding..];
        let line = &mut line[before..][..inside];
        if s.stride == 1 {
            line.copy_from_slice(&source[..inside]);
        } else {
            for (value, &x) in line.iter_mut().zip(source.iter().step_by(s.stride)) {
                *value = x;
            }
        }
    }
}

/// For kernel column b: how many outputs of a row see zeros before the image, and how many after them see the image.
fn span(s: &ConvShape, b: usize) -> (usize, usize) {
    let ow = s.out_w();
    let before = s.padding.saturating_sub(b).div_ceil(s.stride).min(ow);
    let end = (s.w + s.padding)
        .saturating_sub(b)
        .div_ceil(s.stride)
        .min(ow);
    (before, end.saturating_sub(before))
}

/// Adds the columns back to the inputs that they came from.
fn fold<T: Float>(s: &ConvShape, columns: &[T], chunk: Chunk, gx: &mut [T]) {
    let (ow, taps) = (s.out_w(), s.kh * s.kw);
    for (row, column) in columns.chunks(chunk.rows * ow).enumerate() {
        let (c, a, b) = (row / taps, row / s.kw % s.kh, row % s.kw);
        let plane = &mut gx[c * s.h * s.w..][..s.h * s.w];
        let (before, inside) = span(s, b);
        for (r, line) in column.chunks(ow).enumerate() {
            let i = ((chunk.first + r) * s.stride + a).wrapping_sub(s.padding);
            if i >= s.h || inside == 0 {
                continue;
            }
            let target = &mut plane[i * s.w..][..s.w][before * s.stride + b - s.padding..];
            let line = &line[before..][..inside];
            if s.stride == 1 {
                target
                    .iter_mut()
                    .zip(line)
                    .for_each(|(x, &value)| *x += value);
            } else {
                target
                    .iter_mut()
                    .step_by(s.stride)
                    .zip(line)
                    .for_each(|(x, &value)| *x += value);
            }
        }
    }
}

/// Elements of the column buffer.
fn buffer_len(s: &ConvShape, chunks: &[Chunk]) -> usize {
    let rows = chunks.iter().map(|chunk| chunk.rows).max().unwrap_or(0);
    if trivial(s) {
        0
    } else {
        s.c_in * s.kh * s.kw * rows * s.out_w()
    }
}

/// The columns of a chunk: the input itself, or unfolded into `buffer`. With them, their row stride.
fn columns<'a, T: Float>(
    s: &ConvShape,
    x: &'a [T],
    chunk: Chunk,
    buffer: &'a mut [T],
) -> (&'a [T], usize) {
    let x = &x[chunk.image * s.c_in * s.h * s.w..][..s.c_in * s.h * s.w];
    if trivial(s) {
        return (&x[chunk.first * s.w..], s.h * s.w);
    }
    let n = chunk.rows * s.out_w();
    let columns = &mut buffer[..s.c_in * s.kh * s.kw * n];
    unfold(s, x, chunk, columns);
    (columns, n)
}

pub(super) fn forward<T: Float>(s: &ConvShape, x: &[T], w: &[T], y: &mut [T]) {
    let (p, ow, depth) = (s.out_h() * s.out_w(), s.out_w(), s.c_in * s.kh * s.kw);
    let chunks = chunks(s);
    let whole = !by_chunk(chunks.len());
    let len = buffer_len(s, &chunks);
    let one = |buffer: &mut Scratch, chunk: Chunk, y: &mut [T]| {
        let buffer = values(buffer, len);
        let (columns, row_stride) = columns(s, x, chunk, buffer);
        let product = Product {
            batch: 1,
            m: s.c_out,
            n: chunk.rows * ow,
            k: depth,
        };
        let b = MatRef {
            data: columns,
            row_stride,
            col_stride: 1,
            batch_stride: 0,
        };
        let a = MatRef::row_major(w, s.c_out, depth);
        single(
            product,
            T::one(),
            a,
            b,
            T::zero(),
            &mut y[chunk.first * ow..],
            p,
            whole,
        );
    };
    if whole {
        let mut buffer = take_for::<T>(len);
        for chunk in chunks {
            one(
                &mut buffer,
                chunk,
                &mut y[chunk.image * s.c_out * p..][..s.c_out * p],
            );
        }
        return;
    }
    // Threads take whole images: chunks of one image write between each other's rows.
    y.par_chunks_mut(s.c_out * p).enumerate().for_each_init(
        || take_for::<T>(len),
        |buffer, (image, y)| {
            for &chunk in chunks.iter().filter(|chunk| chunk.image == image) {
                one(buffer, chunk, y);
            }
        },
    );
}

pub(super) fn grad_input<T: Float>(s: &ConvShape, w: &[T], gy: &[T], gx: &mut [T]) {
    let (p, ow, depth) = (s.out_h() * s.out_w(), s.out_w(), s.c_in * s.kh * s.kw);
    let chunks = chunks(s);
    let whole = !by_chunk(chunks.len());
    let len = buffer_len(s, &chunks);
    let one = |buffer: &mut Scratch, chunk: Chunk, gx: &mut [T]| {
        let n = chunk.rows * ow;
        let product = Product {
            batch: 1,
            m: depth,
            n,
            k: s.c_out,
        };
        let a = MatRef::transposed(w, s.c_out, depth);
        let b = MatRef::row_major(
            &gy[chunk.image * s.c_out * p + chunk.first * ow..],
            s.c_out,
            p,
        );
        if trivial(s) {
            single(
                product,
                T::one(),
                a,
                b,
                T::zero(),
                &mut gx[chunk.first * ow..],
                p,
                whole,
            );
            return;
        }
        let columns = &mut values(buffer, len)[..depth * n];
        single(product, T::one(), a, b, T::zero(), columns, n, whole);
        fold(s, columns, chunk, gx);
    };
    if !trivial(s) {
        gx.fill(T::zero());
    }
    let image = s.c_in * s.h * s.w;
    if whole {
        let mut buffer = take_for::<T>(len);
        for chunk in chunks {
            one(&mut buffer, chunk, &mut gx[chunk.image * image..][..image]);
        }
        return;
    }
    gx.par_chunks_mut(image).enumerate().for_each_init(
        || take_for::<T>(len),
        |buffer, (image, gx)| {
            for &chunk in chunks.iter().filter(|chunk| chunk.image == image) {
                one(buffer, chunk, gx);
            }
        },
    );
}

pub(super) fn grad_weight<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    if trivial(s) && s.c_out <= FEW {
        few_outputs(s, x, gy, gw);
        return;
    }
    let (p, ow, depth) = (s.out_h() * s.out_w(), s.out_w(), s.c_in * s.kh * s.kw);
    let chunks = chunks(s);
    let len = buffer_len(s, &chunks);
    let mut buffer = take_for::<T>(len);
    let buffer = values(&mut buffer, len);
    for (index, chunk) in chunks.into_iter().enumerate() {
        let n = chunk.rows * ow;
        let (columns, row_stride) = columns(s, x, chunk, buffer);
        let product = Product {
            batch: 1,
            m: s.c_out,
            n: depth,
            k: n,
        };
        let a = MatRef::row_major(
            &gy[chunk.image * s.c_out * p + chunk.first * ow..],
            s.c_out,
            p,
        );
        let b = MatRef {
            data: columns,
            row_stride: 1,
            col_stride: row_stride,
            batch_stride: 0,
        };
        let beta = if index == 0 { T::zero() } else { T::one() };
        single(product, T::one(), a, b, beta, gw, depth, true);
    }
}

/// Output channels up to which a 1 × 1 gradient is taken as scalar products: a matrix product packs both sides, which
/// for the three channels of an image costs ten times the products themselves.
const FEW: usize = 4;

/// Elements of a stretch of a plane: with the gradients of [`FEW`] outputs, 20 KiB of f32, which a first-level cache holds.
const STRETCH: usize = 1024;

/// The gradient of a 1 × 1 weight with few output channels: `gw[o, c] = Σ_{n, p} gy[n, o, p] · x[n, c, p]`.
fn few_outputs<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    let sums: Vec<[T; FEW]> = (0..s.c_in)
        .into_par_iter()
        .map(|c| dispatch(Isa::best(), Dots { s, x, gy, c }))
        .collect();
    for (i, gw) in gw.iter_mut().enumerate() {
        *gw = sums[i % s.c_in][i / s.c_in];
    }
}

/// The scalar products of one input channel.
struct Dots<'a, T> {
    s: &'a ConvShape,
    x: &'a [T],
    gy: &'a [T],
    c: usize,
}

impl<T: Float> Kernel for Dots<'_, T> {
    type Output = [T; FEW];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> [T; FEW] {
        let (s, p) = (self.s, self.s.h * self.s.w);
        let mut sums = [T::zero(); FEW];
        for image in 0..s.n {
            for first in (0..p).step_by(STRETCH) {
                let len = STRETCH.min(p - first);
                let x = &self.x[(image * s.c_in + self.c) * p + first..][..len];
                for (o, total) in sums[..s.c_out].iter_mut().enumerate() {
                    let gy = &self.gy[(image * s.c_out + o) * p + first..][..len];
                    *total += sum(x, gy, |x, gy| x * gy);
                }
            }
        }
        sums
    }
}
