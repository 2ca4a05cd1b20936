//! Opening a data set with a bar, and with what an earlier look at it saw.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use domex_data::source::{self, Cutter, Opened, Options, Progress, Watch};

use crate::context::Context;
use crate::models;

/// Opens a folder or a zip file. What was seen of its pictures is kept in the cache folder, by a dry run too: to decode
/// 70 000 pictures again takes minutes.
pub fn open(context: &Context, path: &str, options: Options) -> domex_error::Result<Opened> {
    let cache = models::cache_folder().ok();
    let cache = cache.map(|folder| folder.join("sets"));
    watched(context, cache.as_deref(), |watch| {
        source::open_watched(Path::new(path), options, watch)
    })
}

/// As [`open`], with squares that a cutter cuts. Nothing is kept of the look.
pub fn open_cut(
    context: &Context,
    path: &str,
    options: Options,
    cutter: Arc<dyn Cutter>,
) -> domex_error::Result<Opened> {
    watched(context, None, |watch| {
        source::open_cut(Path::new(path), options, watch, cutter)
    })
}

/// What `open` gives, with a bar meanwhile.
fn watched(
    context: &Context,
    cache: Option<&Path>,
    open: impl FnOnce(Watch<'_>) -> domex_data::Result<Opened>,
) -> domex_error::Result<Opened> {
    let bar = OnceLock::new();
    let progress = |progress| match progress {
        Progress::Begun(total) => {
            bar.get_or_init(|| context.progress("pictures checked", total));
        }
        Progress::Picture => {
            if let Some(bar) = bar.get() {
                bar.advance(1);
            }
        }
    };
    Ok(open(Watch {
        progress: Some(&progress),
        cache,
    })?)
}
