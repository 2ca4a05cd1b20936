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
    let mut sums = [0.0; 4];
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
        let parts = [
            &losses.total,
            &losses.expand,
            &losses.alignment.l2,
            &losses.alignment.perceptual,
        ];
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += number(part)? * n as f64 / samples as f64;
        }
    }
    let names = ["loss", "expand", "l2", "lpips"];
    let values = names
        .iter()
        .zip(sums)
        .map(|(name, value)| (format!("validation/{name}"), value));
    Ok(Measures {
        values: values.collect(),
        score: Some(sums[0]),
    })
}
