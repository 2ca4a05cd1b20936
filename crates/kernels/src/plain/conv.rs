//! Convolution and its gradients by their definition, see [`crate::conv`].

use crate::Float;
use crate::conv::ConvShape;

/// Calls `visit` with the flat indices (x, w, y) of every product that the convolution adds up.
fn visit(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = (s.out_h(), s.out_w());
    for n in 0..s.n {
        for o in 0..s.c_out {
            for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
                let y = ((n * s.c_out + o) * oh + i) * ow + j;
                for c in 0..s.c_in {
                    for (a, b) in (0..s.kh).flat_map(|a| (0..s.kw).map(move |b| (a, b))) {
                        let row = (i * s.stride + a).wrapping_sub(s.padding);
                        let col = (j * s.stride + b).wrapping_sub(s.padding);
                        if row < s.h && col < s.w {
                            let x = ((n * s.c_in + c) * s.h + row) * s.w + col;
                            visit(x, ((o * s.c_in + c) * s.kh + a) * s.kw + b, y);
                        }
                    }
                }
            }
        }
    }
}

fn rounded<T: Float>(sums: &[f64], out: &mut [T]) {
    for (value, sum) in out.iter_mut().zip(sums) {
        *value = T::of(*sum);
    }
}

/// `y = x * w`.
pub fn conv_forward<T: Float>(s: &ConvShape, x: &[T], w: &[T], y: &mut [T]) {
    let mut sums = vec![0.0; y.len()];
    visit(s, |xi, wi, yi| sums[yi] += x[xi].wide() * w[wi].wide());
    rounded(&sums, y);
}

/// The gradient of the input.
pub fn conv_grad_input<T: Float>(s: &ConvShape, w: &[T], gy: &[T], gx: &mut [T]) {
    let mut sums = vec![0.0; gx.len()];
    visit(s, |xi, wi, yi| sums[xi] += gy[yi].wide() * w[wi].wide());
    rounded(&sums, gx);
}

/// The gradient of the weight.
pub fn conv_grad_weight<T: Float>(s: &ConvShape, x: &[T], gy: &[T], gw: &mut [T]) {
    let mut sums = vec![0.0; gw.len()];
    visit(s, |xi, wi, yi| sums[wi] += x[xi].wide() * gy[yi].wide());
    rounded(&sums, gw);
}
