//! How near made pictures come to renderings, and what of them they keep.

use std::fmt;

use candle_core::Tensor;
use domex_error::Result;
use domex_eval::Evaluators;
use domex_invert::Likeness;
use domex_pretrain::{portraits::World, scenes::Scenes};
use domex_random::Streams;
use image::RgbImage;
use serde::Serialize;

/// Photographs that no training saw.
pub fn fresh(count: usize, side: u32, seed: u64) -> Vec<RgbImage> {
    let world = World::new();
    let mut stream = Streams::new(seed).stream("renderings to invert");
    let rendered = (0..count).map(|_| world.scene(0, stream.next_u64(), side).picture);
    rendered.collect()
}

/// What was found by one way.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Means over the pictures.
    distance: f64,
    psnr: f64,
    /// The share of the judge's answers, over all factors, that are the same of the picture and of what is found.
    kept: f64,
    /// For each picture.
    seconds: f64,
}

impl Row {
    /// Of `made` pictures beside `wanted` ones `[n, 3, h, w]`.
    pub fn between(
        made: &Tensor,
        wanted: &Tensor,
        by: Evaluators<'_>,
        seconds: f64,
    ) -> Result<Self> {
        let likeness = Likeness::between(by.perceptual, made, wanted)?;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let answers = |pictures: &Tensor| -> Result<Vec<u32>> {
            let logits = by.judge.forward(&pictures.clamp(-1.0, 1.0)?)?;
            let best = logits.iter().map(|factor| factor.argmax(1)?.to_vec1());
            Ok(best.collect::<candle_core::Result<Vec<_>>>()?.concat())
        };
        let (made, wanted) = (answers(made)?, answers(wanted)?);
        let same = made.iter().zip(&wanted).filter(|(a, b)| a == b).count();
        Ok(Self {
            distance: mean(&likeness.distance),
            psnr: mean(&likeness.psnr),
            kept: same as f64 / wanted.len().max(1) as f64,
            seconds,
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            distance,
            psnr,
            kept,
            seconds,
        } = self;
        write!(
            f,
            "distance {distance:.4}  {psnr:.1} dB  kept {kept:.3}  {seconds:.2} s a picture"
        )
    }
}
