//! Against the formula, and gradients against finite differences.

use super::*;
use crate::testing::{assert_close, noise};

const ACTS: [Activation; 5] = [
    Activation::Linear,
    Activation::Lrelu { alpha: 0.2 },
    Activation::Gelu,
    Activation::QuickGelu,
    Activation::Swish,
];

fn plain(s: &EpilogueShape, e: &Epilogue<'_, f64>, x: &[f64]) -> Vec<f64> {
    let mut y = Vec::new();
    for (index, &x) in x.iter().enumerate() {
        let (plane, p) = (index / s.pixels, index % s.pixels);
        let (n, c) = (plane / s.channels, plane % s.channels);
        let noise = e.noise.map_or(0.0, |v| {
            v[if v.len() == s.pixels {
                p
            } else {
                n * s.pixels + p
            }]
        });
        let z = x * e.scale.map_or(1.0, |v| v[plane]) + noise + e.bias.map_or(0.0, |v| v[c]);
        let limit = e.clamp.unwrap_or(f64::INFINITY);
        y.push((e.gain * e.act.value(z)).clamp(-limit, limit));
    }
    y
}

fn narrow(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}

#[test]
fn forward_agrees_with_the_formula() {
    for (pixels, act) in [1, 3, 16, 37]
        .into_iter()
        .flat_map(|p| ACTS.map(|a| (p, a)))
    {
        let s = EpilogueShape {
            n: 2,
            channels: 3,
            pixels,
        };
        let len = 6 * pixels;
        let (x, scale, bias) = (noise::<f64>(len, 1), noise::<f64>(6, 2), noise::<f64>(3, 3));
        for noise_len in [0, pixels, 2 * pixels] {
            let field = noise::<f64>(noise_len, 4);
            let e = Epilogue {
                scale: Some(&scale),
                noise: (noise_len > 0).then_some(&field[..]),
                bias: Some(&bias),
                act,
                gain: 1.4,
                clamp: Some(0.9),
            };
            let want = plain(&s, &e, &x);
            let mut got = vec![f64::NAN; len];
            forward(&s, &e, &x, &mut got).unwrap();
            assert_close(&got, &want, 1e-13);
            let (x, scale, bias, field) =
                (narrow(&x), narrow(&scale), narrow(&bias), narrow(&field));
            let e = Epilogue {
                scale: Some(&scale),
                noise: (noise_len > 0).then_some(&field[..]),
                bias: Some(&bias),
                act,
                gain: 1.4,
                clamp: Some(0.9),
            };
            for isa in Isa::available() {
                let mut got = vec![f32::NAN; len];
                forward_on(isa, &s, &e, &x, &mut got).unwrap();
                assert_close(&got, &narrow(&want), 2e-6);
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (act, shared) in ACTS.into_iter().flat_map(|a| [(a, true), (a, false)]) {
        let s = EpilogueShape {
            n: 2,
            channels: 3,
            pixels: 19,
        };
        let x = noise::<f64>(114, 1);
        let operands = [
            noise::<f64>(6, 2),
            noise::<f64>(if shared { 19 } else { 38 }, 4),
            noise::<f64>(3, 3),
        ];
        let gy = noise::<f64>(114, 5);
        let loss = |x: &[f64], o: &[Vec<f64>; 3]| {
            let e = epilogue(o, act);
            plain(&s, &e, x)
                .iter()
                .zip(&gy)
                .map(|(y, g)| y * g)
                .sum::<f64>()
        };
        let (mut gx, mut g0, mut g1, mut g2) = (
            vec![f64::NAN; 114],
            vec![0.0; 6],
            vec![0.0; operands[1].len()],
            vec![0.0; 3],
        );
        let grads = EpilogueGrads {
            scale: Some(&mut g0),
            noise: Some(&mut g1),
            bias: Some(&mut g2),
        };
        backward(&s, &epilogue(&operands, act), &x, &gy, &mut gx, grads).unwrap();
        let h = 1e-6;
        let difference = |change: &dyn Fn(f64) -> f64| (change(h) - change(-h)) / (2.0 * h);
        for i in 0..x.len() {
            let want = difference(&|h| {
                let mut x = x.clone();
                x[i] += h;
                loss(&x, &operands)
            });
            assert!(
                (gx[i] - want).abs() < 1e-7,
                "{act:?} x[{i}]: {} {want}",
                gx[i]
            );
        }
        for (which, got) in [&g0, &g1, &g2].into_iter().enumerate() {
            for i in 0..got.len() {
                let want = difference(&|h| {
                    let mut o = operands.clone();
                    o[which][i] += h;
                    loss(&x, &o)
                });
                assert!(
                    (got[i] - want).abs() < 1e-7,
                    "{act:?} operand {which} [{i}]: {} {want}",
                    got[i]
                );
            }
        }
        // Without the gradient of the noise, the other order of work gives the same gx; f32 on every instruction set too.
        let mut again = vec![f64::NAN; 114];
        backward(
            &s,
            &epilogue(&operands, act),
            &x,
            &gy,
            &mut again,
            EpilogueGrads::default(),
        )
        .unwrap();
        assert_close(&again, &gx, 1e-15);
        let small = operands.each_ref().map(|o| narrow(o));
        for isa in Isa::available() {
            let mut got = vec![f32::NAN; 114];
            let e = epilogue(&small, act);
            backward_on(
                isa,
                &s,
                &e,
                &narrow(&x),
                &narrow(&gy),
                &mut got,
                EpilogueGrads::default(),
            )
            .unwrap();
            assert_close(&got, &narrow(&gx), 4e-6);
        }
    }
}

/// Planes larger than a line of work, and more channels than parts: whole numbers, so that every sum is exact.
#[test]
fn sums_over_many_parts_count_every_pixel_once() {
    let s = EpilogueShape {
        n: 2,
        channels: 19,
        pixels: LINE + 3,
    };
    let len = s.n * s.channels * s.pixels;
    let x: Vec<f32> = (0..len).map(|i| (i % 7) as f32 - 3.0).collect();
    let gy: Vec<f32> = (0..len).map(|i| (i % 5) as f32 - 1.0).collect();
    let (scale, field, bias) = (
        vec![2.0; 38],
        vec![0.0; 2 * s.pixels],
        vec![1.0; s.channels],
    );
    let e = Epilogue {
        scale: Some(&scale),
        noise: Some(&field),
        bias: Some(&bias),
        act: Activation::Lrelu { alpha: 0.0 },
        ..Epilogue::default()
    };
    let (mut gx, mut gz) = (vec![f32::NAN; len], vec![f32::NAN; len]);
    let (mut g0, mut g1, mut g2) = (
        vec![f32::NAN; 38],
        vec![f32::NAN; 2 * s.pixels],
        vec![f32::NAN; s.channels],
    );
    let grads = EpilogueGrads {
        scale: Some(&mut g0),
        noise: Some(&mut g1),
        bias: Some(&mut g2),
    };
    backward(&s, &e, &x, &gy, &mut gx, grads).unwrap();
    backward_z(&s, &e, &x, &gy, &mut gz).unwrap();
    let (mut w0, mut w1, mut w2) = (
        vec![0.0; 38],
        vec![0.0; 2 * s.pixels],
        vec![0.0; s.channels],
    );
    for i in 0..len {
        let g = if 2.0 * x[i] + 1.0 > 0.0 { gy[i] } else { 0.0 };
        assert_eq!((gz[i], gx[i]), (g, 2.0 * g));
        let plane = i / s.pixels;
        w0[plane] += g * x[i];
        w1[plane / s.channels * s.pixels + i % s.pixels] += g;
        w2[plane % s.channels] += g;
    }
    assert_eq!((g0, g1, g2), (w0, w1, w2));
}

#[test]
fn kinks_limits_and_infinities() {
    let s = EpilogueShape {
        n: 1,
        channels: 1,
        pixels: 4,
    };
    let e = Epilogue {
        act: Activation::Lrelu { alpha: 0.0 },
        clamp: Some(1.0),
        ..Epilogue::default()
    };
    let (inf, mut y, mut g) = (f32::INFINITY, [0.0f32; 4], [0.0; 4]);
    let x = [-inf, 0.0, 1.0, inf];
    forward(&s, &e, &x, &mut y).unwrap();
    assert_eq!(y, [0.0, 0.0, 1.0, 1.0]);
    // At the limit the gradient still passes; where it does not, an infinite one does not either.
    backward(&s, &e, &x, &[inf; 4], &mut g, EpilogueGrads::default()).unwrap();
    assert_eq!(g, [0.0, 0.0, inf, 0.0]);
}

fn epilogue<T: Float>(o: &[Vec<T>; 3], act: Activation) -> Epilogue<'_, T> {
    let (scale, noise, bias) = (Some(&o[0][..]), Some(&o[1][..]), Some(&o[2][..]));
    Epilogue {
        scale,
        noise,
        bias,
        act,
        gain: 1.4,
        clamp: Some(1.1),
    }
}

#[test]
fn nan_is_not_clamped_away_and_bad_lengths_are_refused() {
    let s = EpilogueShape {
        n: 1,
        channels: 1,
        pixels: 2,
    };
    let e = Epilogue {
        clamp: Some(1.0),
        ..Epilogue::default()
    };
    let mut y = [0.0f32; 2];
    forward(&s, &e, &[f32::NAN, 5.0], &mut y).unwrap();
    assert!(y[0].is_nan() && y[1] == 1.0);
    let bias = [0.0f32; 2];
    let bad = Epilogue {
        bias: Some(&bias),
        ..e
    };
    assert!(
        forward(&s, &bad, &[0.0; 2], &mut y)
            .unwrap_err()
            .to_string()
            .contains("`bias` has 2")
    );
    assert!(forward(&EpilogueShape { n: 0, ..s }, &e, &[0.0; 2], &mut y).is_err());
    assert!(forward(&s, &e, &[0.0; 3], &mut y).is_err());
}
