//! How far edits go the way of their texts, and pictures of them.

use candle_core::{IndexOp, Tensor};
use domex_clip::unit_length;
use domex_data::grid::Grid;
use domex_data::picture::{to_rgb, write_png};
use domex_nada::direction::{Guard, cosine};
use domex_random::Streams;
use domex_stylegan2::{Noise, Truncation};
use domex_train::{Clock, Measures, RunFolder};

use super::HyperdomainJob;
use crate::Result;

/// Latents that every text is measured on.
const LATENTS: usize = 4;

/// Mean cosine between edits and the directions of their texts, by the first CLIP model, and `domains{kimg}.png`: a row of base
/// pictures, then a row for each text.
pub(super) fn tick(job: &HyperdomainJob, at: &Clock, folder: &RunFolder) -> Result<Measures> {
    let mut stream = Streams::new(job.config.seed).stream("measured latents");
    let mut z = vec![0f32; LATENTS * job.generator.config().z_dim()];
    stream.fill_normal(&mut z);
    let z = Tensor::from_vec(z, (LATENTS, ()), job.device())?;
    let ws = job.generator.latents(&z, None, Truncation::NONE)?;
    let base = job.generator.synthesis().forward(&ws, Noise::Const)?;
    let (guide, embedded) = (&job.guides[0], &job.embedded[0]);
    let seen = unit_length(&guide.features(&base)?)?;
    let network = job.network()?;
    let mut pictures = to_rgb(&base)?;
    let mut captions = vec![job.config.source.clone()];
    let mut cosines = Vec::new();
    let names = job.config.texts.iter().chain(&job.config.unseen);
    for (row, name) in names.enumerate() {
        let target = embedded.targets.i(row..=row)?;
        let domain = network.forward(&target)?;
        let edited = job.edited(&ws, &domain)?.detach();
        let step = (unit_length(&guide.features(&edited)?)? - &seen)?;
        let way = (target - &embedded.source)?;
        let cosine = cosine(&step, &way, Guard::default())?.mean_all()?;
        cosines.push(f64::from(cosine.to_scalar::<f32>()?));
        pictures.extend(to_rgb(&edited)?);
        captions.push(name.clone());
    }
    let captions = captions.into_iter().flat_map(|name| {
        let rest = std::iter::repeat_n(String::new(), LATENTS - 1);
        std::iter::once(name).chain(rest)
    });
    let grid = Grid::new(LATENTS).captions(captions).draw(&pictures)?;
    let name = format!("domains{}.png", at.stamp(job.config.learning.batch));
    write_png(&folder.file(&name), &grid)?;
    let (trained, unseen) = cosines.split_at(job.config.texts.len());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let mut values = vec![("direction/trained".to_owned(), mean(trained))];
    if !unseen.is_empty() {
        values.push(("direction/unseen".to_owned(), mean(unseen)));
    }
    Ok(Measures {
        score: Some(1.0 - mean(trained)),
        values,
    })
}
