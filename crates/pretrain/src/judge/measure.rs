//! How often a judge is right on scenes that it has not seen.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use domex_judge::Judge;
use domex_random::Stream;
use serde::Serialize;

use super::none::{KINDS, Nones};
use crate::feed::Feed;
use crate::jitter::Jitter;
use crate::losses::{accuracy, cross_entropy, one_hot};
use crate::scenes::Scenes;
use crate::{Error, Result};

/// Scenes in a batch of a measurement.
const BATCH: usize = 64;

/// Shares of right answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scores {
    /// Over all scenes, for each factor; scenes come from all domains evenly.
    pub all: BTreeMap<String, f64>,
    /// On scenes of the first domain only, the source.
    pub source: BTreeMap<String, f64>,
    /// The domain's, for each domain.
    pub domains: BTreeMap<String, f64>,
    /// For each kind of picture of no domain, how often the judge says so; nothing of a judge that must choose.
    pub none: BTreeMap<String, f64>,
}

/// Shows the judge `per_domain` scenes of each domain, not jittered.
///
/// # Errors
///
/// A judge of another world.
pub fn measure(
    judge: &Judge,
    scenes: &dyn Scenes,
    per_domain: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<Scores> {
    let factors = &judge.config().factors;
    let feed = Feed {
        size: judge.config().size as u32,
        source_share: 0.0,
        jitter: Jitter::NONE,
    };
    let mut right = vec![vec![0.0; factors.len()]; scenes.domains()];
    for (domain, right) in right.iter_mut().enumerate() {
        let mut left = per_domain;
        while left > 0 {
            let n = left.min(BATCH);
            let batch = feed.of_domain(scenes, domain, n, stream, device)?;
            for (factor, logits) in judge.forward(&batch.pixels)?.iter().enumerate() {
                right[factor] += accuracy(logits, &column(&batch.classes, factor)?)? * n as f64;
            }
            left -= n;
        }
    }
    let share = |rows: &[Vec<f64>], factor: usize| {
        rows.iter().map(|row| row[factor]).sum::<f64>() / (rows.len() * per_domain).max(1) as f64
    };
    let named = |rows: &[Vec<f64>]| {
        let pairs = factors.iter().enumerate();
        pairs
            .map(|(factor, about)| (about.name.clone(), share(rows, factor)))
            .collect()
    };
    let mut none = BTreeMap::new();
    if let Some(class) = judge.none() {
        for kind in KINDS {
            let mut right = 0.0;
            let mut left = per_domain;
            while left > 0 {
                let n = left.min(BATCH);
                let plan: Vec<_> = (0..n).map(|_| (kind, stream.next_u64())).collect();
                let made = Nones::new(scenes, feed.size).draw(&plan, feed.jitter);
                let side = feed.size as usize;
                let pixels = Tensor::from_vec(made, (n, 3, side, side), device)?;
                let logits = judge.forward(&pixels)?.swap_remove(0);
                right += accuracy(&logits, &vec![class as u32; n])? * n as f64;
                left -= n;
            }
            let share = right / per_domain.max(1) as f64;
            none.insert(kind.name().to_owned(), share);
        }
    }
    let domain_names = factors.first().map_or(&[][..], |factor| &factor.classes);
    Ok(Scores {
        all: named(&right),
        source: named(&right[..1.min(right.len())]),
        domains: domain_names
            .iter()
            .zip(&right)
            .map(|(name, row)| (name.clone(), share(std::slice::from_ref(row), 0)))
            .collect(),
        none,
    })
}

/// Mean cross entropy of the domain plus that of the other factors' mean.
///
/// # Errors
///
/// Classes that do not fit the logits.
pub fn loss(logits: &[Tensor], classes: &[Vec<u32>]) -> Result<Tensor> {
    let mut parts = Vec::with_capacity(logits.len());
    for (factor, logits) in logits.iter().enumerate() {
        let target = one_hot(&column(classes, factor)?, logits.dim(1)?, logits.device())?;
        parts.push(cross_entropy(logits, &target)?.mean_all()?);
    }
    let Some((domain, others)) = parts.split_first() else {
        return Err(Error::config("factors of the judge", 0, "at least 1"));
    };
    if others.is_empty() {
        return Ok(domain.clone());
    }
    Ok((domain + Tensor::stack(others, 0)?.mean_all()?)?)
}

/// The classes of one factor.
pub(crate) fn column(classes: &[Vec<u32>], factor: usize) -> Result<Vec<u32>> {
    let pick = |row: &Vec<u32>| row.get(factor).copied();
    let column: Option<Vec<u32>> = classes.iter().map(pick).collect();
    column.ok_or_else(|| {
        Error::config(
            "factors of a scene",
            classes.first().map_or(0, Vec::len),
            format!("more than {factor}"),
        )
    })
}
