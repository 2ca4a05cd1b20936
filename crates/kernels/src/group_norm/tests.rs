//! Against the formula in f64, gradients against finite differences, every instruction set.

use super::*;
use crate::testing::{assert_close, noise};

const SHAPES: [(usize, usize, usize, usize); 4] =
    [(1, 1, 1, 1), (2, 6, 3, 5), (1, 4, 4, 33), (2, 8, 2, 2500)];

fn shape((n, channels, groups, pixels): (usize, usize, usize, usize)) -> GroupNormShape {
    GroupNormShape {
        n,
        channels,
        groups,
        pixels,
        eps: 1e-5,
    }
}

/// x, scale, shift.
fn operands(s: &GroupNormShape) -> [Vec<f64>; 3] {
    let rows = s.n * s.channels;
    [
        noise::<f64>(rows * s.pixels, 1)
            .iter()
            .map(|v| 3.0 * v + 1.0)
            .collect(),
        noise(rows, 2),
        noise(rows, 3),
    ]
}

fn plain(s: &GroupNormShape, [x, scale, shift]: [&[f64]; 3]) -> Vec<f64> {
    let size = s.channels / s.groups * s.pixels;
    let mut y = Vec::new();
    for x in x.chunks(size) {
        let mean = x.iter().sum::<f64>() / size as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / size as f64;
        for x in x {
            let row = y.len() / s.pixels;
            let u = (x - mean) / (variance + s.eps).sqrt() * scale[row] + shift[row];
            y.push(u / (1.0 + (-u).exp()));
        }
    }
    y
}

fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

#[test]
fn values_agree_with_the_formula_on_every_instruction_set() {
    for s in SHAPES.map(shape) {
        let [x, scale, shift] = operands(&s);
        let want = plain(&s, [&x, &scale, &shift]);
        let mut y = vec![f64::NAN; x.len()];
        let o = GroupNorm {
            x: &x,
            scale: &scale,
            shift: &shift,
        };
        forward(&s, &o, &mut y).unwrap();
        assert_close(&y, &want, 1e-13);
        let [x, scale, shift] = [&x, &scale, &shift].map(|t| narrow(t));
        for isa in Isa::available() {
            let mut y = vec![f32::NAN; x.len()];
            let o = GroupNorm {
                x: &x,
                scale: &scale,
                shift: &shift,
            };
            forward_on(isa, &s, &o, &mut y).unwrap();
            assert_close(&y, &narrow(&want), 3e-6);
        }
    }
}

#[test]
fn gradients_agree_with_difference_quotients() {
    for s in SHAPES[..3].iter().map(|&s| shape(s)) {
        let operands = operands(&s);
        let gy = noise::<f64>(operands[0].len(), 4);
        let loss = |o: &[Vec<f64>; 3]| {
            let y = plain(&s, [&o[0], &o[1], &o[2]]);
            y.iter().zip(&gy).map(|(y, g)| y * g).sum::<f64>()
        };
        let mut grads = operands.clone();
        let [x, scale, shift] = &mut grads;
        let o = GroupNorm {
            x: &operands[0],
            scale: &operands[1],
            shift: &operands[2],
        };
        backward(&s, &o, &gy, GroupNormGrads { x, scale, shift }).unwrap();
        for which in 0..3 {
            let want: Vec<f64> = (0..operands[which].len())
                .map(|i| {
                    let at = |h: f64| {
                        let mut o = operands.clone();
                        o[which][i] += h;
                        loss(&o)
                    };
                    (at(1e-5) - at(-1e-5)) / 2e-5
                })
                .collect();
            // One pixel alone has no gradient but rounding noise.
            for (got, want) in grads[which].iter().zip(&want) {
                assert!(
                    (got - want).abs() < 1e-8 * (1.0 + want.abs()),
                    "{s:?} operand {which}"
                );
            }
        }
    }
}

#[test]
fn gradients_in_f32_agree_with_those_in_f64_on_every_instruction_set() {
    for s in SHAPES.map(shape) {
        let wide = operands(&s);
        let gy = noise::<f64>(wide[0].len(), 4);
        let mut want = wide.clone();
        let [x, scale, shift] = &mut want;
        let o = GroupNorm {
            x: &wide[0],
            scale: &wide[1],
            shift: &wide[2],
        };
        backward(&s, &o, &gy, GroupNormGrads { x, scale, shift }).unwrap();
        let single = wide.each_ref().map(|t| narrow(t));
        for isa in Isa::available() {
            let mut got = single.clone();
            let [x, scale, shift] = &mut got;
            let o = GroupNorm {
                x: &single[0],
                scale: &single[1],
                shift: &single[2],
            };
            let grads = GroupNormGrads { x, scale, shift };
            backward_on(isa, &s, &o, &narrow(&gy), grads).unwrap();
            for (got, want) in got.iter().zip(&want) {
                let scale = want.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
                for (g, w) in got.iter().zip(want) {
                    assert!((f64::from(*g) - w).abs() < 2e-5 * scale, "{isa:?} {s:?}");
                }
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let s = shape((1, 4, 2, 2));
    let (x, c) = ([0.0f32; 8], [0.0f32; 4]);
    let run = |s: &GroupNormShape, x: &[f32], c: &[f32]| {
        let o = GroupNorm {
            x,
            scale: c,
            shift: c,
        };
        forward(s, &o, &mut [0.0; 8])
    };
    assert!(run(&s, &x, &c).is_ok());
    assert!(run(&s, &x[..7], &c).is_err());
    assert!(run(&s, &x, &c[..3]).is_err());
    assert!(run(&GroupNormShape { groups: 0, ..s }, &x, &c).is_err());
    assert!(run(&GroupNormShape { groups: 3, ..s }, &x, &c).is_err());
    let huge = GroupNormShape {
        pixels: usize::MAX,
        ..s
    };
    assert!(run(&huge, &x, &c).is_err());
}
