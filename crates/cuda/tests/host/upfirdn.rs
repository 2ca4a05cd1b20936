//! Resampling, alone and with an epilogue.

use domex_cuda::{Buffer, Element, plan};
use domex_kernels::{
    Activation,
    epilogue::{self, EpilogueShape, Taps},
    upfirdn::{self, UpFirDnShape},
};

use crate::{
    data::{assert_close, noise, wide},
    runner::{elements, floats},
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
        let mut want = vec![0.0; s.planes * s.out_h() * s.out_w()];
        upfirdn::upfirdn2d(&s, &wide(&filter), &wide(&x), &mut want).unwrap();
        let plan = plan::upfirdn2d(&s).unwrap();
        let Some(got) = floats(&plan, &[&x, &taps], &[(2, want.len())]) else {
            return;
        };
        assert_close(&got[0], &want, 2e-6, &format!("{s:?}"));
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
        epilogue::forward_filtered(&s, Taps::Full(&filter64), &e, &cpu, &x64, &mut want).unwrap();
        for (element, tolerance) in [
            (Element::F32, 5e-6),
            (Element::F16, 5e-4),
            (Element::Bf16, 4e-3),
        ] {
            let plan = plan::upfirdn2d_epilogue(&s, &e, &parts, element).unwrap();
            let operands = [&x, &taps, &scale, &shift, &bias].map(|v| (&v[..], Element::F32));
            let Some(got) = elements(&plan, &operands, (2, want.len(), element)) else {
                return;
            };
            assert_close(&got, &want, tolerance, &format!("{element:?} {s:?}"));
        }
    }
}
