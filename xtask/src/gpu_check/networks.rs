//! How long whole networks and steps of an expansion take, on random weights, and how far float16 and TF32 are from float32 in one.

use candle_core::{DType, Device, Tensor};
use domex_error::{Result, bail};
use domex_stylegan2::{GeneratorConfig, Model, Noise, Precision, Truncation};
use serde_json::json;

use super::{
    halves,
    part::{Found, Setup, Task, with_tf32},
    times::seconds,
};
use crate::{
    bench::{
        rows::{Pass, Phases, Teacher, Work},
        work::{Run, noise, prepare},
    },
    cuda::roofline::{CARD, arithmetic},
};

/// How far a picture in float16 or TF32 may be from the one in float32, relative to the largest value: each operation rounds its results,
/// or its factors, to 11 bits.
const ROUNDED: f64 = 2e-2;

/// Resolutions that the published configurations hold in float16.
const HALF_RESOLUTIONS: usize = 4;

/// The tasks, the most telling first.
pub fn tasks(setup: &Setup) -> Vec<Task> {
    // A card's sizes are those of the published configuration F; a rehearsal takes what a CPU does in seconds.
    let (side, base, batches, steps) = match setup.on_card() {
        true => (1024, 32768, [1, 16], vec![(256, 16), (1024, 4)]),
        false => (64, 4096, [1, 2], vec![(16, 4)]),
    };
    let mut tasks = Vec::new();
    for n in batches {
        tasks.push(timed(
            format!("StyleGAN2 {side}², batch {n}"),
            Work::StyleGan2 {
                resolution: side,
                channel_base: base,
                n,
                peer: String::new(),
            },
        ));
    }
    for (word, tf32) in [("float16", false), ("TF32", true)] {
        tasks.push(Task::new(
            format!("StyleGAN2 {side}² with {word}, batch 1"),
            move |setup| rounded([side, base], tf32, &setup.device),
        ));
    }
    for (resolution, n) in steps {
        for phases in [Phases::Expand, Phases::Adversarial] {
            tasks.push(timed(
                format!("expansion step {resolution}², batch {n}, {}", phases.word()),
                Work::Expansion {
                    resolution,
                    channel_base: base,
                    n,
                    teacher: Teacher::Clip,
                    phases,
                    peer: String::new(),
                },
            ));
        }
    }
    tasks.extend(halves::tasks());
    let n = batches[1];
    for pass in [Pass::Forward, Pass::Pixels] {
        tasks.push(timed(
            format!("CLIP ViT-B/32, batch {n}, {}", pass.word()),
            Work::Clip { n, pass },
        ));
        tasks.push(timed(
            format!("LPIPS vgg 64², batch {n}, {}", pass.word()),
            Work::Lpips {
                backbone: "vgg".into(),
                size: 64,
                n,
                pass,
            },
        ));
    }
    tasks
}

fn timed(name: String, work: Work) -> Task {
    Task::new(name, move |setup| {
        let mut run = prepare(&work, &setup.device)?;
        let seconds = seconds(&mut run, &setup.device)?;
        let (mut text, mut figures) = (
            format!("{:.2} ms", 1e3 * seconds),
            json!({ "ms": 1e3 * seconds }),
        );
        if let Some(operations) = operations(&work) {
            let (rate, bound) = (operations / seconds / 1e9, arithmetic(operations));
            text += &format!(
                ", {rate:.0} GFLOP/s; {:.0} % of the least {:.2} ms on an {CARD}",
                100.0 * bound / seconds,
                1e3 * bound
            );
            figures["rate"] = rate.into();
            figures["unit"] = "GFLOP/s".into();
            figures["bound_ms"] = (1e3 * bound).into();
        }
        Ok(Found {
            ok: true,
            text,
            figures,
        })
    })
}

