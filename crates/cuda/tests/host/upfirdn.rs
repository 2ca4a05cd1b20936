//! Resampling, alone and with an epilogue.

use domex_cuda::{Buffer, Element, plan};
use domex_kernels::{
    Activation,
    epilogue::{self, EpilogueShape, Taps},
    upfirdn::{self, UpFirDnShape},
};

use crate::{
    data::{ELEMENTS, assert_close, noise, tolerance, wide},
    runner::{elements, rounded},
};

/// As the networks have it, and with everything odd.
fn shapes() -> Vec<UpFirDnShape> {
    let plain = UpFirDnShape {
        planes: 6,
        h: 7,
        w: 5,
        fh: 4,
        fw: 4,
        up: [1, 1],
        down: [1, 1],
        padding: [2, 1, 2, 1],
        flip: false,
        gain: 1.0,
    };
    vec![
        plain,
        UpFirDnShape {
            up: [2, 2],
            padding: [2, 1, 2, 1],
            gain: 4.0,
            ..plain
        },
        UpFirDnShape {
            down: [2, 2],
            padding: [1, 1, 1, 1],
            ..plain
        },
        UpFirDnShape {
            up: [3, 2],
            down: [2, 5],
            padding: [-1, 4, 3, -2],
            fh: 3,
            fw: 5,
            flip: true,
            gain: -0.7,
            ..plain
        },
        UpFirDnShape {
            up: [1, 4],
            down: [3, 1],
            padding: [0, 0, -5, -3],
            fh: 1,
            fw: 2,
            ..plain
        },
    ]
}

fn operands(s: &UpFirDnShape) -> [Vec<f32>; 3] {
    let filter = noise(s.fh * s.fw, 2);
    let taps = plan::taps(s, &wide(&filter));
    [noise(s.planes * s.h * s.w, 1), filter, taps]
}

#[test]
fn resampling_agrees_with_the_cpu() {
    for s in shapes().into_iter().flat_map(|s| [s, s.adjoint()]) {
        let [x, filter, taps] = operands(&s);
        for element in ELEMENTS {
            let x = rounded(&x, element);
            let mut want = vec![0.0; s.planes * s.out_h() * s.out_w()];
            upfirdn::upfirdn2d(&s, &wide(&filter), &wide(&x), &mut want).unwrap();
            let plan = plan::upfirdn2d(&s, element).unwrap();
            let operands = [(&x[..], element), (&taps[..], Element::F32)];
            let Some(got) = elements(&plan, &operands, (2, want.len(), element)) else {
                return;
            };
            let most = tolerance(element, 2e-6);
            assert_close(&got, &want, most, &format!("{element:?} {s:?}"));
        }
    }
}

#[test]
fn resampling_with_an_epilogue_agrees_with_the_cpu() {
    for s in shapes() {
        let [x, filter, taps] = operands(&s);
        let e = EpilogueShape {
            n: 2,
            channels: 3,
            pixels: s.out_h() * s.out_w(),
        };
        let [scale, shift, bias] = [noise(6, 3), noise(2 * e.pixels, 4), noise(3, 5)];
        let act = Activation::Lrelu { alpha: 0.2 };
        let parts = plan::Epilogue {
            scale: Some(Buffer(3)),
            noise: Some(plan::Noise::Each(Buffer(4))),
            bias: Some(Buffer(5)),
            act,
            gain: 1.4,
            clamp: Some(0.9),
        };
        // As after a convolution that rounds nothing, and as an operator.
        for (element, from) in [
            (Element::F32, Element::F32),
            (Element::F16, Element::F32),
            (Element::Bf16, Element::F32),
            (Element::F16, Element::F16),
            (Element::Bf16, Element::Bf16),
        ] {
            let [x, scale, shift, bias] = [&x, &scale, &shift, &bias].map(|t| rounded(t, from));
            let [x64, filter64, scale64, shift64, bias64] =
                [&x, &filter, &scale, &shift, &bias].map(|v| wide(v));
            let cpu = epilogue::Epilogue {
                scale: Some(&scale64),
                noise: Some(&shift64),
                bias: Some(&bias64),
                act,
                gain: 1.4,
                clamp: Some(0.9),
            };
            let mut want = vec![0.0; 6 * e.pixels];
            let taps64 = Taps::Full(&filter64);
            epilogue::forward_filtered(&s, taps64, &e, &cpu, &x64, &mut want).unwrap();
            let floats = from == Element::F32;
            let plan = plan::upfirdn2d_epilogue(&s, &e, &parts, element, floats).unwrap();
            let operands = [
                (&x[..], from),
                (&taps[..], Element::F32),
                (&scale[..], from),
                (&shift[..], from),
                (&bias[..], from),
            ];
            let Some(got) = elements(&plan, &operands, (2, want.len(), element)) else {
                return;
            };
            let what = format!("{from:?} to {element:?} {s:?}");
            assert_close(&got, &want, tolerance(element, 5e-6), &what);
        }
    }
}
