//! Every operator on the device against the same operator in float64 on the CPU.

mod compared;

use std::rc::Rc;

use candle_core::{DType, Tensor};
use domex_ops::{
    Activation, BiasAct, Gelu, Mask, ModulatedConv, Pool, Resize, UnitLength, Weight, attention,
    avg_pool2d, bias_act, conv_transpose2d, conv2d, gelu, grid_sample, group_norm, group_norm_silu,
    layer_norm, linear, matmul, max_pool2d, minibatch_std, modulated_conv2d, modulated_layer,
    pixel_norm, resize, setup_filter, softmax, unit_distance, upsample_nearest, upsample2d,
};

use self::compared::{Bounds, compared, optimizer};
use super::{
    cudnn,
    part::{Setup, Task, with_tf32},
    ranks, uploads,
};

/// Precisions, with the errors that each explains: float32's sums of some thousand products, and of the others a few roundings in
/// a row.
const PRECISIONS: [(DType, Bounds); 3] = [
    (
        DType::F32,
        Bounds {
            value: 1e-5,
            gradient: 1e-4,
            second: Some(1e-3),
        },
    ),
    (
        DType::F16,
        Bounds {
            value: 4e-3,
            gradient: 2e-2,
            second: None,
        },
    ),
    (
        DType::BF16,
        Bounds {
            value: 3e-2,
            gradient: 1e-1,
            second: None,
        },
    ),
];

/// Where factors are rounded to eleven bits, which takes some values to the other side of a kink.
const TF32: Bounds = Bounds {
    value: 4e-3,
    gradient: 3e-2,
    second: None,
};

/// How the names of operators begin that may take TF32.
const PRODUCTS: [&str; 5] = [
    "conv2d",
    "conv_transpose2d",
    "modulated",
    "linear",
    "matmul",
];

/// How the names of operators begin that convolve: by our kernels, and by cuDNN.
const CONVOLUTIONS: [&str; 3] = ["conv2d", "conv_transpose2d", "modulated"];

/// The operator that takes places.
const GRID: &str = "grid_sample";

type Operator = Rc<dyn Fn(&[Tensor]) -> domex_ops::Result<Tensor>>;

/// A task for each operator in each precision.
pub fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for (name, shapes, f) in all() {
        // Places in a picture cannot be told apart in half precision, and nobody asks for them there.
        let precisions = if name == GRID {
            &PRECISIONS[..1]
        } else {
            &PRECISIONS
        };
        let by_cudnn = CONVOLUTIONS.iter().any(|begin| name.starts_with(begin));
        let mut add = |how: &str, dtype: DType, bounds: Bounds, tf32: bool| {
            let (name, shapes, f) = (format!("{name}, {how}"), shapes.clone(), Rc::clone(&f));
            let row = move |setup: &Setup| {
                with_tf32(tf32, || compared(&shapes, &*f, dtype, bounds, setup))
            };
            if by_cudnn {
                let row = row.clone();
                tasks.push(Task::new(format!("{name}, by cuDNN"), move |setup| {
                    cudnn::served(setup, || row(setup))
                }));
            }
            tasks.push(Task::new(name, move |setup| cudnn::without(|| row(setup))));
        };
        for &(dtype, bounds) in precisions {
            add(dtype.as_str(), dtype, bounds, false);
        }
        if PRODUCTS.iter().any(|product| name.starts_with(product)) {
            add("f32 by TF32", DType::F32, TF32, true);
        }
    }
    tasks.push(Task::new("adam and average, f32", optimizer));
    tasks.push(uploads::task());
    tasks.push(ranks::task());
    tasks
}