/// Operations of the products alone, where they are easily counted: a multiplication and an addition are two.
fn operations(work: &Work) -> Option<f64> {
    match *work {
        Work::StyleGan2 {
            resolution,
            channel_base,
            n,
            ..
        } => {
            let channels = |side: usize| (channel_base / side).min(512) as f64;
            let sides = std::iter::successors(Some(4), |side| Some(2 * side));
            let products = sides.take_while(|&side| side <= resolution).map(|side| {
                let (c, pixels) = (channels(side), (side * side) as f64);
                // The transposed convolution meets each pixel of its smaller input.
                let up = match side {
                    4 => 0.0,
                    _ => channels(side / 2) * c * 9.0 * pixels / 4.0,
                };
                up + c * c * 9.0 * pixels + c * 3.0 * pixels
            });
            Some(2.0 * n as f64 * products.sum::<f64>())
        }
        Work::Clip { n, pass } => {
            let (tokens, width, layers) = (50.0, 768.0, 12.0);
            let layer = 12.0 * width * width + 2.0 * tokens * width;
            let products = tokens * layers * layer + 49.0 * 3.0 * 32.0 * 32.0 * width;
            // The gradient of the pixels alone is as much again.
            let passes = if pass == Pass::Forward { 1.0 } else { 2.0 };
            Some(2.0 * n as f64 * passes * products)
        }
        _ => None,
    }
}

/// The highest resolutions in float16, as the published code runs them on a card, or all of it in TF32: how far off, and how fast.
fn rounded([side, base]: [usize; 2], tf32: bool, device: &Device) -> Result<Found> {
    let mut config = GeneratorConfig::with_defaults(512, 512, side, base, 512)?;
    config.synthesis.num_fp16_res = HALF_RESOLUTIONS;
    config.synthesis.conv_clamp = Some(256.0);
    let mut generator = Model::random(&config, 0, device)?.g_ema;
    let z = noise(&[1, 512], device)?;
    let mut picture = |precision, tf32| -> Result<Tensor> {
        generator.synthesis_mut().set_precision(precision);
        let picture = with_tf32(tf32, || {
            generator.forward(&z, None, Truncation::NONE, Noise::Const)
        })?;
        Ok(picture.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
    };
    let precision = match tf32 {
        true => Precision::Full,
        false => Precision::Half,
    };
    // As it is to be timed, last: so it stays.
    let (full, ours) = (picture(Precision::Full, false)?, picture(precision, tf32)?);
    let largest = |t: &Tensor| -> Result<f32> { Ok(t.abs()?.flatten_all()?.max(0)?.to_scalar()?) };
    let off = f64::from(largest(&(&full - &ours)?)? / largest(&full)?);
    if off == 0.0 && !(tf32 && device.is_cpu()) {
        bail!("it makes the picture of float32 to the bit: nothing was rounded");
    }
    let mut run: Run = Box::new(move || {
        generator.forward(&z, None, Truncation::NONE, Noise::Const)?;
        Ok(())
    });
    let seconds = with_tf32(tf32, || seconds(&mut run, device))?;
    Ok(Found {
        // NaN is wrong too.
        ok: off <= ROUNDED,
        text: format!(
            "off by {off:.1e} of {ROUNDED:.0e} from float32; {:.2} ms",
            1e3 * seconds
        ),
        figures: json!({ "off": off, "ms": 1e3 * seconds }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_known_networks() {
        let n = 1;
        let clip = operations(&Work::Clip {
            n,
            pass: Pass::Forward,
        });
        // 4.4 thousand million products a picture, as is often quoted.
        assert!((8.5e9..9.0e9).contains(&clip.unwrap()), "{clip:?}");
        let smallest = operations(&Work::StyleGan2 {
            resolution: 4,
            channel_base: 32768,
            n,
            peer: String::new(),
        });
        assert_eq!(
            smallest,
            Some(2.0 * 16.0 * (512.0 * 512.0 * 9.0 + 512.0 * 3.0))
        );
    }
}
