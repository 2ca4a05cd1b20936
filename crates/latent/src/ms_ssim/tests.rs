use candle_core::{Device, Var};
use domex_random::Streams;

use super::*;

fn picture(n: usize, h: usize, w: usize, name: &str) -> Tensor {
    let mut stream = Streams::new(2).stream(name);
    let values: Vec<f64> = (0..n * 3 * h * w)
        .map(|_| 2.0 * stream.uniform_f64() - 1.0)
        .collect();
    Tensor::from_vec(values, (n, 3, h, w), &Device::Cpu).unwrap()
}

/// The definition once more, with plain loops over one channel.
fn by_loops(a: &[Vec<f64>], b: &[Vec<f64>], taps: &[f64]) -> (f64, f64) {
    let (h, w, k) = (a.len(), a[0].len(), taps.len());
    let (mut ssim, mut structure, mut count) = (0.0, 0.0, 0.0);
    for y in 0..=h - k {
        for x in 0..=w - k {
            let mut m = [0.0; 5];
            for (i, ti) in taps.iter().enumerate() {
                for (j, tj) in taps.iter().enumerate() {
                    let (p, q) = (a[y + i][x + j], b[y + i][x + j]);
                    for (m, v) in m.iter_mut().zip([p, q, p * p, q * q, p * q]) {
                        *m += ti * tj * v;
                    }
                }
            }
            let (vx, vy, cov) = (m[2] - m[0] * m[0], m[3] - m[1] * m[1], m[4] - m[0] * m[1]);
            let l = (2.0 * m[0] * m[1] + 1e-4) / (m[0] * m[0] + m[1] * m[1] + 1e-4);
            let cs = (2.0 * cov + 9e-4) / (vx + vy + 9e-4);
            (ssim, structure, count) = (ssim + l * cs, structure + cs, count + 1.0);
        }
    }
    (ssim / count, structure / count)
}

fn halve_by_loops(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mean = |y: usize, x: usize| (a[y][x] + a[y][x + 1] + a[y + 1][x] + a[y + 1][x + 1]) / 4.0;
    (0..a.len() / 2)
        .map(|y| (0..a[0].len() / 2).map(|x| mean(2 * y, 2 * x)).collect())
        .collect()
}

#[test]
fn agrees_with_the_definition() -> Result<()> {
    // One scale with a smaller window, one scale, two scales with odd sides.
    for (h, w) in [(7, 9), (16, 12), (25, 31)] {
        let a = picture(1, h, w, "a");
        let b = ((&a * 0.7)? + (picture(1, h, w, "b") * 0.3)?)?;
        let found: f64 = ms_ssim(&a, &b)?.get(0)?.to_scalar()?;
        let weights = scale_weights(h.min(w));
        assert_eq!(weights.len(), if h == 25 { 2 } else { 1 });
        let taps = window(h.min(w));
        let mut wanted = 0.0;
        for channel in 0..3 {
            let plane = |t: &Tensor| -> Result<Vec<Vec<f64>>> {
                Ok(t.affine(0.5, 0.5)?.get(0)?.get(channel)?.to_vec2()?)
            };
            let (mut a, mut b) = (plane(&a)?, plane(&b)?);
            let mut product = 1.0;
            for (j, weight) in weights.iter().enumerate() {
                let (ssim, cs) = by_loops(&a, &b, &taps);
                product *= (if j + 1 == weights.len() { ssim } else { cs }).powf(*weight);
                (a, b) = (halve_by_loops(&a), halve_by_loops(&b));
            }
            wanted += product / 3.0;
        }
        assert!((found - wanted).abs() < 1e-12, "{h}x{w}: {found} {wanted}");
    }
    Ok(())
}

/// Flat pictures have structure 1 at all scales, and luminance l = (2pq + C1) / (p² + q² + C1) counts
/// at the coarsest only.
#[test]
fn flat_pictures_have_a_known_value() -> Result<()> {
    let flat = |v: f64, side: usize| Tensor::full(2.0 * v - 1.0, (1, 3, side, side), &Device::Cpu);
    let l: f64 = (2.0 * 0.25 * 0.75 + 1e-4) / (0.0625 + 0.5625 + 1e-4);
    for (side, power) in [(8, 1.0), (64, 0.3001 / 0.6305), (176, 0.1333 / 1.0001)] {
        let found: f64 = ms_ssim(&flat(0.25, side)?, &flat(0.75, side)?)?
            .get(0)?
            .to_scalar()?;
        assert!((found - l.powf(power)).abs() < 1e-10, "{side}: {found}");
    }
    Ok(())
}

