//! Convolutions, their gradients, modulation.

use domex_cuda::{
    Buffer, Element, Plan,
    plan::{self, Products},
};
use domex_kernels::{
    Activation,
    conv::{self, ConvShape},
    epilogue::{self, EpilogueShape},
};

use crate::{
    data::{assert_close, noise, wide},
    runner::{elements, floats, rounded},
};

/// All kinds of products, with the errors that each explains: of float32 its sums; of TF32 the rounding of both factors, and of a half
/// type that of the result, to which its operands, which are rounded before, add nothing.
const PRODUCTS: [(Products, f64); 6] = [
    (Products::FLOAT, 3e-6),
    (products(Element::F16, false), 5e-4),
    (products(Element::Bf16, false), 4e-3),
    (products(Element::F32, true), 1e-3),
    (products(Element::F16, true), 5e-4),
    (products(Element::Bf16, true), 4e-3),
];

const fn products(element: Element, tensor_cores: bool) -> Products {
    Products {
        element,
        tensor_cores,
    }
}

/// Tiles that are not full, several tiles each way, windows beyond the edge, steps that leave a rest.
const SHAPES: [ConvShape; 7] = [
    shape(2, 5, [7, 6], 9, [3, 3], 1, 1),
    shape(1, 17, [9, 11], 66, [3, 3], 2, 1),
    shape(2, 3, [8, 8], 4, [1, 1], 1, 0),
    shape(1, 2, [13, 5], 3, [4, 2], 3, 2),
    shape(1, 66, [6, 5], 2, [1, 1], 2, 0),
    shape(2, 4, [26, 25], 3, [3, 3], 1, 0),
    shape(1, 1, [3, 3], 1, [3, 3], 4, 3),
];

const fn shape(
    n: usize,
    c_in: usize,
    [h, w]: [usize; 2],
    c_out: usize,
    [kh, kw]: [usize; 2],
    stride: usize,
    padding: usize,
) -> ConvShape {
    ConvShape {
        n,
        c_in,
        h,
        w,
        c_out,
        kh,
        kw,
        stride,
        padding,
    }
}

/// The plan's last operand from the first two, against the CPU's, for every shape and kind of products.
fn agrees(
    plan: impl Fn(&ConvShape, Products) -> domex_cuda::Result<Plan>,
    lens: impl Fn(&ConvShape) -> [usize; 3],
    cpu: impl Fn(&ConvShape, &[f64], &[f64], &mut [f64]) -> domex_kernels::Result<()>,
) {
    for s in SHAPES {
        let [a, b, out] = lens(&s);
        for (products, tolerance) in PRODUCTS {
            let [a, b] = [noise(a, 1), noise(b, 2)].map(|v| rounded(&v, products.element));
            let mut want = vec![0.0; out];
            cpu(&s, &wide(&a), &wide(&b), &mut want).unwrap();
            let plan = plan(&s, products).unwrap();
            let element = products.element;
            let operands = [(&a[..], element), (&b[..], element)];
            let Some(got) = elements(&plan, &operands, (2, out, element)) else {
                return;
            };
            assert_close(&got, &want, tolerance, &format!("{products:?} {s:?}"));
        }
    }
}

#[test]
fn forward_agrees_with_the_cpu() {
    let lens = |s: &ConvShape| [s.x_len(), s.w_len(), s.y_len()];
    agrees(
        |s, products| plan::conv_forward(s, &plan::Fused::NONE, products),
        lens,
        conv::forward,
    );
}

#[test]
fn the_gradient_of_the_input_agrees_with_the_cpu() {
    let lens = |s: &ConvShape| [s.w_len(), s.y_len(), s.x_len()];
    agrees(plan::conv_grad_input, lens, conv::grad_input);
}

#[test]
fn the_gradient_of_the_weight_agrees_with_the_cpu() {
    let lens = |s: &ConvShape| [s.x_len(), s.y_len(), s.w_len()];
    agrees(plan::conv_grad_weight, lens, conv::grad_weight);
}

#[test]
fn a_transposed_convolution_takes_a_style_and_rounds_nothing() {
    let s = SHAPES[3];
    let (style, plane) = (noise(s.n * s.c_out, 3), s.out_h() * s.out_w());
    for (products, _) in PRODUCTS {
        let [w, x] =
            [s.w_len(), s.y_len()].map(|len| rounded(&noise(len, len as u64), products.element));
        let scaled: Vec<f64> = (0..x.len())
            .map(|i| f64::from(x[i]) * f64::from(style[i / plane]))
            .collect();
        let mut want = vec![0.0; s.x_len()];
        conv::grad_input(&s, &wide(&w), &scaled, &mut want).unwrap();
        let plan = plan::conv_transposed(&s, true, products).unwrap();
        let operands = [
            (&w[..], products.element),
            (&x[..], products.element),
            (&style[..], Element::F32),
        ];
        let Some(got) = elements(&plan, &operands, (2, s.x_len(), Element::F32)) else {
            return;
        };
        // Tensor cores take the product of x and its style in TF32.
        let tolerance = if products.tensor_cores { 1e-3 } else { 3e-6 };
        assert_close(&got, &want, tolerance, &format!("{products:?}"));
    }
}

