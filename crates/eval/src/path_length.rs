//! Perceptual path length of a generator in W, at the ends of paths (Karras et al. 2020, arXiv 1912.04958; `ppl2_wend` of the
//! stylegan2-ada family, which takes it with LPIPS on VGG16, of 50 000 paths, with other noise for each batch where here it is
//! that which is stored).

use candle_core::{DType, Tensor};
use domex_lpips::Lpips;
use domex_metrics::{EPSILON, PathLength, Space, Trimmed, trimmed_mean};
use domex_random::Streams;

use crate::samples::Sampler;
use crate::{Error, Result, Subject};

/// Paths at once.
const BATCH: usize = 8;

/// The path length of a model over `paths` paths, by the perceptual network given, on the base subspace where the model was
/// expanded. `done` is told how many paths were walked.
///
/// # Errors
///
/// No path, a model that takes labels, or pictures too small for the perceptual network.
pub fn path_length(
    subject: Subject<'_>,
    perceptual: &Lpips,
    paths: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Trimmed> {
    let generator = subject.generator;
    if generator.label_dim() > 0 {
        let expected = "0: paths are not defined between labels";
        return Err(Error::config(
            "size of the model's labels",
            generator.label_dim(),
            expected,
        ));
    }
    let path = PathLength {
        space: Space::W,
        epsilon: EPSILON,
        crop: false,
    };
    let resolution = generator.resolution();
    let mut sampler = Sampler::new(subject, &Streams::new(seed))?;
    let mut lengths = Vec::with_capacity(paths);
    for start in (0..paths).step_by(BATCH) {
        let n = BATCH.min(paths - start);
        let z = sampler.z(2 * n)?;
        let ends = Tensor::zeros(n, z.dtype(), z.device())?;
        let w = path.step(&z, &ends, |z| sampler.latents(z, None))?;
        let pictures = path.view(&sampler.raw(&w)?, resolution)?;
        let (here, there) = (pictures.narrow(0, 0, n)?, pictures.narrow(0, n, n)?);
        let distances = perceptual.distance(&here, &there)?.to_dtype(DType::F64)?;
        lengths.extend(path.of_distances(distances.to_vec1()?));
        done(n);
    }
    Ok(trimmed_mean(&lengths)?)
}
