//! The epilogue, forward and backward.

use domex_cuda::{Buffer, Element, plan};
use domex_kernels::{
    Activation,
    epilogue::{self, EpilogueGrads, EpilogueShape},
};

use crate::{
    data::{assert_close, noise, tolerance, wide},
    runner::{alike, floats, rounded},
};

const SHAPES: [EpilogueShape; 4] = [
    EpilogueShape {
        n: 2,
        channels: 3,
        pixels: 35,
    },
    EpilogueShape {
        n: 1,
        channels: 1,
        pixels: 1,
    },
    EpilogueShape {
        n: 3,
        channels: 2,
        pixels: 521,
    },
    // Each plane in several blocks.
    EpilogueShape {
        n: 2,
        channels: 2,
        pixels: 9000,
    },
];

const ACTS: [Activation; 6] = [
    Activation::Linear,
    Activation::Lrelu { alpha: 0.2 },
    Activation::Lrelu { alpha: 0.0 },
    Activation::Swish,
    Activation::Gelu,
    Activation::QuickGelu,
];

#[test]
fn every_activation_agrees_with_the_cpu_both_ways() {
    for (i, act) in ACTS.into_iter().enumerate() {
        agrees(SHAPES[i % SHAPES.len()], act, i % 2 == 0, Element::F32);
    }
}

#[test]
fn half_precision_agrees_with_the_cpu_both_ways() {
    for element in [Element::F16, Element::Bf16] {
        agrees(SHAPES[0], ACTS[1], true, element);
        agrees(SHAPES[3], ACTS[5], false, element);
    }
}

fn agrees(s: EpilogueShape, act: Activation, shared: bool, element: Element) {
    let len = s.n * s.channels * s.pixels;
    let x: Vec<f32> = noise(len, 1).iter().map(|v| 4.0 * v).collect();
    let gy = noise(len, 2);
    let [scale, bias] = [noise(s.n * s.channels, 3), noise(s.channels, 4)];
    let shift = noise(if shared { s.pixels } else { s.n * s.pixels }, 5);
    let [x, gy, scale, bias, shift] = [x, gy, scale, bias, shift].map(|t| rounded(&t, element));
    let noise_at = if shared {
        plan::Noise::Shared
    } else {
        plan::Noise::Each
    };
    let at = |first: usize| plan::Epilogue {
        scale: Some(Buffer(first)),
        noise: Some(noise_at(Buffer(first + 1))),
        bias: Some(Buffer(first + 2)),
        act,
        gain: 1.3,
        clamp: Some(2.0),
    };
    let [x64, gy64, scale64, shift64, bias64] = [&x, &gy, &scale, &shift, &bias].map(|v| wide(v));
    let cpu = epilogue::Epilogue {
        scale: Some(&scale64),
        noise: Some(&shift64),
        bias: Some(&bias64),
        act,
        gain: 1.3,
        clamp: Some(2.0),
    };
    let what = format!("{act:?} on {s:?} of {element:?}");

    let mut want = vec![0.0; len];
    epilogue::forward(&s, &cpu, &x64, &mut want).unwrap();
    let plan = plan::epilogue_forward(&s, &at(2), element).unwrap();
    let Some(got) = alike(&plan, &[&x, &scale, &shift, &bias], &[(1, len)], element) else {
        return;
    };
    assert_close(&got[0], &want, tolerance(element, 3e-6), &what);

    epilogue::backward_z(&s, &cpu, &x64, &gy64, &mut want).unwrap();
    let plan = plan::epilogue_slope(&s, &at(3), element).unwrap();
    let Some(got) = alike(
        &plan,
        &[&x, &gy, &scale, &shift, &bias],
        &[(2, len)],
        element,
    ) else {
        return;
    };
    assert_close(&got[0], &want, tolerance(element, 1e-5), &what);

    let [mut gx, mut g_scale, mut g_bias, mut g_noise] =
        [len, scale.len(), bias.len(), shift.len()].map(|len| vec![0.0; len]);
    let grads = EpilogueGrads {
        scale: Some(&mut g_scale),
        noise: Some(&mut g_noise),
        bias: Some(&mut g_bias),
    };
    epilogue::backward(&s, &cpu, &x64, &gy64, &mut gx, grads).unwrap();
    let plan = plan::epilogue_backward(&s, &at(6), [true; 3], element).unwrap();
    let outputs = [
        (2, gx.len()),
        (3, g_scale.len()),
        (4, g_bias.len()),
        (5, g_noise.len()),
    ];
    let Some(got) = alike(&plan, &[&x, &gy, &scale, &shift, &bias], &outputs, element) else {
        return;
    };
    let wants = [&gx, &g_scale, &g_bias, &g_noise];
    for (got, want) in got.iter().zip(wants) {
        assert_close(got, want, tolerance(element, 2e-5), &what);
    }

    // One of the small gradients alone, or none: the others have no operand.
    for alone in 0..4 {
        let wanted = [0, 1, 2].map(|part| part == alone);
        let mut outputs = vec![(2, len)];
        outputs.extend((alone < 3).then(|| (3, wants[(alone + 1) % 4].len())));
        let plan = plan::epilogue_backward(&s, &at(2 + outputs.len()), wanted, element).unwrap();
        let Some(got) = alike(&plan, &[&x, &gy, &scale, &shift, &bias], &outputs, element) else {
            return;
        };
        assert_close(&got[0], &gx, tolerance(element, 2e-5), &what);
        if let Some(got) = got.get(1) {
            assert_close(got, wants[alone + 1], tolerance(element, 2e-5), &what);
        }
    }
}

#[test]
fn parts_may_be_absent_and_infinities_stay_what_they_are() {
    let s = EpilogueShape {
        n: 1,
        channels: 2,
        pixels: 3,
    };
    let x = [f32::NEG_INFINITY, -1.0, f32::INFINITY, f32::NAN, 0.0, 2.0];
    let none = plan::Epilogue {
        act: Activation::Lrelu { alpha: 0.0 },
        ..plan::Epilogue::NONE
    };
    let plan = plan::epilogue_forward(&s, &none, Element::F32).unwrap();
    let Some(got) = floats(&plan, &[&x], &[(1, 6)]) else {
        return;
    };
    assert_eq!(got[0][..3], [0.0, 0.0, f32::INFINITY]);
    assert!(got[0][3].is_nan());
    assert_eq!(got[0][4..], [0.0, 2.0]);

    let plan = plan::epilogue_slope(&s, &none, Element::F32).unwrap();
    let gy = [f32::INFINITY; 6];
    let Some(got) = floats(&plan, &[&x, &gy], &[(2, 6)]) else {
        return;
    };
    assert_eq!(got[0][..3], [0.0, 0.0, f32::INFINITY]);
    assert_eq!(got[0][4..], [0.0, f32::INFINITY]);
}