#[test]
fn identity_symmetry_order_and_batch() -> Result<()> {
    for side in [4, 5, 10, 11, 32, 64] {
        let (a, noise) = (picture(2, side, side, "a"), picture(2, side, side, "b"));
        let same: Vec<f64> = MsSsim.distance(&a, &a)?.to_vec1()?;
        assert!(same.iter().all(|d| d.abs() < 1e-12), "{side}: {same:?}");
        let near = ((&a * 0.9)? + (&noise * 0.1)?)?;
        let far = ((&a * 0.5)? + (&noise * 0.5)?)?;
        let d_near: Vec<f64> = MsSsim.distance(&a, &near)?.to_vec1()?;
        let d_far: Vec<f64> = MsSsim.distance(&a, &far)?.to_vec1()?;
        let back: Vec<f64> = MsSsim.distance(&far, &a)?.to_vec1()?;
        for i in 0..2 {
            assert!(
                0.0 < d_near[i] && d_near[i] < d_far[i] && d_far[i] <= 1.0,
                "{side}"
            );
            assert!((d_far[i] - back[i]).abs() < 1e-12, "{side}");
        }
        let alone: Vec<f64> = MsSsim
            .distance(&a.narrow(0, 1, 1)?, &far.narrow(0, 1, 1)?)?
            .to_vec1()?;
        assert!((alone[0] - d_far[1]).abs() < 1e-12, "{side}");
    }
    Ok(())
}

#[test]
fn opposite_pictures_are_far_and_never_nan() -> Result<()> {
    let a = picture(1, 32, 32, "a");
    let found: f64 = MsSsim.distance(&a, &a.neg()?)?.get(0)?.to_scalar()?;
    assert!(found > 0.99 && found <= 1.0, "{found}");
    let half = MsSsim.distance(&a.to_dtype(DType::F16)?, &a.neg()?.to_dtype(DType::F16)?)?;
    assert_eq!(half.dtype(), DType::F32);
    Ok(())
}

/// Alike in the coarse, opposite in the fine: the product has a factor that is negative, and 0.
#[test]
fn a_negative_factor_counts_as_nothing() -> Result<()> {
    let coarse = Tensor::full(0.2f64, (1, 3, 64, 64), &Device::Cpu)?;
    let slope = Tensor::arange(0f64, 64.0, &Device::Cpu)?.affine(1.0 / 64.0, -0.5)?;
    let coarse = coarse.broadcast_add(&slope)?;
    let fine = (picture(1, 64, 64, "fine") * 0.2)?;
    let (a, b) = ((&coarse + &fine)?, (&coarse - &fine)?);
    let found: f64 = ms_ssim(&a, &b)?.get(0)?.to_scalar()?;
    assert_eq!(found, 0.0);
    let var = Var::from_tensor(&b)?;
    let grads = ms_ssim(&a, &var)?.sum_all()?.backward()?;
    let grad: Vec<f64> = grads.get(&var).unwrap().flatten_all()?.to_vec1()?;
    assert!(grad.iter().all(|x| x.is_finite()));
    Ok(())
}

#[test]
fn differentiable_over_two_scales() -> Result<()> {
    let (a, b) = (picture(1, 22, 24, "a"), picture(1, 22, 24, "b"));
    let b = ((&a * 0.6)? + (b * 0.4)?)?;
    let var = Var::from_tensor(&b)?;
    let grads = ms_ssim(&a, &var)?.sum_all()?.backward()?;
    let grad: Vec<f64> = grads
        .get(&var)
        .expect("a gradient")
        .flatten_all()?
        .to_vec1()?;
    let flat: Vec<f64> = b.flatten_all()?.to_vec1()?;
    for i in (0..flat.len()).step_by(97) {
        let at = |delta: f64| -> Result<f64> {
            let mut moved = flat.clone();
            moved[i] += delta;
            let moved = Tensor::from_vec(moved, b.dims(), &Device::Cpu)?;
            Ok(ms_ssim(&a, &moved)?.sum_all()?.to_scalar()?)
        };
        let wanted = (at(1e-5)? - at(-1e-5)?) / 2e-5;
        assert!((grad[i] - wanted).abs() < 1e-8, "{i}: {} {wanted}", grad[i]);
    }
    Ok(())
}

#[test]
fn too_small_or_unequal_pictures_are_refused() {
    let a = picture(1, 3, 16, "a");
    let text = ms_ssim(&a, &a).unwrap_err().to_string();
    assert!(text.contains("height and width of at least 4"), "{text}");
    assert!(ms_ssim(&picture(1, 8, 8, "a"), &picture(2, 8, 8, "b")).is_err());
}
