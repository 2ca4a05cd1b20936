//! Every operator with a CUDA body on a card, against the CPU: values and all gradients. `cargo xtask gpu-check` runs it, on the card
//! that the variable `DOMEX_GPU` names.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

use candle_core::{Device, Tensor, Var};
use domex_ops::{
    Activation, BiasAct, Mask, ModulatedConv, Pool, Resize, Result, attention, avg_pool2d,
    bias_act, conv_transpose2d, conv2d, group_norm, layer_norm, max_pool2d, modulated_layer,
    pixel_norm, resize, setup_filter, softmax, upsample2d,
};

/// The largest difference from the CPU, relative to the largest value, that float32 explains.
const TOLERANCE: f64 = 1e-4;

/// Reproducible numbers in [−1, 1).
fn noise(dims: &[usize], seed: u64) -> Tensor {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let len = dims.iter().product();
    let values: Vec<f32> = (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f64 / f64::from(1u32 << 23) - 1.0) as f32
        })
        .collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

type Operator<'a> = &'a dyn Fn(&[Tensor], &Device) -> Result<Tensor>;

/// The result on a device, and the gradients of all inputs along fixed numbers.
fn run(inputs: &[Tensor], f: Operator<'_>, device: &Device) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|t| Var::from_tensor(&t.to_device(device).unwrap()).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors, device).unwrap();
    let along = noise(y.dims(), 99).to_device(device).unwrap();
    let grads = (&y * along).unwrap().sum_all().unwrap().backward().unwrap();
    let all = vars
        .iter()
        .map(|v| grads.get(v).expect("a gradient").clone());
    std::iter::once(y).chain(all).collect()
}

/// Prints the largest difference of each operator, and returns the names of those that are too far off.
struct Check {
    card: Device,
    wrong: Vec<String>,
}

impl Check {
    fn agrees(&mut self, name: &str, dims: &[&[usize]], f: Operator<'_>) {
        let inputs: Vec<Tensor> = (1..).zip(dims).map(|(i, d)| noise(d, i)).collect();
        let flat = |t: &Tensor| -> Vec<f32> {
            let t = t.to_device(&Device::Cpu).unwrap();
            t.flatten_all().unwrap().to_vec1().unwrap()
        };
        let cpu = run(&inputs, f, &Device::Cpu);
        let cuda = run(&inputs, f, &self.card);
        let mut errors = Vec::new();
        for (cpu, cuda) in cpu.iter().zip(&cuda) {
            let (cpu, cuda) = (flat(cpu), flat(cuda));
            let scale = cpu.iter().fold(1e-30f32, |m, v| m.max(v.abs()));
            let off = cpu
                .iter()
                .zip(&cuda)
                .map(|(a, b)| f64::from((a - b).abs() / scale));
            // NaN counts as infinitely far.
            errors.push(off.fold(
                0.0,
                |m: f64, e| if e.is_nan() { f64::INFINITY } else { m.max(e) },
            ));
        }
        let shown: Vec<String> = errors.iter().map(|e| format!("{e:.1e}")).collect();
        println!("{name:40} value, gradients: {}", shown.join(", "));
        if errors.iter().any(|&e| e > TOLERANCE) {
            self.wrong.push(name.to_owned());
        }
    }
}