/// Styles that take the products of x beyond half precision, where the factors of demodulation bring the result back.
#[test]
fn a_style_does_not_overflow_in_half_precision() {
    let s = SHAPES[0];
    let [x, w] = [noise(s.x_len(), 1), noise(s.w_len(), 2)].map(|v| rounded(&v, Element::F16));
    let (style, scale) = (vec![1e6; s.n * s.c_in], vec![1e-6; s.n * s.c_out]);
    let mut want = vec![0.0; s.y_len()];
    conv::forward(&s, &wide(&x), &wide(&w), &mut want).unwrap();
    for tensor_cores in [false, true] {
        let fused = plan::Fused {
            style: Some(Buffer(3)),
            epilogue: plan::Epilogue {
                scale: Some(Buffer(4)),
                ..plan::Epilogue::NONE
            },
        };
        let plan = plan::conv_forward(&s, &fused, products(Element::F16, tensor_cores)).unwrap();
        let operands = [
            (&x[..], Element::F16),
            (&w[..], Element::F16),
            (&style[..], Element::F32),
            (&scale[..], Element::F32),
        ];
        let Some(got) = elements(&plan, &operands, (2, s.y_len(), Element::F16)) else {
            return;
        };
        // The product of the style is rounded, too.
        assert_close(&got, &want, 1e-3, "a large style");
    }
}

#[test]
fn a_modulated_convolution_with_its_epilogue_agrees_with_the_cpu() {
    for s in [SHAPES[0], SHAPES[1]] {
        let [x, w, style] = [
            noise(s.x_len(), 1),
            noise(s.w_len(), 2),
            noise(s.n * s.c_in, 3),
        ];
        let pixels = s.out_h() * s.out_w();
        let [shift, bias] = [noise(pixels, 4), noise(s.c_out, 5)];
        let (taps, act) = (s.kh * s.kw, Activation::Lrelu { alpha: 0.2 });

        let factor = |n: usize, o: usize| {
            let sum: f64 = (0..s.c_in * taps)
                .map(|i| {
                    (f64::from(w[o * s.c_in * taps + i]) * f64::from(style[n * s.c_in + i / taps]))
                        .powi(2)
                })
                .sum();
            1.0 / (sum + 1e-8).sqrt()
        };
        let factors: Vec<f64> = (0..s.n * s.c_out)
            .map(|i| factor(i / s.c_out, i % s.c_out))
            .collect();
        let plan = plan::demodulation(s.n, s.c_in, s.c_out, taps).unwrap();
        let Some(got) = floats(&plan, &[&w, &style], &[(2, factors.len())]) else {
            return;
        };
        assert_close(&got[0], &factors, 2e-6, "demodulation");

        let plane = s.h * s.w;
        let scaled: Vec<f64> = (0..s.x_len())
            .map(|i| f64::from(x[i]) * f64::from(style[i / plane]))
            .collect();
        let [mut middle, mut want] = [(); 2].map(|()| vec![0.0; s.y_len()]);
        conv::forward(&s, &scaled, &wide(&w), &mut middle).unwrap();
        let e = EpilogueShape {
            n: s.n,
            channels: s.c_out,
            pixels,
        };
        let (shift64, bias64) = (wide(&shift), wide(&bias));
        let cpu = epilogue::Epilogue {
            scale: Some(&factors),
            noise: Some(&shift64),
            bias: Some(&bias64),
            act,
            gain: 1.4,
            clamp: Some(1.5),
        };
        epilogue::forward(&e, &cpu, &middle, &mut want).unwrap();
        let fused = plan::Fused {
            style: Some(Buffer(3)),
            epilogue: plan::Epilogue {
                scale: Some(Buffer(4)),
                noise: Some(plan::Noise::Shared(Buffer(5))),
                bias: Some(Buffer(6)),
                act,
                gain: 1.4,
                clamp: Some(1.5),
            },
        };
        let plan = plan::conv_forward(&s, &fused, Products::FLOAT).unwrap();
        let Some(got) = floats(
            &plan,
            &[&x, &w, &style, &got[0], &shift, &bias],
            &[(2, s.y_len())],
        ) else {
            return;
        };
        assert_close(&got[0], &want, 5e-6, &format!("{s:?}"));
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let empty = ConvShape {
        c_in: 0,
        ..SHAPES[0]
    };
    assert!(
        plan::conv_grad_input(&empty, Products::FLOAT)
            .unwrap_err()
            .to_string()
            .contains("`c_in` is 0")
    );
    let long = ConvShape {
        n: 1 << 30,
        c_in: 1,
        h: 2,
        w: 2,
        c_out: 1,
        kh: 1,
        kw: 1,
        stride: 300,
        padding: 0,
    };
    let refused = plan::conv_grad_input(&long, Products::FLOAT)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("blocks along z is 90000"), "{refused}");
    let refused = plan::demodulation(1, 20_000, 1, 9).unwrap_err().to_string();
    assert!(refused.contains("c_in is 20000"), "{refused}");
}
