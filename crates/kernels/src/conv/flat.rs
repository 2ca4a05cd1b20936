//! Convolutions with few pixels, as plain products that leave the weight as it lies.
//!
//! With `p` output pixels over all images, a weight of `c_out · c_in · kh · kw` values is used `p` times. Where p is small, bringing the
//! weight into a blocked order (or a blocked gradient back) takes as long as a good part of the products. Here the
//! pixels do all the moving: `columns [c_in·kh·kw, p]` hold what each output pixel sees, and
//! `y [c_out, p] = w · columns`, `gw = gy · columnsᵀ`, with w and gw in their own order. (3×3 with 512 channels at 4 × 4, batch 8: p is
//! 128, the columns 2.4 MB, the weight 9.4 MB.)

use rayon::prelude::*;

use super::ConvShape;
use super::unfold::unfold_all;
use crate::dense::{self, Panels};
use crate::gemm::{MatRef, Product};
use crate::scratch::{Scratch, take, values};
use crate::simd::{flat, flat_mut};

/// Pixels up to which this form is the faster one, measured with 512 channels: at 128 (4 × 4, batch 8) 1.1 to 1.6 times, at 256
/// (8 × 8 after a stride of 2, batch 4) 1.1 to 1.3 times, at 512 about the same.
const MOST_PIXELS: usize = 320;

/// Values of a weight from which moving it takes a noticeable time: 1 MiB, what a second-level cache holds.
const LEAST_WEIGHT: usize = 1 << 18;

/// Taps up to which the table of places is small whatever the channels: 10 MiB. Networks have 32 × 32 at most.
const MOST_TAPS: usize = 1 << 12;

fn pixels(s: &ConvShape) -> usize {
    s.n * s.out_h() * s.out_w()
}

/// Whether this form is the one to take, forward and for the gradient of the weight.
pub(super) fn pays(s: &ConvShape) -> bool {
    pixels(s) <= MOST_PIXELS
        && s.w_len() >= LEAST_WEIGHT
        && s.c_out >= 64
        && s.kh * s.kw <= MOST_TAPS
}

fn depth(s: &ConvShape) -> usize {
    s.c_in * s.kh * s.kw
}

/// `[depth, p]`.
fn columns(s: &ConvShape, x: &[f32]) -> Scratch {
    let len = depth(s) * pixels(s);
    let mut columns = take(len);
    unfold_all(s, x, values(&mut columns, len));
    columns
}

/// No element of x: zeros around the image.
const OUTSIDE: usize = usize::MAX;

/// For each tap and each output pixel, where in the first channel of `x` it sees.
fn places(s: &ConvShape) -> Vec<usize> {
    let mut places = Vec::with_capacity(s.kh * s.kw * pixels(s));
    let inside = |out: usize, tap: usize, size: usize| {
        let at = (out * s.stride + tap).checked_sub(s.padding)?;
        (at < size).then_some(at)
    };
    for tap in 0..s.kh * s.kw {
        for pixel in 0..pixels(s) {
            let (image, place) = (
                pixel / (s.out_h() * s.out_w()),
                pixel % (s.out_h() * s.out_w()),
            );
            let row = inside(place / s.out_w(), tap / s.kw, s.h);
            let column = inside(place % s.out_w(), tap % s.kw, s.w);
            places.push(match (row, column) {
                (Some(row), Some(column)) => (image * s.c_in * s.h + row) * s.w + column,
                _ => OUTSIDE,
            });
        }
    }
    places
}