#[test]
fn every_operator_agrees_with_the_cpu() {
    let index =
        std::env::var("DOMEX_GPU").expect("DOMEX_GPU names the card; run `cargo xtask gpu-check`");
    let index = index.parse().expect("a number");
    domex_cuda::compile::open(index).unwrap_or_else(|e| panic!("{e}"));
    let mut check = Check {
        card: Device::new_cuda(index).unwrap(),
        wrong: Vec::new(),
    };

    let map: &[usize] = &[2, 33, 19, 17];
    let weight: &[usize] = &[70, 33, 3, 3];
    for (stride, padding) in [(1, 1), (2, 0), (3, 2)] {
        check.agrees(
            &format!("conv2d stride {stride}"),
            &[map, weight, &[70]],
            &|t, _| conv2d(&t[0], &t[1], Some(&t[2]), stride, padding),
        );
        check.agrees(
            &format!("conv_transpose2d stride {stride}"),
            &[map, &[33, 20, 3, 3]],
            &|t, _| conv_transpose2d(&t[0], &t[1], stride, padding.min(1)),
        );
    }
    let filter = |device: &Device| {
        setup_filter(&[1.0, 3.0, 3.0, 1.0], None, device, candle_core::DType::F32)
    };
    check.agrees("upsample2d", &[map], &|t, device| {
        upsample2d(&t[0], Some(&filter(device)?), 2, [0; 4], false, 1.0)
    });
    for act in [Activation::Lrelu, Activation::Swish, Activation::Linear] {
        let how = BiasAct {
            clamp: Some(0.8),
            ..BiasAct::new(act)
        };
        check.agrees(&format!("bias_act {act:?}"), &[map, &[33]], &|t, _| {
            bias_act(&t[0], Some(&t[1]), &how)
        });
    }
    for up in [1, 2] {
        let size: &[usize] = &[2, 1, 19 * up, 17 * up];
        check.agrees(
            &format!("modulated_layer up {up}"),
            &[map, weight, &[2, 33], &[70], size],
            &|t, device| {
                let filter = filter(device)?;
                let how = ModulatedConv {
                    up,
                    padding: 1,
                    filter: (up > 1).then_some(&filter),
                    flip_weight: up == 1,
                    noise: Some(&t[4]),
                    ..ModulatedConv::default()
                };
                modulated_layer(
                    &t[0],
                    &t[1],
                    &t[2],
                    &how,
                    Some(&t[3]),
                    &BiasAct::new(Activation::Lrelu),
                )
            },
        );
    }
    check.agrees("layer_norm", &[&[3, 50, 96], &[96], &[96]], &|t, _| {
        layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5)
    });
    check.agrees("group_norm", &[&[2, 12, 9, 7], &[12], &[12]], &|t, _| {
        group_norm(&t[0], 4, Some(&t[1]), Some(&t[2]), 1e-5)
    });
    check.agrees("pixel_norm of channels", &[map], &|t, _| {
        pixel_norm(&t[0], 1, 1e-8)
    });
    check.agrees("softmax of rows", &[&[7, 300]], &|t, _| softmax(&t[0], 1));
    check.agrees("softmax of a middle axis", &[&[3, 20, 40]], &|t, _| {
        softmax(&t[0], 1)
    });
    for (name, mask) in [
        ("attention", Mask::None),
        ("attention, causal", Mask::Causal),
    ] {
        let tokens: &[usize] = &[2, 50, 4 * 64];
        check.agrees(name, &[tokens, tokens, tokens], &|t, _| {
            attention(&t[0], &t[1], &t[2], 4, mask)
        });
    }
    check.agrees("max_pool2d", &[map], &|t, _| {
        max_pool2d(&t[0], &Pool::new(3, 2))
    });
    check.agrees("avg_pool2d", &[map], &|t, _| {
        avg_pool2d(&t[0], &Pool::new(3, 2), true)
    });
    check.agrees("resize", &[map], &|t, _| {
        resize(&t[0], 8, 31, Resize::Bicubic { antialias: true })
    });
    let grid = (noise(&[2, 11, 13, 2], 7) * 1.2).unwrap();
    check.agrees("grid_sample", &[map], &|t, device| {
        domex_ops::grid_sample(&t[0], &grid.to_device(device)?)
    });
    check.agrees("minibatch_std", &[&[4, 6, 4, 4]], &|t, _| {
        domex_ops::minibatch_std(&t[0], Some(2), 1)
    });

    assert!(
        check.wrong.is_empty(),
        "beyond {TOLERANCE:e}: {}",
        check.wrong.join(", ")
    );
}
