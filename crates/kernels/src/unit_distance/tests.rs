use super::*;
use crate::testing::{assert_close, noise};

fn shapes() -> impl Iterator<Item = UnitDistance> {
    [(1, 1, 1), (2, 3, 65), (1, 17, 64), (3, 5, 200)]
        .into_iter()
        .map(|(n, channels, pixels)| UnitDistance {
            n,
            channels,
            pixels,
            eps: 1e-3,
            floor: 1e-12,
        })
}

fn plain(s: &UnitDistance, a: &[f64], b: &[f64], w: Option<&[f64]>) -> Vec<f64> {
    let unit = |x: &[f64], n: usize, c: usize, p: usize| {
        let at = |c: usize| x[(n * s.channels + c) * s.pixels + p];
        let square: f64 = (0..s.channels).map(|c| at(c) * at(c)).sum();
        at(c) / (square.max(s.floor).sqrt() + s.eps)
    };
    (0..s.n * s.pixels)
        .map(|i| {
            let (n, p) = (i / s.pixels, i % s.pixels);
            let term = |c| w.map_or(1.0, |w| w[c]) * (unit(a, n, c, p) - unit(b, n, c, p)).powi(2);
            (0..s.channels).map(term).sum()
        })
        .collect()
}

#[test]
fn agrees_with_the_formula_and_its_differences() {
    for s in shapes() {
        let len = s.n * s.channels * s.pixels;
        let (a, b) = (noise::<f64>(len, 1), noise::<f64>(len, 2));
        let (w, gy) = (noise::<f64>(s.channels, 3), noise::<f64>(s.n * s.pixels, 4));
        for w in [None, Some(&w[..])] {
            let mut y = vec![f64::NAN; s.n * s.pixels];
            forward(&s, &a, &b, w, &mut y).unwrap();
            assert_close(&y, &plain(&s, &a, &b, w), 1e-12);
            let (mut ga, mut gb) = (vec![f64::NAN; len], vec![f64::NAN; len]);
            let to = [Some(&mut ga[..]), Some(&mut gb[..])];
            backward(&s, [&a, &b], w, &gy, to).unwrap();
            let loss = |a: &[f64], b: &[f64]| -> f64 {
                let y = plain(&s, a, b, w);
                y.iter().zip(&gy).map(|(y, g)| y * g).sum()
            };
            for at in (0..len).step_by(len / 9 + 1) {
                let moved = |x: &[f64], by: f64| {
                    let mut x = x.to_vec();
                    x[at] += by;
                    x
                };
                let h = 1e-6;
                let da = (loss(&moved(&a, h), &b) - loss(&moved(&a, -h), &b)) / (2.0 * h);
                let db = (loss(&a, &moved(&b, h)) - loss(&a, &moved(&b, -h))) / (2.0 * h);
                // Where the only channel is near zero, the unit vector turns fast.
                let tolerance = 1e-6 * (1.0 + da.abs().max(db.abs()));
                assert!((ga[at] - da).abs() < tolerance, "{s:?}: {} {da}", ga[at]);
                assert!((gb[at] - db).abs() < tolerance, "{s:?}: {} {db}", gb[at]);
            }
        }
    }
}

#[test]
fn every_instruction_set_agrees_in_single_precision() {
    for s in shapes() {
        let len = s.n * s.channels * s.pixels;
        let (a, b) = (noise::<f32>(len, 1), noise::<f32>(len, 2));
        let gy = noise::<f32>(s.n * s.pixels, 4);
        let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
        let want = plain(&s, &wide(&a), &wide(&b), None);
        let want: Vec<f32> = want.iter().map(|&y| y as f32).collect();
        let mut first: Option<Vec<f32>> = None;
        for isa in Isa::available() {
            let mut y = vec![f32::NAN; s.n * s.pixels];
            forward_on(isa, &s, &a, &b, None, &mut y).unwrap();
            assert_close(&y, &want, 1e-5);
            let mut ga = vec![f32::NAN; len];
            backward_on(isa, &s, [&a, &b], None, &gy, [Some(&mut ga), None]).unwrap();
            assert_close(&ga, first.get_or_insert(ga.clone()), 1e-5);
        }
    }
}

#[test]
fn a_pixel_of_zeros_has_no_infinite_slope() {
    let s = UnitDistance {
        n: 1,
        channels: 2,
        pixels: 1,
        eps: 1e-10,
        floor: 1e-36,
    };
    let mut ga = [f32::NAN; 2];
    backward(
        &s,
        [&[0.0; 2], &[3.0, 4.0]],
        None,
        &[1.0],
        [Some(&mut ga), None],
    )
    .unwrap();
    assert!(ga.iter().all(|g| g.is_finite()), "{ga:?}");
    assert!(forward(&s, &[0.0f32; 2], &[0.0; 1], None, &mut [0.0]).is_err());
    assert!(forward(&s, &[0.0f32; 2], &[0.0; 2], Some(&[]), &mut [0.0]).is_err());
    assert!(forward(&s, &[0.0f32; 2], &[0.0; 2], None, &mut [0.0; 2]).is_err());
}
