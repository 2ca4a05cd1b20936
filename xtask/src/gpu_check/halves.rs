//! What losses and their gradients lose where the networks of the portrait world that they are made of are held in float16: the shipped
//! CLIP models and the shipped perceptual network, on pictures that the shipped generator made.

use candle_core::{DType, Tensor, Var};
use domex_error::Result;
use domex_nada::{Config, Guide, Nada};
use domex_random::Streams;
use domex_replay::Perceptual;
use domex_stylegan2::{Model, Noise, Truncation};
use serde_json::json;

use super::part::{Found, Setup, Task};
use crate::bench::work::noise;

/// How far a loss may be off, relative to it, and its gradient, in the root of the mean square relative to that of the gradient.
const BOUNDS: [f64; 2] = [2e-2, 2e-1];

/// Pictures of a batch.
const BATCH: usize = 4;

/// How far an edited picture's latent is on the way to another person's: little, as where a training begins, and half.
const EDITS: [(&str, f64); 2] = [("a small edit", 0.02), ("a large edit", 0.5)];

pub fn tasks() -> Vec<Task> {
    let mut tasks = Vec::new();
    for (words, edit) in EDITS {
        for name in ["robust", "fine", "plain"] {
            let row = format!("CLIP model {name} in float16, {words}");
            tasks.push(Task::new(row, move |setup| {
                compared(edit, setup, |dtype, pair| by_clip(name, dtype, pair, setup))
            }));
        }
        let row = format!("perceptual network in float16, {words}");
        tasks.push(Task::new(row, move |setup| {
            compared(edit, setup, |dtype, [base, edited]| {
                let file = setup.assets.join("perceptual.safetensors");
                let network = Perceptual::load_as(&file, dtype, &setup.device)?;
                Ok(network.0.distance(edited, base)?.mean_all()?)
            })
        }));
    }
    tasks
}

/// The directional loss of a domain in words, per picture.
fn by_clip(
    name: &str,
    dtype: DType,
    [base, edited]: [&Tensor; 2],
    setup: &Setup,
) -> Result<Tensor> {
    let file = setup.assets.join(format!("clip-{name}.safetensors"));
    let guide = Guide::load_as(&file, 1.0, dtype, &setup.device)?;
    let nada = Nada::new(vec![guide], Config::default())?;
    let tasks = nada.prepare(&[domex_nada::Task::texts("photo", "zombie")], None)?;
    let mut stream = Streams::new(0).stream("views");
    let loss = nada.loss(&tasks, base, edited, &[0; BATCH], &mut stream)?;
    Ok((loss.total / BATCH as f64)?)
}

/// A loss of base and edited pictures, by networks of float32 and of float16.
fn compared(
    edit: f64,
    setup: &Setup,
    loss: impl Fn(DType, [&Tensor; 2]) -> Result<Tensor>,
) -> Result<Found> {
    let (base, edited) = pictures(edit, setup)?;
    let of = |dtype: DType| -> Result<(f64, Tensor)> {
        let edited = Var::from_tensor(&edited)?;
        let loss = loss(dtype, [&base, &edited])?;
        let mut grads = loss.backward()?;
        let Some(gradient) = grads.remove(&edited) else {
            domex_error::bail!("no gradient reaches the pictures");
        };
        Ok((f64::from(loss.to_scalar::<f32>()?), gradient))
    };
    let ((full, whole), (half, rounded)) = (of(DType::F32)?, of(DType::F16)?);
    let size = |t: &Tensor| -> Result<f64> {
        Ok(t.to_dtype(DType::F64)?
            .sqr()?
            .sum_all()?
            .to_scalar::<f64>()?
            .sqrt())
    };
    let off = [
        ((half - full) / full).abs(),
        size(&(&rounded - &whole)?)? / size(&whole)?,
    ];
    let along = (&rounded * &whole)?.to_dtype(DType::F64)?.sum_all()?;
    let cosine = along.to_scalar::<f64>()? / (size(&rounded)? * size(&whole)?);
    Ok(Found {
        // NaN is wrong, too, and so are networks that were not rounded.
        ok: off[0] <= BOUNDS[0] && off[1] <= BOUNDS[1] && off[1] > 0.0,
        text: format!(
            "loss {full:.4}, off by {:.1e} of {:.0e}; gradient by {:.1e} of {:.0e}, cosine {cosine:.5}",
            off[0], BOUNDS[0], off[1], BOUNDS[1]
        ),
        figures: json!({ "loss": full, "value": off[0], "gradients": off[1], "cosine": cosine }),
    })
}

/// Pictures of the shipped generator, and those of latents on the way to others.
fn pictures(edit: f64, setup: &Setup) -> Result<(Tensor, Tensor)> {
    let model = Model::load(setup.assets.join("generator.safetensors"), &setup.device)?;
    let generator = model.g_ema;
    let z = noise(&[2, BATCH, generator.config().mapping.z_dim], &setup.device)?;
    let latents = |i: usize| generator.latents(&z.get(i)?, None, Truncation::NONE);
    let (from, to) = (latents(0)?, latents(1)?);
    let made = |w: &Tensor| -> Result<Tensor> {
        Ok(generator.synthesis().forward(w, Noise::Const)?.detach())
    };
    Ok((
        made(&from)?,
        made(&((&from * (1.0 - edit))? + (to * edit)?)?)?,
    ))
}
