//! Diversity of a generator that learnt from a handful of pictures, among the samples that are nearest to one of them
//! ([`domex_metrics::cluster_diversity`]): one that copies its pictures has none, however different they are.

use candle_core::{DType, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_lpips::{Features, Lpips};
use domex_metrics::{ClusterDiversity, MEMBERS, cluster_diversity};
use domex_random::Streams;
use image::RgbImage;

use crate::likeness::{check, label_batch};
use crate::samples::Sampler;
use crate::{Error, Result, Subject};

/// Pictures at once.
const BATCH: usize = 8;

/// Pictures of a set that [`clusters`] takes at most. What the perceptual network sees in all of them is held in memory.
pub const MOST_TO_CLUSTER_BY: u64 = 100;

/// Of `count` samples, by perceptual distance, around the pictures of `set`. `done` is told how many of them were laid to one.
///
/// # Errors
///
/// A set of more than [`MOST_TO_CLUSTER_BY`] pictures, as of [`likeness()`](crate::likeness()), or no two samples near one picture.
pub fn clusters(
    subject: Subject<'_>,
    perceptual: &Lpips,
    set: &dyn PictureSource,
    count: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<ClusterDiversity> {
    let generator = subject.generator;
    let labels = generator.label_dim();
    check(set, generator.resolution(), labels, count)?;
    if set.len() > MOST_TO_CLUSTER_BY {
        let expected = format!("at most {MOST_TO_CLUSTER_BY}");
        return Err(Error::config("pictures to cluster by", set.len(), expected));
    }
    let device = generator.device();
    let see = |pictures: &[RgbImage]| -> Result<Features> {
        let x = picture::from_rgb(pictures, DType::F32, device)?;
        Ok(perceptual.features(&x)?)
    };
    let all: Vec<u64> = (0..set.len()).collect();
    let training = all
        .chunks(BATCH)
        .map(|some| see(&source::batch(set, some)?.0));
    let training = training.collect::<Result<Vec<Features>>>()?;
    let mut sampler = Sampler::new(subject, &Streams::new(seed))?;
    let mut samples = Vec::with_capacity(count);
    let mut distances = Vec::with_capacity(count * all.len());
    for start in (0..count).step_by(BATCH) {
        let at = start..count.min(start + BATCH);
        let c = match labels {
            0 => None,
            _ => Some(label_batch(set, &all, at.clone(), device)?),
        };
        let made = sampler.draw(at.len(), c.as_ref())?;
        let seen = perceptual.features(&made)?;
        for i in 0..at.len() {
            for (pictures, some) in training.iter().zip(all.chunks(BATCH)) {
                let one = Tensor::full(i as u32, some.len(), device)?;
                let distance = perceptual.between(&seen.rows(&one)?, pictures)?;
                distances.extend(distance.to_dtype(DType::F64)?.to_vec1::<f64>()?);
            }
        }
        samples.extend(picture::to_rgb(&made)?);
        done(at.len());
    }
    let distances = Tensor::from_vec(distances, (count, all.len()), device)?;
    cluster_diversity(&distances, MEMBERS, |members| {
        let members = members
            .iter()
            .map(|&i| see(std::slice::from_ref(&samples[i])));
        let members = members.collect::<Result<Vec<Features>>>()?;
        let mut found = Vec::new();
        for (i, a) in members.iter().enumerate() {
            for b in &members[i + 1..] {
                let distance = perceptual.between(a, b)?.to_dtype(DType::F64)?;
                found.extend(distance.to_vec1::<f64>()?);
            }
        }
        Ok(found)
    })
}
