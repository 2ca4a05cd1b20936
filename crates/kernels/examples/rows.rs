//! Speed of the convolutions and of a matrix product, one line per shape: GFLOP per second of processor time.
//!
//! `RAYON_NUM_THREADS=1 cargo run --release -p domex-kernels --example rows [-- FILTER]` (a part of a name, or `=` and a whole one). Each figure is the median of several
//! runs. Processor time is that of all threads together, so the figures are per core, and a busy machine disturbs them little.

mod common;

use std::hint::black_box;

use common::{median, noise, wanted};
use domex_kernels::conv::{self, ConvShape};
use domex_kernels::gemm::{MatRef, Product, gemm};

fn row(name: &str, v: [usize; 9], swapped: bool) {
    if !wanted(name) {
        return;
    }
    let [n, c_in, h, w, c_out, kh, kw, stride, padding] = v;
    let s = ConvShape {
        n,
        c_in,
        h,
        w,
        c_out,
        kh,
        kw,
        stride,
        padding,
    };
    let (x, weight, gy) = (noise(s.x_len()), noise(s.w_len()), noise(s.y_len()));
    let (mut y, mut gx, mut gw) = (gy.clone(), x.clone(), weight.clone());
    let work = 2.0 * s.y_len() as f64 * (c_in * kh * kw) as f64 / 1e9;
    let forward =
        median(|| conv::forward(&s, black_box(&x), &weight, &mut y).expect("a good shape"));
    let input =
        median(|| conv::grad_input(&s, black_box(&weight), &gy, &mut gx).expect("a good shape"));
    let grad = median(|| conv::grad_weight(&s, black_box(&x), &gy, &mut gw).expect("a good shape"));
    let (first, second) = if swapped {
        (input, forward)
    } else {
        (forward, input)
    };
    println!(
        "{name:28} fwd {:5.0} gin {:5.0} gw {:5.0} all {:5.0}",
        work / first,
        work / second,
        work / grad,
        3.0 * work / (forward + input + grad)
    );
}

/// Products of square matrices.
fn matmul(name: &str, size: usize) {
    if !wanted(name) {
        return;
    }
    let (a, b) = (noise(size * size), noise(size * size));
    let mut c = a.clone();
    let p = Product {
        batch: 1,
        m: size,
        n: size,
        k: size,
    };
    let (a, b) = (
        MatRef::row_major(&a, size, size),
        MatRef::row_major(&b, size, size),
    );
    let seconds = median(|| gemm(p, 1.0, black_box(a), b, 0.0, &mut c).expect("a good shape"));
    println!(
        "{name:28} {:5.0}",
        2.0 * (size as f64).powi(3) / 1e9 / seconds
    );
}

fn main() {
    matmul("matmul 1024", 1024);
    let square = |n, c, o, h, k, s, p| [n, c, h, h, o, k, k, s, p];
    row(
        "3x3 n4 c512 o512 16",
        square(4, 512, 512, 16, 3, 1, 1),
        false,
    );
    row(
        "3x3 n4 c256 o256 64",
        square(4, 256, 256, 64, 3, 1, 1),
        false,
    );
    row("3x3 n4 c64 o64 64", square(4, 64, 64, 64, 3, 1, 1), false);
    row(
        "3x3 n8 c128 o128 16",
        square(8, 128, 128, 16, 3, 1, 1),
        false,
    );
    row(
        "3x3 n8 c128 o128 32",
        square(8, 128, 128, 32, 3, 1, 1),
        false,
    );
    row(
        "3x3 n4 c128 o128 128",
        square(4, 128, 128, 128, 3, 1, 1),
        false,
    );
    // The transposed convolution is the gradient of this one's input.
    row("T c512 8", square(4, 512, 512, 17, 3, 2, 0), true);
    row("T c256 32", square(4, 256, 256, 65, 3, 2, 0), true);
    row("T c64 32", square(4, 64, 64, 65, 3, 2, 0), true);
    row("T c128 64", square(4, 128, 128, 129, 3, 2, 0), true);
    row("3x3 s2 c512 16", square(4, 512, 512, 17, 3, 2, 0), false);
    row("3x3 s2 c128 128", square(4, 128, 128, 129, 3, 2, 0), false);
    row("1x1 c512 16", square(4, 512, 512, 16, 1, 1, 0), false);
    row("1x1 c128 64", square(4, 128, 256, 64, 1, 1, 0), false);
    row(
        "1x1 c128 o3 128 (rgb)",
        square(4, 128, 3, 128, 1, 1, 0),
        false,
    );
    row("11x11 s4", square(8, 3, 64, 224, 11, 4, 2), false);
    row("5x5 c64 27", square(8, 64, 192, 27, 5, 1, 2), false);
    row("vgg 3x3 c3 224", square(4, 3, 64, 224, 3, 1, 1), false);
    row("vgg 3x3 c64 224", square(2, 64, 64, 224, 3, 1, 1), false);
    row("7x7 s2", square(8, 3, 64, 224, 7, 2, 3), false);
    row("16x16 s16", square(8, 3, 768, 224, 16, 16, 0), false);
    row("32x32 s32", square(8, 3, 768, 224, 32, 32, 0), false);
    row("3x3 4x4 c512", square(8, 512, 512, 4, 3, 1, 1), false);
    row("3x3 8x8 c512", square(8, 512, 512, 8, 3, 1, 1), false);
}