/// The operators with their operands' shapes: odd sizes, several blocks of each kernel.
fn all() -> Vec<(String, Vec<Vec<usize>>, Operator)> {
    let mut list: Vec<(String, Vec<Vec<usize>>, Operator)> = Vec::new();
    let mut add = |name: &str, shapes: &[&[usize]], f: Operator| {
        list.push((
            name.to_owned(),
            shapes.iter().map(|s| s.to_vec()).collect(),
            f,
        ));
    };
    let map: &[usize] = &[2, 33, 19, 17];
    let weight: &[usize] = &[70, 33, 3, 3];
    for (stride, padding) in [(1, 1), (2, 0), (3, 2)] {
        add(
            &format!("conv2d stride {stride}"),
            &[map, weight, &[70]],
            Rc::new(move |t| conv2d(&t[0], &t[1], Some(&t[2]), stride, padding)),
        );
        add(
            &format!("conv_transpose2d stride {stride}"),
            &[map, &[33, 20, 3, 3]],
            Rc::new(move |t| conv_transpose2d(&t[0], &t[1], stride, padding.min(1))),
        );
    }
    add(
        "conv2d_relu",
        &[map, weight, &[70]],
        Rc::new(|t| Weight::new(t[1].clone()).conv2d_relu(&t[0], Some(&t[2]), 1, 1)),
    );
    add(
        "upsample2d",
        &[map],
        Rc::new(|t| upsample2d(&t[0], Some(&taps(&t[0])?), 2, [0; 4], false, 1.0)),
    );
    add(
        "upsample_nearest",
        &[map],
        Rc::new(|t| upsample_nearest(&t[0], 2)),
    );
    for act in [Activation::Lrelu, Activation::Swish, Activation::Linear] {
        let how = BiasAct {
            clamp: Some(0.8),
            ..BiasAct::new(act)
        };
        add(
            &format!("bias_act {act:?}"),
            &[map, &[33]],
            Rc::new(move |t| bias_act(&t[0], Some(&t[1]), &how)),
        );
    }
    add(
        "bias_act of rows",
        &[&[3, 50, 96], &[96]],
        Rc::new(|t| {
            let how = BiasAct {
                dim: 2,
                ..BiasAct::new(Activation::Lrelu)
            };
            bias_act(&t[0], Some(&t[1]), &how)
        }),
    );
    for up in [1, 2] {
        let noise: &[usize] = &[2, 1, 19 * up, 17 * up];
        add(
            &format!("modulated_layer up {up}"),
            &[map, weight, &[2, 33], &[70], noise],
            Rc::new(move |t| modulated(t, up)),
        );
    }
    add(
        "modulated_layer to RGB",
        &[map, &[3, 33, 1, 1], &[2, 33], &[3]],
        Rc::new(|t| {
            let how = ModulatedConv {
                demodulate: false,
                ..ModulatedConv::default()
            };
            let act = BiasAct {
                clamp: Some(0.8),
                ..BiasAct::new(Activation::Linear)
            };
            modulated_layer(&t[0], &t[1], &t[2], &how, Some(&t[3]), &act)
        }),
    );
    add(
        "modulated_conv2d turned, with a factor",
        &[map, weight, &[2, 33], &[1, 33]],
        Rc::new(|t| {
            let how = ModulatedConv {
                padding: 1,
                flip_weight: false,
                channel_factor: Some(&t[3]),
                ..ModulatedConv::default()
            };
            modulated_conv2d(&t[0], &t[1], &t[2], &how)
        }),
    );
    add(
        "linear",
        &[&[3, 50, 96], &[70, 96], &[70]],
        Rc::new(|t| linear(&t[0], &t[1], Some(&t[2]))),
    );
    add(
        "matmul",
        &[&[5, 33, 70], &[5, 70, 41]],
        Rc::new(|t| matmul(&t[0], &t[1])),
    );
    for how in [Gelu::Exact, Gelu::Quick] {
        add(
            &format!("gelu {how:?}"),
            &[map],
            Rc::new(move |t| gelu(&t[0], how)),
        );
    }
    add(
        "layer_norm",
        &[&[3, 50, 96], &[96], &[96]],
        Rc::new(|t| layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5)),
    );
    add(
        "group_norm",
        &[&[2, 12, 9, 7], &[12], &[12]],
        Rc::new(|t| group_norm(&t[0], 4, Some(&t[1]), Some(&t[2]), 1e-5)),
    );
    add(
        "group_norm_silu",
        &[&[2, 12, 9, 7], &[2, 12], &[2, 12]],
        Rc::new(|t| group_norm_silu(&t[0], 4, &t[1], &t[2], 1e-5)),
    );
    add(
        "pixel_norm of channels",
        &[map],
        Rc::new(|t| pixel_norm(&t[0], 1, 1e-8)),
    );
    add(
        "softmax of rows",
        &[&[7, 300]],
        Rc::new(|t| softmax(&t[0], 1)),
    );
    add(
        "softmax of a middle axis",
        &[&[3, 20, 40]],
        Rc::new(|t| softmax(&t[0], 1)),
    );
    for (name, mask) in [
        ("attention", Mask::None),
        ("attention, causal", Mask::Causal),
    ] {
        let tokens: &[usize] = &[2, 50, 4 * 64];
        add(
            name,
            &[tokens; 3],
            Rc::new(move |t| attention(&t[0], &t[1], &t[2], 4, mask)),
        );
    }
    add(
        "max_pool2d",
        &[map],
        Rc::new(|t| max_pool2d(&t[0], &Pool::new(3, 2))),
    );
    add(
        "avg_pool2d",
        &[map],
        Rc::new(|t| avg_pool2d(&t[0], &Pool::new(3, 2), true)),
    );
    add(
        "resize",
        &[map],
        Rc::new(|t| resize(&t[0], 8, 31, Resize::Bicubic { antialias: true })),
    );
    add(
        GRID,
        &[map],
        Rc::new(|t| {
            let grid = (0..2 * 11 * 13 * 2).map(|i| f64::from(i * 37 % 101) / 42.0 - 1.2);
            let grid = Tensor::from_iter(grid, t[0].device())?.reshape((2, 11, 13, 2))?;
            grid_sample(&t[0], &grid.to_dtype(t[0].dtype())?)
        }),
    );
    let length = UnitLength {
        eps: 1e-10,
        floor: 0.0,
    };
    add(
        "unit_distance",
        &[map, map],
        Rc::new(move |t| unit_distance(&t[0], &t[1], None, length)),
    );
    add(
        "unit_distance, weighted",
        &[map, map, &[33]],
        Rc::new(move |t| unit_distance(&t[0], &t[1], Some(&t[2]), length)),
    );
    add(
        "minibatch_std",
        &[&[4, 6, 4, 4]],
        Rc::new(|t| minibatch_std(&t[0], Some(2), 1)),
    );
    list
}

fn taps(like: &Tensor) -> domex_ops::Result<Tensor> {
    setup_filter(&[1.0, 3.0, 3.0, 1.0], None, like.device(), like.dtype())
}

fn modulated(t: &[Tensor], up: usize) -> domex_ops::Result<Tensor> {
    let filter = taps(&t[0])?;
    let how = ModulatedConv {
        up,
        padding: 1,
        filter: (up > 1).then_some(&filter),
        flip_weight: up == 1,
        noise: Some(&t[4]),
        ..ModulatedConv::default()
    };
    let act = BiasAct::new(Activation::Lrelu);
    modulated_layer(&t[0], &t[1], &t[2], &how, Some(&t[3]), &act)
}
