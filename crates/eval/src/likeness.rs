//! How near a generator's samples are to a set of pictures, by the features of a network: for any model, with no judge.
//!
//! - all that [`Comparison`] has: Fréchet distance and what it would be with more samples, kernel distance, precision and recall,
//!   density and coverage, with warnings of what few pictures do to them;
//! - the Fréchet distance of two disjoint parts of the set, which nobody can be expected to go below;
//! - on Inception's features the Inception score, on CLIP's CLIP-MMD;
//! - diversity: the mean perceptual distance between samples, over that between pictures of the set.
//!
//! Only figures of the same network and of equal numbers of pictures are to be compared.

use std::collections::HashSet;

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_lpips::Lpips;
use domex_metrics::{
    Comparison, Gaussian, InceptionScore, Moments, SPLITS, Warning, cmmd, frechet, inception_score,
    unit_rows,
};
use domex_random::{Stream, Streams};
use image::RgbImage;
use serde::Serialize;

use crate::samples::Sampler;
use crate::{Error, FeatureCache, Features, Result, Subject};

/// Pictures at once.
const BATCH: usize = 32;

/// What looks at pictures.
#[derive(Debug, Clone, Copy)]
pub struct Networks<'a> {
    /// Says how different two pictures look.
    pub perceptual: &'a Lpips,
    /// On whose features sets are compared.
    pub features: &'a Features,
    /// Where the set's features are kept, if they are.
    pub cache: Option<&'a FeatureCache>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likeness {
    /// What the set is, in words.
    pub set: String,
    /// On whose features sets were compared: `perceptual`, `inception`, `dinov2` or `clip`.
    pub network: &'static str,
    /// The figures of samples and pictures.
    #[serde(flatten)]
    pub comparison: Comparison,
    /// Fréchet distance of as many other pictures of the set; `None` where the set has no others.
    pub frechet_of_set: Option<f64>,
    /// The samples' Inception score; `None` on other features.
    pub inception_score: Option<InceptionScore>,
    /// CLIP-MMD of samples and pictures; `None` on other features.
    pub cmmd: Option<f64>,
    /// Mean perceptual distance between samples over that between pictures.
    pub diversity: f64,
}

