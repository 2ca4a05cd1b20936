//! What contrastive models make of photographs, and what a judge says of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_clip::Bundle;
use domex_data::{grid::Grid, picture};
use domex_judge::Judge;
use domex_nada::{Guide, Nada, Task};
use domex_random::Streams;
use image::RgbImage;
use serde::Serialize;

use super::World;
use crate::Result;
use crate::clip::{Steer, steer};
use crate::feed::Feed;
use crate::jitter::Jitter;
use crate::losses::{accuracy, log_softmax};
use crate::scenes::Scenes;

/// Pictures of each domain that are drawn into the grid.
const SHOWN: usize = 4;

/// What became of the pictures.
#[derive(Debug, Clone, Serialize)]
pub struct Steering {
    /// Photographs that were steered towards each domain.
    pub pictures: usize,
    /// For each domain the share of pictures that the judge takes for it.
    pub reached: BTreeMap<String, f64>,
    /// The mean of the judge's probabilities of it.
    pub believed: BTreeMap<String, f64>,
    /// The mean of `reached`.
    pub mean: f64,
    /// Which domain the judge saw most, where it was not the target.
    pub seen: BTreeMap<String, String>,
}

/// Steers `n` photographs towards each of `targets` (all other domains, if empty), and asks `judge`.
/// Also draws a grid: a row for each target, photographs on the left.
///
/// # Errors
///
/// Models of another world.
pub fn steering(
    world: &World,
    models: Vec<Bundle>,
    judge: &Judge,
    n: usize,
    how: &Steer,
    targets: &[usize],
    seed: u64,
) -> Result<(Steering, RgbImage)> {
    let device = Device::Cpu;
    let names = world
        .factors()
        .first()
        .map_or(&[][..], |domain| &domain.classes);
    let feed = Feed {
        size: 64,
        source_share: 1.0,
        jitter: Jitter::NONE,
    };
    let streams = Streams::new(seed);
    let mut stream = streams.stream("steering");
    let photos = feed
        .of_domain(world, 0, n.max(1), &mut stream, &device)?
        .pixels;
    let guides = models
        .into_iter()
        .map(|model| Guide::new("guide", model.clip, Arc::new(model.tokenizer)));
    let nada = Nada::new(guides.collect(), how.nada)?;
    let plainest = |domain| world.phrases(domain).swap_remove(0);
    let tasks = (1..world.domains()).map(|target| Task::texts(plainest(0), plainest(target)));
    let tasks = nada.prepare(&tasks.collect::<Vec<_>>(), None)?;

    let all: Vec<usize> = (1..world.domains()).collect();
    let targets = if targets.is_empty() { &all } else { targets };
    let mut report = Steering {
        pictures: n.max(1),
        reached: BTreeMap::new(),
        believed: BTreeMap::new(),
        mean: 0.0,
        seen: BTreeMap::new(),
    };
    let mut shown = Vec::new();
    for &target in targets {
        let name = &names[target];
        // One for each: which other targets there are changes nothing.
        let mut stream = streams.stream(&format!("steering towards {name}"));
        let moved = steer(&nada, &tasks, target - 1, &photos, how, &mut stream)?;
        let logits = judge.forward(&moved)?.swap_remove(0);
        let reached = accuracy(&logits, &vec![target as u32; n.max(1)])?;
        let believed = log_softmax(&logits)?
            .exp()?
            .narrow(1, target, 1)?
            .mean_all()?
            .to_scalar::<f32>()?;
        report.reached.insert(name.clone(), reached);
        report.believed.insert(name.clone(), f64::from(believed));
        if reached < 0.5 {
            report
                .seen
                .insert(name.clone(), names[most(&logits)? as usize].clone());
        }
        for at in 0..SHOWN.min(n.max(1)) {
            shown.extend(picture::to_rgb(&photos.narrow(0, at, 1)?)?);
            shown.extend(picture::to_rgb(&moved.narrow(0, at, 1)?)?);
        }
    }
    report.mean = report.reached.values().sum::<f64>() / report.reached.len().max(1) as f64;
    let rows = targets
        .iter()
        .map(|&target| format!("{} {:.2}", names[target], report.reached[&names[target]]));
    let grid = Grid::new(2 * SHOWN.min(n.max(1)))
        .row_labels(rows)
        .draw(&shown)?;
    Ok((report, grid))
}

/// The class that is the largest of most rows.
fn most(logits: &Tensor) -> Result<u32> {
    let mut counts = BTreeMap::new();
    for class in logits.argmax(1)?.to_vec1::<u32>()? {
        *counts.entry(class).or_insert(0) += 1;
    }
    Ok(counts
        .into_iter()
        .max_by_key(|&(_, count)| count)
        .map_or(0, |(class, _)| class))
}
