//! What a tick measures: the losses of the averaged generator, on latents that are the same at every tick.
//!
//! A step's loss jumps with its latents and tasks; this one is smooth enough to stop a run by, and to call a snapshot
//! the best. Noise is the stored one, and what the methods draw comes from a stream that begins anew each time, so
//! nothing of the run is touched.

use domex_random::Streams;
use domex_stylegan2::Noise;
use domex_train::Measures;

use crate::Result;
use crate::job::Expand;
use crate::phases::{normal, number};

/// Samples, each of the next task in turn: two for each task within these bounds.
const FEWEST: usize = 8;
const MOST: usize = 32;

/// Samples at once.
const BATCH: usize = 8;

/// The measures: the weighted sum, which is the score, and its parts.
pub(crate) fn measure(run: &Expand, seed: u64) -> Result<Measures> {
    let count = run.objective.tasks().len();
    let samples = (2 * count).clamp(FEWEST, MOST);
    let streams = Streams::new(seed);
    let generator = &run.networks.g_ema;
    let z_dim = generator.config().z_dim();
    let z = normal(
        &mut streams.stream("validation"),
        &[samples, z_dim],
        &run.device,
    )?;
    let w = generator.mapping().forward(Some(&z), None)?;
    let mean = run.networks.g.mean_w()?;
    let mut draws = streams.stream("validation methods");
    let (earlier, alignment) = (run.domains.earlier, &run.config.objective.alignment);
    let mut sums = [0.0; 5];
    for start in (0..samples).step_by(BATCH) {
        let n = BATCH.min(samples - start);
        let tasks: Vec<usize> = (start..start + n).map(|sample| sample % count).collect();
        let latents = run
            .objective
            .latents(&w.narrow(0, start, n)?, &mean, &tasks)?;
        let source = Some(&run.networks.source);
        let pictures =
            run.objective
                .pictures(generator, source, &latents, Noise::Const, Noise::Const)?;
        let losses = run.objective.loss(&pictures, &tasks, None, n, &mut draws)?;
        // The domains that the model had count as they do in a step.
        let kept = match earlier > 0 && !alignment.is_off() {
            false => 0.0,
            true => {
                let domains: Vec<usize> = (start..start + n).map(|at| at % earlier).collect();
                let ws = run.moved(&latents.base, &domains)?;
                let now = generator.synthesis().forward(&ws, Noise::Const)?;
                let source = run.networks.source.synthesis();
                let before = source.forward(&ws, Noise::Const)?;
                number(&run.aligned(&now, &before)?)?
            }
        };
        let parts = [
            number(&losses.total)? + kept,
            number(&losses.expand)?,
            number(&losses.alignment.l2)?,
            number(&losses.alignment.perceptual)?,
            kept,
        ];
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += part * n as f64 / samples as f64;
        }
    }
    let names = ["loss", "expand", "l2", "lpips", "earlier"];
    let told = if earlier > 0 { 5 } else { 4 };
    let values = names
        .iter()
        .zip(sums)
        .take(told)
        .map(|(name, value)| (format!("validation/{name}"), value));
    Ok(Measures {
        values: values.collect(),
        score: Some(sums[0]),
    })
}
