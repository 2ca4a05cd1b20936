//! Convolutions, their gradients, and a generator's layer.

use candle_core::{DType, Tensor};
use domex_kernels::conv::ConvShape;
use domex_ops::{Activation, BiasAct, ModulatedConv, conv2d, modulated_layer};

use super::{Rows, forward, forward_of, gradient_of};

pub(super) fn add(rows: &mut Rows, n: usize, side: usize, c: usize) {
    let s = ConvShape {
        n,
        c_in: c,
        h: side,
        w: side,
        c_out: c,
        kh: 3,
        kw: 3,
        stride: 1,
        padding: 1,
    };
    let values = (s.x_len() + s.w_len() + s.y_len()) as f64;
    let cost = [values, 2.0 * s.y_len() as f64 * (c * 9) as f64];
    let size = format!("n{n} c{c} {side}² 3×3");
    let shapes: [&[usize]; 2] = [&[n, c, side, side], &[c, c, 3, 3]];
    let f = |t: &[Tensor]| conv2d(&t[0], &t[1], None, 1, 1);
    for (dtype, [of_y, of_x, of_w]) in [
        (
            DType::F32,
            ["conv_forward", "conv_grad_input", "conv_grad_weight"],
        ),
        (
            DType::F16,
            [
                "conv_forward, float16",
                "conv_grad_input, float16",
                "conv_grad_weight, float16",
            ],
        ),
    ] {
        for (kernel, call) in [
            (of_y, forward_of(dtype, &shapes, f)),
            (of_x, gradient_of(dtype, &shapes, 0, f)),
            (of_w, gradient_of(dtype, &shapes, 1, f)),
        ] {
            rows.add_of(dtype, kernel, size.clone(), cost, call);
        }
    }
    // Without a graph the layer of a generator is the factors of demodulation, and one kernel.
    let shapes: [&[usize]; 4] = [&[n, c, side, side], &[c, c, 3, 3], &[n, c], &[c]];
    let layer = |t: &[Tensor]| {
        let how = ModulatedConv {
            padding: 1,
            ..ModulatedConv::default()
        };
        let act = BiasAct::new(Activation::Lrelu);
        modulated_layer(&t[0], &t[1], &t[2], &how, Some(&t[3]), &act)
    };
    let weights = s.w_len() as f64;
    let cost = [
        cost[0] + weights,
        cost[1] + 2.0 * weights + 8.0 * s.y_len() as f64,
    ];
    rows.add(
        "demodulation + conv_forward with its epilogue",
        size,
        cost,
        forward(&shapes, layer),
    );
}
