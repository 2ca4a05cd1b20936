use candle_core::{DType, Device, Tensor};
use domex_ops::testing::{assert_gradients, assert_second_order, max_difference, randn};
use domex_random::{Stream, Streams};

use super::{Ada, AdaConfig, Augment, AugmentConfig, Drawn, Signs, matrix, resample};

mod controller;

fn stream() -> Stream {
    Streams::new(11).stream("augment")
}

/// Changes of `n` pictures of 16 × 16 with three channels.
fn draw(config: AugmentConfig, p: f64, n: usize) -> Drawn {
    let augment = Augment::new(config).unwrap();
    augment.draw([n, 3, 16, 16], p, &mut stream()).unwrap()
}

fn none() -> AugmentConfig {
    AugmentConfig::none()
}

/// A soft blob off the centre, in three colours, so that nothing is symmetric.
fn picture(h: usize, w: usize) -> Tensor {
    let value = |k: usize| {
        let (c, y, x) = (k / (h * w), k / w % h, k % w);
        let far = |i: usize, size: usize, at: f64| (i as f64 / (size - 1) as f64 - at).powi(2);
        (-9.0 * (far(y, h, 0.3) + far(x, w, 0.6))).exp() * (c as f64 + 1.0) / 3.0 - 0.2
    };
    Tensor::from_vec(
        (0..3 * h * w).map(value).collect::<Vec<f64>>(),
        (1, 3, h, w),
        &Device::Cpu,
    )
    .unwrap()
}

/// One matrix for one picture.
fn moved(x: &Tensor, m: matrix::Matrix) -> Tensor {
    resample::apply(x, &[m]).unwrap()
}

