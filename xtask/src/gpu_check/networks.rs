//! How long whole networks and steps of an expansion take, on random weights, and how far float16 is from float32 in one.

use candle_core::{DType, Device, Tensor};
use domex_error::{Result, bail};
use domex_stylegan2::{GeneratorConfig, Model, Noise, Precision, Truncation};
use serde_json::json;

use super::{
    part::{Found, Setup, Task},
    times::seconds,
};
use crate::bench::{
    rows::{Pass, Phases, Teacher, Work},
    work::{Run, noise, prepare},
};

/// How far a picture in float16 may be from the one in float32, relative to the largest value: its highest resolutions round to 11
/// bits after each operation.
const HALF: f64 = 2e-2;

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
    tasks.push(Task::new(
        format!("StyleGAN2 {side}² with float16, batch 1"),
        move |setup| half(side, base, &setup.device),
    ));
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
        Ok(Found {
            ok: true,
            text: format!("{:.2} ms", 1e3 * seconds),
            figures: json!({ "ms": 1e3 * seconds }),
        })
    })
}

/// The highest resolutions in float16, as the published code runs them on a card: how far off, and how fast.
fn half(side: usize, base: usize, device: &Device) -> Result<Found> {
    let mut config = GeneratorConfig::with_defaults(512, 512, side, base, 512)?;
    config.synthesis.num_fp16_res = HALF_RESOLUTIONS;
    config.synthesis.conv_clamp = Some(256.0);
    let mut generator = Model::random(&config, 0, device)?.g_ema;
    let z = noise(&[1, 512], device)?;
    let mut picture = |precision| -> Result<Tensor> {
        generator.synthesis_mut().set_precision(precision);
        let picture = generator.forward(&z, None, Truncation::NONE, Noise::Const)?;
        Ok(picture.to_dtype(DType::F32)?.to_device(&Device::Cpu)?)
    };
    // In float16 last: so it stays.
    let (full, half) = (picture(Precision::Full)?, picture(Precision::Half)?);
    let largest = |t: &Tensor| -> Result<f32> { Ok(t.abs()?.flatten_all()?.max(0)?.to_scalar()?) };
    let off = f64::from(largest(&(&full - &half)?)? / largest(&full)?);
    if off == 0.0 {
        bail!("float16 makes the picture of float32 to the bit: nothing ran in float16");
    }
    let mut run: Run = Box::new(move || {
        generator.forward(&z, None, Truncation::NONE, Noise::Const)?;
        Ok(())
    });
    let seconds = seconds(&mut run, device)?;
    Ok(Found {
        // NaN is wrong too.
        ok: off <= HALF,
        text: format!(
            "off by {off:.1e} of {HALF:.0e} from float32; {:.2} ms",
            1e3 * seconds
        ),
        figures: json!({ "off": off, "ms": 1e3 * seconds }),
    })
}
