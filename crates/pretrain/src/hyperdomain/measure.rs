//! How far edits go the way of their texts, and pictures of them.

use candle_core::IndexOp;
use domex_train::{Clock, Measures, RunFolder};

use super::HyperdomainJob;
use crate::Result;
use crate::domains::Table;

/// Mean cosine between edits and the directions of their texts, by the first CLIP model, and `domains{kimg}.png`: a row of base
/// pictures, then a row for each text.
pub(super) fn tick(job: &HyperdomainJob, at: &Clock, folder: &RunFolder) -> Result<Measures> {
    let (config, embedded) = (&job.config, &job.embedded[0]);
    let source = (config.seed, config.source.as_str());
    let mut table = Table::new(
        &job.generator,
        &job.networks.guides[0],
        source,
        false,
        job.device(),
    )?;
    let network = job.network()?;
    let names = config.texts.iter().chain(&config.unseen);
    for (row, name) in names.enumerate() {
        let target = embedded.targets.i(row..=row)?;
        let edited = job.edited(&table.ws, &network.forward(&target)?)?;
        table.row(name, None, &edited, &(target - &embedded.source)?)?;
    }
    let name = format!("domains{}.png", at.stamp(config.learning.batch));
    table.finish(config.texts.len(), &folder.file(&name))
}
