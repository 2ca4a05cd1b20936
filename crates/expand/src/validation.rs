//! What a tick measures: the losses of the averaged generator, on latents that are the same at every tick.
//!
//! A step's loss jumps with its latents and tasks; this one is smooth enough to stop a run by, and to call a snapshot
//! the best. Noise is the stored one, and what the methods draw comes from a stream that begins anew each time, so
//! nothing of the run is touched.

use candle_core::Tensor;
use domex_random::{Stream, Streams};
use domex_train::Measures;

use crate::Result;
use crate::aligned::at_once;
use crate::job::Expand;
use crate::objective::{Latents, Pictures};
use crate::step::{along, labelled, number};
use crate::trainee::{Noise, PictureGroups, Weights};

/// Samples, each of the next task in turn: two for each task within these bounds.
const FEWEST: usize = 8;
const MOST: usize = 32;

/// The measures: the weighted sum, which is the score, and its parts.
pub(crate) fn measure(run: &Expand, seed: u64) -> Result<Measures> {
    let count = run.objective.tasks().len();
    let samples = (2 * count).clamp(FEWEST, MOST);
    let streams = Streams::new(seed);
    let generator = run.trainee.generator(Weights::Averaged);
    let class = run.config.class;
    let mut stream = streams.stream("validation");
    let (w, labels) = labelled(generator, class, samples, &mut stream)?;
    let mean = run.trainee.mean()?;
    let mut draws = streams.stream("validation methods");
    let mut drawn = streams.stream("validation samples");
    let mut reserve = streams.stream("validation reserve");
    let mut sums = Vec::new();
    let most = at_once(generator);
    for start in (0..samples).step_by(most) {
        let n = most.min(samples - start);
        let tasks: Vec<usize> = (start..start + n).map(|sample| sample % count).collect();
        let random = w.narrow(0, start, n)?;
        let (sampled, targets) = run.objective.sample(&tasks, &random, &mut drawn)?;
        let latents = run.objective.latents(&sampled, &mean, &tasks)?;
        let make = |latents: &[&_], source: &[&_]| averaged(run, latents, source);
        let pictures = run.objective.pictures(&latents, make)?;
        let losses = run
            .objective
            .loss(&pictures, &tasks, &targets, n, &mut draws)?;
        let labels = labels.as_ref().map(|all| all.narrow(0, start, n));
        let labels = labels.transpose()?;
        let (beside, terms) = beside(
            run,
            &latents,
            &pictures,
            labels.as_ref(),
            (start, &mut reserve),
        )?;
        let parts = [
            ("loss", number(&losses.total)? + beside),
            ("expand", number(&losses.expand)?),
            ("l2", number(&losses.alignment.l2)?),
            ("lpips", number(&losses.alignment.perceptual)?),
        ];
        for (at, (name, value)) in parts.into_iter().chain(terms).enumerate() {
            let value = value * n as f64 / samples as f64;
            match sums.get_mut(at) {
                None => sums.push((name, value)),
                Some((_, sum)) => *sum += value,
            }
        }
    }
    let score = sums.first().map(|(_, loss)| *loss);
    let named = sums.into_iter();
    let mut measures = Measures {
        values: named
            .map(|(name, value)| (format!("validation/{name}"), value))
            .collect(),
        score: score.filter(|_| run.objective.is_comparable()),
    };
    run.objective.measures(&mut measures);
    Ok(measures)
}

/// What a step adds to the objective: the domains that the model had and reserved directions as the source has them, and what
/// the trainee says of edited pictures. The weighted sum, and each by name; an opinion is told without its weight, as a step
/// tells it. Samples are those from `start` on.
fn beside(
    run: &Expand,
    latents: &Latents,
    pictures: &Pictures,
    labels: Option<&Tensor>,
    (start, reserve): (usize, &mut Stream),
) -> Result<(f64, Vec<(&'static str, f64)>)> {
    let mut terms = Vec::new();
    let held = |moved: &Tensor| -> Result<f64> {
        let (now, before) = averaged(run, &[moved], &[moved])?;
        number(&run.aligned(&now[0], &before[0])?)
    };
    if let Some(earlier) = run.earlier_domains() {
        let samples = start..start + latents.base.dim(0)?;
        let domains: Vec<usize> = samples.map(|at| at % earlier).collect();
        terms.push(("earlier", held(&run.moved(&latents.base, &domains)?)?));
    }
    if let Some(reserved) = &run.domains.reserved {
        terms.push(("reserve", held(&along(&latents.base, reserved, reserve)?)?));
    }
    let mut sum = terms.iter().map(|(_, value)| value).sum::<f64>();
    // By a discriminator that learns meanwhile two ticks would not compare.
    let opinion = (run.trainee).judge_edited(Weights::Source, &pictures.edited, labels)?;
    if let Some(opinion) = opinion {
        let value = number(&opinion.loss)?;
        sum += value * opinion.weight;
        terms.push(("realism", value));
    }
    Ok((sum, terms))
}

/// Pictures by the averaged network with the stored noise, and by the source.
fn averaged(
    run: &Expand,
    latents: &[&Tensor],
    source: &[&Tensor],
) -> Result<(PictureGroups, PictureGroups)> {
    run.trainee
        .pictures(Weights::Averaged, latents, source, Noise::Fixed)
}
