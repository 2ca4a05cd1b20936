//! What a tick measures: the losses of the averaged generator, on latents that are the same at every tick.
//!
//! A step's loss jumps with its latents and tasks; this one is smooth enough to stop a run by, and to call a snapshot
//! the best. Noise is the stored one, and what the methods draw comes from a stream that begins anew each time, so
//! nothing of the run is touched.

use domex_random::Streams;
use domex_train::Measures;

use crate::Result;
use crate::aligned::at_once;
use crate::job::Expand;
use crate::step::{latents, number};
use crate::trainee::{Noise, Weights};

/// Samples, each of the next task in turn: two for each task within these bounds.
const FEWEST: usize = 8;
const MOST: usize = 32;

/// The measures: the weighted sum, which is the score, and its parts.
pub(crate) fn measure(run: &Expand, seed: u64) -> Result<Measures> {
    let count = run.objective.tasks().len();
    let samples = (2 * count).clamp(FEWEST, MOST);
    let streams = Streams::new(seed);
    let generator = run.trainee.generator(Weights::Averaged);
    let w = latents(
        generator,
        run.config.class,
        samples,
        &mut streams.stream("validation"),
    )?;
    let mean = run.trainee.mean()?;
    let mut draws = streams.stream("validation methods");
    let mut drawn = streams.stream("validation samples");
    let averaged = |latents: &[&_], source: &[&_]| {
        run.trainee
            .pictures(Weights::Averaged, latents, source, Noise::Fixed)
    };
    let mut sums = [0.0; 5];
    let most = at_once(generator);
    for start in (0..samples).step_by(most) {
        let n = most.min(samples - start);
        let tasks: Vec<usize> = (start..start + n).map(|sample| sample % count).collect();
        let random = w.narrow(0, start, n)?;
        let (sampled, targets) = run.objective.sample(&tasks, &random, &mut drawn)?;
        let latents = run.objective.latents(&sampled, &mean, &tasks)?;
        let pictures = run.objective.pictures(&latents, averaged)?;
        let losses = run
            .objective
            .loss(&pictures, &tasks, &targets, n, &mut draws)?;
        // The domains that the model had count as they do in a step.
        let kept = match run.earlier_domains() {
            None => 0.0,
            Some(earlier) => {
                let domains: Vec<usize> = (start..start + n).map(|at| at % earlier).collect();
                let moved = run.moved(&latents.base, &domains)?;
                let (now, before) = averaged(&[&moved], &[&moved])?;
                number(&run.aligned(&now[0], &before[0])?)?
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
    let told = if run.earlier_domains().is_some() {
        5
    } else {
        4
    };
    let values = names
        .iter()
        .zip(sums)
        .take(told)
        .map(|(name, value)| (format!("validation/{name}"), value));
    let mut measures = Measures {
        values: values.collect(),
        score: run.objective.is_comparable().then_some(sums[0]),
    };
    run.objective.measures(&mut measures);
    Ok(measures)
}
