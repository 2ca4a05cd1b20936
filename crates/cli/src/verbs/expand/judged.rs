//! What the shipped judge says of an expanded generator of portraits, for its report.

use candle_core::DType;
use domex_eval::{Evaluators, outcomes};
use domex_expand::report::Section;
use domex_judge::Judge;
use domex_lpips::Lpips;

use super::inputs;
use super::settings::Settings;
use crate::assets;
use crate::context::Context;
use crate::kinds::Model;
use crate::verbs::eval::{HEADS, rows};

/// Latents it looks at: enough for a percent or two. Fewer where domains are so many that their pictures would be more than
/// those of some thousands of steps.
const PICTURES: usize = 64;
const FEWEST: usize = 8;
const PICTURES_IN_ALL: usize = 4096;

const ABOUT: &str = "A classifier that no training loss saw looks at the same latents on the base subspace and in every domain. \
    Reached: how often it names the domain; factors kept: how often it sees the same pose, hair, glasses and so on as in \
    the base; diversity: distance between neighbours, over that in the base.";

/// The section, where the run is of the portrait world and its judge is there.
pub fn section(
    context: &Context,
    settings: &Settings,
    expanded: &Model,
    source: &Model,
) -> domex_error::Result<Option<Section>> {
    if settings.data.as_deref() != Some(inputs::PORTRAITS) {
        return Ok(None);
    }
    let (Some(judge), Some(perceptual)) = (
        assets::file(assets::JUDGE)?,
        assets::file(assets::PERCEPTUAL)?,
    ) else {
        return Ok(None);
    };
    let judge = Judge::load(judge, &context.device)?;
    if expanded.generator().resolution() != judge.config().size {
        return Ok(None);
    }
    let perceptual = Lpips::load(&perceptual, DType::F32, &context.device)?;
    let by = Evaluators {
        judge: &judge,
        perceptual: &perceptual,
    };
    let domains = expanded
        .expansion()
        .map_or(1, |expansion| expansion.layout.domains().len());
    let pictures = (PICTURES_IN_ALL / domains.max(1)).clamp(FEWEST, PICTURES);
    let progress = context.progress("judging", pictures);
    let source = Some(source.generator());
    let found = outcomes(
        expanded.subject(settings.config.class),
        source,
        by,
        pictures,
        settings.seed,
        |n| {
            progress.advance(n);
        },
    )?;
    Ok(Some(Section {
        title: "What a judge sees".to_owned(),
        about: format!("{ABOUT} By {pictures} latents; `domex eval` takes more."),
        heads: HEADS.map(str::to_owned).to_vec(),
        rows: rows(&found).into_iter().map(Vec::from).collect(),
        json: serde_json::to_value(&found)?,
    }))
}
