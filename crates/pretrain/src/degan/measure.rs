//! How far edits go the way of their pictures, and pictures of them.

use candle_core::DType;
use domex_clip::unit_length;
use domex_data::picture::from_rgb;
use domex_random::Streams;
use domex_stylegan2::Noise;
use domex_train::{Clock, Measures, RunFolder};

use super::DeganJob;
use crate::Result;
use crate::domains::{Table, latents};

/// Mean cosine between edits and the directions of the pictures that show their styles, by the first CLIP model, and
/// `styles{kimg}.png`: a row of base pictures, then for each domain that picture and the edits.
pub(super) fn tick(job: &DeganJob, at: &Clock, folder: &RunFolder) -> Result<Measures> {
    let (guide, device) = (&job.networks.guides[0], job.device());
    let source = (job.config.seed, "source");
    let mut table = Table::new(&job.generator, guide, source, true, device)?;
    let encoder = job.encoder()?;
    let [trained, unseen] = job.styles.measured();
    let mut stream = Streams::new(job.config.seed).stream("measured styles");
    for (row, name) in trained.iter().chain(&unseen).enumerate() {
        let style = job.styles.show(row, &mut stream)?;
        let picture = from_rgb(std::slice::from_ref(&style.picture), DType::F32, device)?;
        let offsets = encoder.forward(&encoder.preprocess(&picture)?)?;
        let edited = job.edited(&table.ws, &offsets, job.multiplier(at))?;
        let before = match style.latent {
            Some(z) => {
                let ws = latents(&job.generator, z, device)?;
                let own = job.generator.synthesis().forward(&ws, Noise::Const)?;
                unit_length(&guide.features(&own)?)?
            }
            None => job.own[0].clone(),
        };
        let way = (unit_length(&guide.features(&picture)?)? - before)?.detach();
        table.row(name, Some(&style.picture), &edited, &way)?;
    }
    let name = format!("styles{}.png", at.stamp(job.config.learning.batch));
    table.finish(trained.len(), &folder.file(&name))
}