fn mean_and_std(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[test]
fn without_probability_nothing_changes_to_the_last_bit() {
    let x = randn(&[4, 3, 16, 16], 1).to_dtype(DType::F32).unwrap();
    for (config, p) in [(all(), 0.0), (none(), 1.0)] {
        let drawn = draw(config, p, 4);
        assert!(drawn.is_identity());
        assert_eq!(max_difference(&drawn.apply(&x).unwrap(), &x), 0.0);
    }
    assert!(!draw(AugmentConfig::default(), 0.5, 4).is_identity());
}

#[test]
fn the_wavelet_is_orthogonal_to_its_shifts_by_two() {
    let h = resample::SYM6;
    assert!((h.iter().sum::<f64>() - 2f64.sqrt()).abs() < 1e-12);
    for shift in 0..6 {
        let product: f64 = (2 * shift..12).map(|k| h[k] * h[k - 2 * shift]).sum();
        let want = if shift == 0 { 1.0 } else { 0.0 };
        assert!((product - want).abs() < 1e-11, "shift {shift}: {product}");
    }
}

#[test]
fn whole_pixels_shift_exactly_with_reflected_edges() {
    let x = randn(&[1, 3, 8, 10], 2);
    let y = moved(&x, matrix::shift(2.0, -1.0));
    let (got, want) = (y.flatten_all().unwrap(), x.flatten_all().unwrap());
    let (got, want): (Vec<f64>, Vec<f64>) = (got.to_vec1().unwrap(), want.to_vec1().unwrap());
    let reflect = |i: i64, size: i64| (size - 1 - (size - 1 - i.abs()).abs()) as usize;
    for c in 0..3 {
        for (row, column) in (0..8).flat_map(|r| (0..10).map(move |c| (r, c))) {
            let from = (reflect(row - 1, 8), reflect(column + 2, 10));
            let (got, want) = (
                got[(c * 8 + row as usize) * 10 + column as usize],
                want[(c * 8 + from.0) * 10 + from.1],
            );
            assert!((got - want).abs() < 1e-10, "{row} {column}: {got} {want}");
        }
    }
}

#[test]
fn mirror_and_turns_go_the_right_way() {
    let x = picture(16, 16);
    // The symlet is not quite symmetric: a mirrored picture lies a tenth of a pixel off, as it
    // does in the published program.
    let close = |a: &Tensor, b: &Tensor| {
        let worst = max_difference(a, b);
        assert!(worst < 0.03, "{worst}");
    };
    let flip = |x: &Tensor, dim| x.contiguous().unwrap().flip(&[dim]).unwrap();
    close(&moved(&x, matrix::scale(-1.0, 1.0)), &flip(&x, 3));
    let half = flip(&flip(&x, 3), 2);
    close(&moved(&x, matrix::rotate(std::f64::consts::PI)), &half);
    // A pixel of the result at (x, y) from the centre comes from (−y, x).
    let quarter = moved(&x, matrix::rotate(std::f64::consts::FRAC_PI_2));
    let turned = flip(&x.transpose(2, 3).unwrap(), 2);
    close(&quarter, &turned);
    // And it is not what the other way round would be.
    assert!(max_difference(&quarter, &flip(&x.transpose(2, 3).unwrap(), 3)) > 0.2);
}

#[test]
fn scaling_keeps_the_centre_and_smooth_pictures() {
    let x = picture(32, 32);
    // Twice as close: the value at the centre stays, and positions halve.
    let y = moved(&x, matrix::scale(0.5, 0.5));
    let at = |t: &Tensor, row: usize, column: usize| {
        let t = t.narrow(2, row, 2).unwrap().narrow(3, column, 2).unwrap();
        t.narrow(1, 0, 1)
            .unwrap()
            .mean_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    };
    // Pixels 15 and 16 lie about the centre; 7 and 8 of the result a quarter of the picture off.
    assert!((at(&y, 15, 15) - at(&x, 15, 15)).abs() < 0.01);
    assert!((at(&y, 7, 15) - at(&x, 11, 15)).abs() < 0.01);
    assert!((at(&y, 15, 23) - at(&x, 15, 19)).abs() < 0.01);
}

#[test]
fn each_change_happens_as_often_as_it_should() {
    const N: usize = 4000;
    let share = |config: AugmentConfig, p: f64| {
        let drawn = draw(config, p, N);
        let changed = (0..N).filter(|&i| {
            drawn.geometry[i] != matrix::IDENTITY || drawn.colours[i] != super::Colour::IDENTITY
        });
        changed.count() as f64 / N as f64
    };
    let near = |name: &str, got: f64, want: f64| {
        assert!((got - want).abs() < 0.04, "{name}: {got}, expected {want}");
    };
    let one = |set: fn(&mut AugmentConfig)| {
        let mut config = none();
        set(&mut config);
        config
    };
    // Half of the mirrors and of the inverted lumas, and a quarter of the turns, change nothing.
    near("xflip", share(one(|c| c.xflip = 1.0), 0.6), 0.3);
    near("rotate90", share(one(|c| c.rotate90 = 1.0), 0.6), 0.45);
    near("scale", share(one(|c| c.scale = 1.0), 0.6), 0.6);
    near("scale by half", share(one(|c| c.scale = 0.5), 0.6), 0.3);
    // Before or after the stretch.
    near("rotate", share(one(|c| c.rotate = 1.0), 0.6), 0.6);
    near("aniso", share(one(|c| c.aniso = 1.0), 0.6), 0.6);
    near("xfrac", share(one(|c| c.xfrac = 1.0), 0.6), 0.6);
    near("brightness", share(one(|c| c.brightness = 1.0), 0.6), 0.6);
    near("contrast", share(one(|c| c.contrast = 1.0), 0.6), 0.6);
    near("lumaflip", share(one(|c| c.lumaflip = 1.0), 0.6), 0.3);
    near("hue", share(one(|c| c.hue = 1.0), 0.6), 0.6);
    near("saturation", share(one(|c| c.saturation = 1.0), 0.6), 0.6);
}

#[test]
fn sizes_are_distributed_as_published() {
    const N: usize = 4000;
    let geometry = |config: AugmentConfig| draw(config, 1.0, N).geometry;
    let near = |name: &str, values: &[f64], mean: f64, std: f64| {
        let got = mean_and_std(values);
        let fits = (got.0 - mean).abs() < 0.07 * std && (got.1 / std - 1.0).abs() < 0.07;
        assert!(fits, "{name}: {got:?}, expected {mean} and {std}");
    };
    let scales = geometry(AugmentConfig {
        scale: 1.0,
        ..none()
    });
    let logs: Vec<f64> = scales.iter().map(|m| -m[0][0].log2()).collect();
    near("scale", &logs, 0.0, 0.2);
    let stretches = geometry(AugmentConfig {
        aniso: 1.0,
        ..none()
    });
    let logs: Vec<f64> = stretches.iter().map(|m| -m[0][0].log2()).collect();
    near("aniso", &logs, 0.0, 0.2);
    assert!(
        stretches
            .iter()
            .all(|m| (m[0][0] * m[1][1] - 1.0).abs() < 1e-12)
    );
    let shifts = geometry(AugmentConfig {
        xfrac: 1.0,
        ..none()
    });
    let shifts: Vec<f64> = shifts.iter().map(|m| -m[1][2] / 16.0).collect();
    near("xfrac", &shifts, 0.0, 0.125);
    let shifts = geometry(AugmentConfig {
        xint: 1.0,
        ..none()
    });
    assert!(
        shifts
            .iter()
            .all(|m| m[0][2].abs() <= 2.0 && m[0][2].fract() == 0.0)
    );
    assert!((-2..=2).all(|k| shifts.iter().any(|m| m[0][2] == f64::from(k))));

    let colours = |config: AugmentConfig| draw(config, 1.0, N).colours;
    let brightness = colours(AugmentConfig {
        brightness: 1.0,
        ..none()
    });
    let brightness: Vec<f64> = brightness.iter().map(|c| c.b[1]).collect();
    near("brightness", &brightness, 0.0, 0.2);
    let contrast = colours(AugmentConfig {
        contrast: 1.0,
        ..none()
    });
    let contrast: Vec<f64> = contrast.iter().map(|c| c.a[2][2].log2()).collect();
    near("contrast", &contrast, 0.0, 0.5);
    // Saturation stretches what is across the grey axis, such as red less green.
    let saturation = colours(AugmentConfig {
        saturation: 1.0,
        ..none()
    });
    let saturation: Vec<f64> = saturation
        .iter()
        .map(|c| (c.a[0][0] - c.a[1][0]).log2())
        .collect();
    near("saturation", &saturation, 0.0, 1.0);
}

/// All groups.
fn all() -> AugmentConfig {
    AugmentConfig {
        imgfilter: 1.0,
        noise: 1.0,
        cutout: 1.0,
        ..AugmentConfig::default()
    }
}

#[test]
fn the_other_groups_happen_as_often_as_they_should_and_as_far() {
    const N: usize = 3000;
    let filtered = draw(
        AugmentConfig {
            imgfilter: 1.0,
            imgfilter_bands: [0.0, 1.0, 0.0, 0.0],
            ..none()
        },
        0.6,
        N,
    );
    let changed = filtered.gains.iter().filter(|gains| gains[1] != gains[0]);
    let logs: Vec<f64> = changed.map(|gains| (gains[1] / gains[0]).log2()).collect();
    let share = logs.len() as f64 / N as f64;
    assert!((share - 0.6).abs() < 0.04, "{share}");
    let (mean, std) = mean_and_std(&logs);
    assert!(
        mean.abs() < 0.07 && (std - 1.0).abs() < 0.07,
        "{mean} {std}"
    );
    // The power of a spectrum of 10, 1, 1, 1 stays.
    for gains in &filtered.gains {
        let power = 10.0 * gains[0].powi(2) + gains[1..].iter().map(|g| g * g).sum::<f64>();
        assert!((power / 13.0 - 1.0).abs() < 1e-9);
    }

    let cut = draw(
        AugmentConfig {
            cutout: 1.0,
            ..none()
        },
        0.6,
        N,
    );
    let share = cut.cutouts.iter().flatten().count() as f64 / N as f64;
    assert!((share - 0.6).abs() < 0.04, "{share}");

    let noisy = AugmentConfig {
        noise: 1.0,
        ..none()
    };
    let x = Tensor::zeros((200, 3, 16, 16), DType::F64, &Device::Cpu).unwrap();
    let y = draw(noisy, 0.6, 200).apply(&x).unwrap();
    let power = y.sqr().unwrap().mean((1, 2, 3)).unwrap();
    let power: Vec<f64> = power.to_vec1().unwrap();
    let share = power.iter().filter(|&&power| power > 0.0).count() as f64 / 200.0;
    assert!((share - 0.6).abs() < 0.1, "{share}");
    // The mean square of a deviation of 0.1 |normal| is 0.01.
    let mean = power.iter().sum::<f64>() / (200.0 * share);
    assert!((mean / 0.01 - 1.0).abs() < 0.35, "{mean}");
}

#[test]
fn a_rectangle_of_half_the_picture_is_cut_out_and_nothing_else() {
    let config = AugmentConfig {
        cutout: 1.0,
        ..none()
    };
    let drawn = draw(config, 1.0, 20);
    let x = (randn(&[20, 3, 16, 16], 6).abs().unwrap() + 1.0).unwrap();
    let y = drawn.apply(&x).unwrap();
    let (x, y): (Vec<f64>, Vec<f64>) = (
        x.flatten_all().unwrap().to_vec1().unwrap(),
        y.flatten_all().unwrap().to_vec1().unwrap(),
    );
    for (k, (x, y)) in x.iter().zip(&y).enumerate() {
        let [cx, cy] = drawn.cutouts[k / (3 * 256)].unwrap();
        let inside = |at: usize, centre: f64| ((at as f64 + 0.5) / 16.0 - centre).abs() < 0.25;
        let cut = inside(k % 16, cx) && inside(k / 16 % 16, cy);
        assert_eq!(*y, if cut { 0.0 } else { *x }, "{k}");
    }
}

#[test]
fn groups_that_are_off_draw_nothing() {
    let next = |config: AugmentConfig| {
        let mut stream = stream();
        let augment = Augment::new(config).unwrap();
        augment.draw([2, 3, 8, 8], 0.5, &mut stream).unwrap();
        stream.next_u64()
    };
    let bgc = next(AugmentConfig::default());
    assert_eq!(
        bgc,
        next(AugmentConfig {
            noise_std: 0.3,
            cutout_size: 0.2,
            ..AugmentConfig::default()
        })
    );
    assert!(bgc != next(all()));
}

#[test]
fn colours_keep_what_they_should() {
    let rows = |c: &super::Colour| c.a.map(|row| row.iter().sum::<f64>());
    let only = |config: AugmentConfig| draw(config, 1.0, 50).colours;
    for c in only(AugmentConfig {
        hue: 1.0,
        saturation: 1.0,
        ..none()
    }) {
        // Grey stays grey.
        assert!(rows(&c).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
    }
    let third = std::f64::consts::TAU / 3.0;
    let hue = |angle: f64| super::colour::turned(angle);
    // A third of a turn takes red to green, green to blue, blue to red.
    for (i, j) in [(1, 0), (2, 1), (0, 2)] {
        assert!((hue(third)[i][j] - 1.0).abs() < 1e-12);
    }
    for c in only(AugmentConfig {
        lumaflip: 1.0,
        ..none()
    }) {
        let sum = rows(&c)[0];
        assert!((sum.abs() - 1.0).abs() < 1e-12);
        // Differences of channels stay.
        assert!((c.a[0][0] - c.a[1][0] - 1.0).abs() < 1e-12);
    }
}

fn a_batch_is_its_pictures(config: AugmentConfig) {
    let augment = Augment::new(config).unwrap();
    let x = randn(&[3, 3, 16, 16], 4);
    let batch = |p| {
        let drawn = augment.draw([3, 3, 16, 16], p, &mut stream()).unwrap();
        drawn.apply(&x).unwrap()
    };
    assert_eq!(max_difference(&batch(0.8), &batch(0.8)), 0.0);
    let (together, mut stream) = (batch(0.8), stream());
    for i in 0..3 {
        let drawn = augment.draw([1, 3, 16, 16], 0.8, &mut stream).unwrap();
        let alone = drawn.apply(&x.narrow(0, i, 1).unwrap()).unwrap();
        let worst = max_difference(&alone, &together.narrow(0, i, 1).unwrap());
        assert!(worst < 1e-10, "picture {i}: {worst}");
    }
}

#[test]
fn a_batch_is_its_pictures_and_draws_repeat() {
    a_batch_is_its_pictures(AugmentConfig::default());
}

#[test]
fn a_batch_filtered_and_corrupted_is_its_pictures_too() {
    a_batch_is_its_pictures(AugmentConfig {
        imgfilter: 1.0,
        noise: 1.0,
        cutout: 1.0,
        ..none()
    });
}

#[test]
fn as_much_is_drawn_whatever_happens() {
    let augment = Augment::new(all()).unwrap();
    let next = |p| {
        let mut stream = stream();
        augment.draw([5, 3, 8, 8], p, &mut stream).unwrap();
        stream.next_u64()
    };
    assert_eq!(next(0.0), next(1.0));
    assert_eq!(next(0.0), next(0.3));
}

#[test]
fn gradients_reach_the_pixels() {
    let augment = Augment::new(all()).unwrap();
    for (channels, h, w) in [(3, 6, 8), (1, 8, 8)] {
        let shape = [2, channels, h, w];
        let drawn = augment.draw(shape, 1.0, &mut stream()).unwrap();
        let x = randn(&shape, 5);
        let apply = |xs: &[Tensor]| Ok(drawn.apply(&xs[0]).expect("pictures as drawn for"));
        assert_gradients("augment", apply, std::slice::from_ref(&x));
        let square = |xs: &[Tensor]| Ok(drawn.apply(&xs[0]).expect("as drawn for").sqr()?);
        assert_second_order("augment", square, &[x]);
    }
}

#[test]
fn refusals_name_the_reason() {
    let text = |result: crate::Result<Tensor>| result.unwrap_err().to_string();
    let drawn = draw(AugmentConfig::default(), 1.0, 2);
    let message = text(drawn.apply(&randn(&[1, 3, 16, 16], 1)));
    assert!(
        message.contains("[2, 3, 16, 16], as drawn for"),
        "{message}"
    );
    let augment = Augment::new(AugmentConfig::default()).unwrap();
    let drawn = augment.draw([2, 4, 8, 8], 1.0, &mut stream()).unwrap();
    let message = text(drawn.apply(&randn(&[2, 4, 8, 8], 1)));
    assert!(message.contains("channels"), "{message}");
    assert!(augment.draw([1, 3, 8, 8], 1.5, &mut stream()).is_err());
    assert!(augment.draw([1, 3, 0, 8], 0.5, &mut stream()).is_err());
    for hue in [-0.1, f64::NAN, 100.0] {
        let message = Augment::new(AugmentConfig { hue, ..none() }).unwrap_err();
        assert!(message.to_string().contains("augmentation hue"));
    }
}
