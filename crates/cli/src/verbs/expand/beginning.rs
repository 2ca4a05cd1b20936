//! What is told before a run begins.

use std::path::Path;
use std::time::Duration;

use domex_distil::Pace;
use domex_expand::{Dimensions, Expand as Job, Placement};
use domex_train::stderr;
use indicatif::HumanDuration;

use super::lines::lines;
use super::settings::Settings;
use crate::assets;
use crate::context::Context;
use crate::kinds::Model;

/// What is known before anything is read or probed.
pub fn tell_model(context: &Context, settings: &Settings, model: &Model) {
    let generator = model.generator();
    let (side, latent) = (generator.resolution(), generator.latent_dim());
    context.say(&format!(
        "model     {}, {side}×{side} pixels, latents of {latent}",
        assets::shown(Path::new(&settings.model)),
    ));
    if settings.config.dimensions == Dimensions::Probed {
        context.say(&format!(
            "probing   {latent} directions for those that change pictures least, 8 pictures each"
        ));
    }
}

/// What a run will do, before its first step.
pub fn tell(
    context: &Context,
    settings: &Settings,
    job: &Job,
    notices: &[String],
    out: &Path,
) -> domex_error::Result<()> {
    let layout = job.layout();
    if settings.config.placement == Placement::Whole {
        for task in &settings.tasks {
            let words = task.kind()?.describe(task);
            context.say(&format!(
                "domain    {}, by the whole generator: {words}",
                task.name()
            ));
        }
    }
    let earlier = layout.domains().len().saturating_sub(settings.tasks.len());
    for (at, domain) in layout.domains().iter().enumerate() {
        let words = match at.checked_sub(earlier).map(|task| &settings.tasks[task]) {
            None => "kept as it is".to_owned(),
            Some(task) => task.kind()?.describe(task),
        };
        context.say(&format!(
            "domain    {} on direction {}, distance {}: {words}",
            domain.name,
            domain.dimension,
            (1000.0 * domain.distance).round() / 1000.0
        ));
    }
    for (what, text) in lines(settings)? {
        context.say(&format!("{what:<9} {text}"));
    }
    for notice in notices {
        context.say(&format!("notice    {notice}"));
    }
    context.say(&format!("folder    {}", out.display()));
    Ok(())
}

/// How long translations will take, by the first of them.
pub fn tell_pace(pace: Pace) {
    let Pace { left, seconds } = pace;
    let rest = Duration::from_secs_f64(left as f64 * seconds);
    stderr::line(&format!(
        "estimate  {left} more translations of {seconds:.2} s: {}",
        HumanDuration(rest)
    ));
}