/// Measures a model on `count` samples against at most as many pictures of `set`, drawn at random. `done` is told how
/// many pictures were looked at, of at most three times as many.
///
/// # Errors
///
/// Fewer than two pictures, pictures or labels that are not of the model's size, or ones that cannot be read.
pub fn likeness(
    subject: Subject<'_>,
    networks: Networks<'_>,
    set: &dyn PictureSource,
    count: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Likeness> {
    let generator = subject.generator;
    let (size, labels) = (generator.resolution(), generator.label_dim());
    check(set, size, labels, count)?;
    let device = generator.device().clone();
    let streams = Streams::new(seed);
    let mut stream = streams.stream("pictures of the set");
    let chosen = choose(&mut stream, set.len(), 2 * count);
    let (first, others) = chosen.split_at(chosen.len().min(count));
    let mut look = |indices: &[u64]| {
        Seen::of(networks, indices.len(), &mut done, |at| {
            let (pictures, _) = source::batch(set, &indices[at])?;
            let x = picture::from_rgb(&pictures, DType::F32, &device)?;
            Ok((x, Some(pictures)))
        })
    };
    let real = look(first)?;
    // A handful says nothing of the rest.
    let other = match others.len() >= first.len() {
        true => Some(look(others)?),
        false => None,
    };
    let mut sampler = Sampler::new(subject, &streams)?;
    let fake = Seen::of(networks, count, &mut done, |at| {
        let c = match labels {
            0 => None,
            _ => Some(label_batch(set, &chosen, at.clone(), &device)?),
        };
        Ok((sampler.draw(at.len(), c.as_ref())?, None))
    })?;
    let (samples, pictures) = (fake.features()?, real.features()?);
    let mut comparison = Comparison::new(&samples, &pictures, &streams)?;
    let mut score = |inception: &domex_inception::Inception| -> Result<InceptionScore> {
        let splits = SPLITS.min(count);
        comparison
            .warnings
            .extend(Warning::of_parts(count / splits));
        let probabilities = inception.probabilities(&samples)?;
        Ok(inception_score(&probabilities, splits)?)
    };
    let inception_score = match networks.features {
        Features::Inception(inception) => Some(score(inception)?),
        _ => None,
    };
    let of_set = |other: Seen| -> Result<f64> {
        Ok(frechet(
            &moments(&other.features()?)?,
            &moments(&pictures)?,
        )?)
    };
    Ok(Likeness {
        set: set.describe(),
        network: networks.features.name(),
        comparison,
        frechet_of_set: other.map(of_set).transpose()?,
        inception_score,
        cmmd: match networks.features {
            Features::Clip(_) => {
                let (samples, pictures) = (unit_rows(&samples)?, unit_rows(&pictures)?);
                Some(cmmd(&samples, &pictures, Gaussian::default())?)
            }
            _ => None,
        },
        diversity: fake.distance() / real.distance().max(f64::MIN_POSITIVE),
    })
}

pub(crate) fn check(
    set: &dyn PictureSource,
    size: usize,
    labels: usize,
    count: usize,
) -> Result<()> {
    let found = set.resolution() as usize;
    if found != size {
        let expected = format!("{size} × {size}, as the model's");
        let found = format!("{found} × {found}");
        return Err(Error::config("size of the set's pictures", found, expected));
    }
    if labels > 0 && set.label_dim() != labels {
        let expected = format!("{labels}, as the model's");
        return Err(Error::config(
            "size of the labels",
            set.label_dim(),
            expected,
        ));
    }
    let pictures = count.min(usize::try_from(set.len()).unwrap_or(usize::MAX));
    if pictures < 2 {
        return Err(Error::config(
            "pictures to measure on",
            pictures,
            "at least 2",
        ));
    }
    Ok(())
}

/// Up to `n` different numbers below `len`, at random.
fn choose(stream: &mut Stream, len: u64, n: usize) -> Vec<u64> {
    if len <= 4 * n as u64 {
        let all = stream.permutation(len as usize).into_iter();
        return all.take(n).map(|index| index as u64).collect();
    }
    let mut seen = HashSet::new();
    let draws = std::iter::repeat_with(|| stream.next_u64() % len);
    draws.filter(|index| seen.insert(*index)).take(n).collect()
}

/// Labels `[n, c]` of pictures of the set, in turns.
pub(crate) fn label_batch(
    set: &dyn PictureSource,
    chosen: &[u64],
    at: std::ops::Range<usize>,
    device: &Device,
) -> Result<Tensor> {
    let n = at.len();
    let mut values = Vec::with_capacity(n * set.label_dim());
    for index in at {
        values.extend(set.label(chosen[index % chosen.len()])?);
    }
    Ok(Tensor::from_vec(values, (n, set.label_dim()), device)?)
}

/// Pictures as a tensor, and as they were read where they come from the set.
type Batch = (Tensor, Option<Vec<RgbImage>>);

fn moments(features: &Tensor) -> Result<Moments> {
    let mut moments = Moments::new(features.dim(1)?);
    moments.add(features)?;
    Ok(moments)
}

/// What a set of pictures looks like to the networks.
struct Seen {
    features: Vec<Tensor>,
    /// Sum and number of distances between neighbours.
    apart: (f64, usize),
}

impl Seen {
    fn of(
        networks: Networks<'_>,
        pictures: usize,
        done: &mut dyn FnMut(usize),
        mut make: impl FnMut(std::ops::Range<usize>) -> Result<Batch>,
    ) -> Result<Self> {
        let mut seen: Option<Self> = None;
        for start in (0..pictures).step_by(BATCH) {
            let (x, read) = make(start..pictures.min(start + BATCH))?;
            let compute = || networks.features.of(networks.perceptual, &x);
            let features = match (networks.cache, read) {
                (Some(cache), Some(read)) => cache.features(&read, compute)?,
                _ => compute()?,
            };
            let seen = seen.get_or_insert(Self {
                features: Vec::new(),
                apart: (0.0, 0),
            });
            seen.features.push(features);
            let n = x.dim(0)?;
            if n > 1 {
                let (a, b) = (x.narrow(0, 0, n - 1)?, x.narrow(0, 1, n - 1)?);
                let distance = networks.perceptual.distance(&a, &b)?.to_dtype(DType::F64)?;
                seen.apart.0 += distance.sum_all()?.to_scalar::<f64>()?;
                seen.apart.1 += n - 1;
            }
            done(n);
        }
        seen.ok_or_else(|| Error::config("pictures to measure on", 0, "at least 2"))
    }

    /// All features `[n, d]`.
    fn features(&self) -> Result<Tensor> {
        Ok(Tensor::cat(&self.features, 0)?)
    }

    fn distance(&self) -> f64 {
        self.apart.0 / self.apart.1.max(1) as f64
    }
}