/// The columns in the order in which the product reads them. Maps this small have rows of a few pixels, so the pixels are fetched
/// one by one, and no copy is made between.
fn packed_columns(s: &ConvShape, x: &[f32], panels: &Panels) -> Scratch {
    let (places, taps) = (places(s), s.kh * s.kw);
    let mut packed = take(panels.len());
    let values = &mut flat_mut(&mut packed)[..panels.len()];
    values
        .par_chunks_mut(panels.panel_len())
        .enumerate()
        .for_each(|(index, panel)| {
            let (first, width) = panels.columns(index);
            panel
                .par_chunks_mut(taps * width)
                .with_min_len(CHANNELS)
                .enumerate()
                .for_each(|(channel, rows)| {
                    let x = &x[channel * s.h * s.w..];
                    for (tap, row) in rows.chunks_exact_mut(width).enumerate() {
                        let places = &places[tap * pixels(s)..][..pixels(s)];
                        let places = &places[first..pixels(s).min(first + width)];
                        for (value, &place) in row.iter_mut().zip(places) {
                            *value = x.get(place).copied().unwrap_or(0.0);
                        }
                        // Columns up to a whole vector.
                        row[places.len()..].fill(0.0);
                    }
                });
        });
    packed
}

/// Channels of a task at least: with nine taps and a panel of 32 columns some 5000 values, a few microseconds.
const CHANNELS: usize = 16;

pub(super) fn forward(s: &ConvShape, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (p, plane) = (pixels(s), s.out_h() * s.out_w());
    let panels = Panels::new(depth(s), p);
    let columns = packed_columns(s, x, &panels);
    let mut rows = take(s.c_out * p);
    let rows = &mut flat_mut(&mut rows)[..s.c_out * p];
    let product = Product {
        batch: 1,
        m: s.c_out,
        n: p,
        k: depth(s),
    };
    let a = MatRef::row_major(w, s.c_out, depth(s));
    dense::product_of_packed(product, a, flat(&columns), rows);
    y.par_chunks_mut(plane).enumerate().for_each(|(index, y)| {
        let (image, channel) = (index / s.c_out, index % s.c_out);
        y.copy_from_slice(&rows[channel * p + image * plane..][..plane]);
    });
}

pub(super) fn grad_weight(s: &ConvShape, x: &[f32], gy: &[f32], gw: &mut [f32]) {
    let (p, plane) = (pixels(s), s.out_h() * s.out_w());
    let columns = columns(s, x);
    let mut rows = take(s.c_out * p);
    let rows = &mut flat_mut(&mut rows)[..s.c_out * p];
    rows.par_chunks_mut(p)
        .enumerate()
        .for_each(|(channel, rows)| {
            for (image, row) in rows.chunks_exact_mut(plane).enumerate() {
                row.copy_from_slice(&gy[(image * s.c_out + channel) * plane..][..plane]);
            }
        });
    let product = Product {
        batch: 1,
        m: s.c_out,
        n: depth(s),
        k: p,
    };
    let b = MatRef::transposed(flat(&columns), depth(s), p);
    dense::product(product, MatRef::row_major(rows, s.c_out, p), b, gw);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SHAPES, shape};
    use super::*;
    use crate::plain;
    use crate::testing::{assert_close, noise};

    #[test]
    fn agrees_with_plain_whether_it_pays_or_not() {
        for &v in SHAPES {
            let s = shape(v);
            let (x, w) = (noise::<f32>(s.x_len(), 1), noise::<f32>(s.w_len(), 2));
            let gy = noise::<f32>(s.y_len(), 3);
            let (mut y, mut got) = (vec![0.0; s.y_len()], vec![f32::NAN; s.y_len()]);
            plain::conv_forward(&s, &x, &w, &mut y);
            forward(&s, &x, &w, &mut got);
            assert_close(&got, &y, 1e-5);
            let (mut gw, mut got) = (vec![0.0; s.w_len()], vec![f32::NAN; s.w_len()]);
            plain::conv_grad_weight(&s, &x, &gy, &mut gw);
            grad_weight(&s, &x, &gy, &mut got);
            assert_close(&got, &gw, 1e-5);
        }
    }

    #[test]
    fn it_is_taken_where_it_should_be() {
        let at = |n, c, size, stride| shape([n, c, size, size, c, 3, 3, stride, 1]);
        assert!(pays(&at(8, 512, 4, 1)));
        assert!(pays(&at(4, 512, 16, 2)));
        assert!(!pays(&at(8, 512, 8, 1)));
        assert!(!pays(&at(8, 32, 4, 1)));
    }
}
