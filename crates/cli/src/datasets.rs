//! Opening a data set with a bar, and with what an earlier look at it saw.

use std::path::Path;
use std::sync::OnceLock;

use domex_data::source::{self, Opened, Options, Progress, Watch};

use crate::context::Context;
use crate::models;

/// Opens a folder or a zip file. What was seen of its pictures is kept in the cache folder, by a dry run too: to decode
/// 70 000 pictures again takes minutes.
pub fn open(context: &Context, path: &str, options: Options) -> domex_error::Result<Opened> {
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
    let cache = models::cache_folder().ok();
    let cache = cache.map(|folder| folder.join("sets"));
    let watch = Watch {
        progress: Some(&progress),
        cache: cache.as_deref(),
    };
    Ok(source::open_watched(Path::new(path), options, watch)?)
}
