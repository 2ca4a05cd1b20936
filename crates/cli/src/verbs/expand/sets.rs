//! The folders and zips that new domains are learnt from, and whether they are still those that a run began with.

use std::path::Path;
use std::sync::Arc;

use domex_data::counted;
use domex_data::source::{LabelsFrom, Options};
use domex_error::user_error;
use domex_expand::Sets;

use super::dataset::Fingerprint;
use super::settings::Settings;
use crate::context::Context;
use crate::datasets;
use crate::paths::text;

/// All of them, with pictures of `side` pixels on a side. A new run's settings remember them; those of a resumed run must
/// match them.
pub fn open(
    context: &Context,
    settings: &mut Settings,
    side: usize,
    notices: &mut Vec<String>,
) -> domex_error::Result<Sets> {
    let mut sets = Sets::new();
    for path in settings.paths_of_sets()? {
        if sets.contains_key(&path) {
            continue;
        }
        if !path.exists() {
            return Err(user_error(format!(
                "{}: no such folder or zip file",
                path.display()
            )));
        }
        let options = Options {
            skip_bad: settings.skip_bad,
            mirror: settings.mirror,
            labels: LabelsFrom::Nowhere,
            background: settings.background,
            resize: settings.resize.then_some(u32::try_from(side)?),
        };
        let opened = datasets::open(context, &text(&path), options)?;
        let found = opened.source.resolution() as usize;
        if found != side {
            return Err(user_error(format!(
                "{}: pictures of {found} × {found} pixels, expected {side} × {side} as the generator's; --resize makes them \
                 fit",
                path.display()
            )));
        }
        tell(&path, settings, side, opened.skipped.len(), notices);
        notices.extend(opened.notices);
        let fingerprint = Fingerprint::of(&*opened.source)?;
        if let Some(before) = settings.sets.get(&path) {
            fingerprint.check(&text(&path), before)?;
        }
        settings.sets.insert(path.clone(), fingerprint);
        sets.insert(path, Arc::from(opened.source));
    }
    Ok(sets)
}

fn tell(path: &Path, settings: &Settings, side: usize, left_out: usize, notices: &mut Vec<String>) {
    let path = path.display();
    if settings.resize {
        notices.push(format!(
            "{path}: the square in the middle of every picture is resized to {side} × {side}"
        ));
    }
    if left_out > 0 {
        notices.push(format!(
            "{path}: left out: {} that cannot be used",
            counted(left_out, "picture")
        ));
    }
}
