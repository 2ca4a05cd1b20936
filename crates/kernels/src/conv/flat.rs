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
use crate::dense;
use crate::gemm::{MatRef, Product};
use crate::scratch::{Scratch, take, values};
use crate::simd::{flat, flat_mut};

/// Pixels up to which this form is the faster one, measured with 512 channels: at 128 (4 × 4, batch 8) 1.1 to 1.6 times, at 256
/// (8 × 8 after a stride of 2, batch 4) 1.1 to 1.3 times, at 512 about the same.
const MOST_PIXELS: usize = 320;

/// Values of a weight from which moving it takes a noticeable time: 1 MiB, what a second-level cache holds.
const LEAST_WEIGHT: usize = 1 << 18;

fn pixels(s: &ConvShape) -> usize {
    s.n * s.out_h() * s.out_w()
}

/// Whether this form is the one to take, forward and for the gradient of the weight.
pub(super) fn pays(s: &ConvShape) -> bool {
    pixels(s) <= MOST_PIXELS && s.w_len() >= LEAST_WEIGHT && s.c_out >= 64
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

pub(super) fn forward(s: &ConvShape, x: &[f32], w: &[f32], y: &mut [f32]) {
    let (p, plane) = (pixels(s), s.out_h() * s.out_w());
    let columns = columns(s, x);
    let mut rows = take(s.c_out * p);
    let rows = &mut flat_mut(&mut rows)[..s.c_out * p];
    let product = Product {
        batch: 1,
        m: s.c_out,
        n: p,
        k: depth(s),
    };
    let a = MatRef::row_major(w, s.c_out, depth(s));
    dense::product(
        product,
        a,
        MatRef::row_major(flat(&columns), depth(s), p),
        rows,
    );
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
