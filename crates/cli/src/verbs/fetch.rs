//! `domex fetch`: published weights, verified and cached, and made into what the other verbs read.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use domex_checkpoint::container::Overwrite;
use domex_hub::{CONTAINER, Cache, Convert, Entry, Fetched, Fetcher, Manifest, Source, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::convert;
use crate::context::Context;
use crate::paths::text;
use crate::stdout;

/// Flags of `domex fetch`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex fetch --list\n  domex fetch ViT-B/32 lpips-vgg\n  domex fetch stylegan2-ffhq-1024\n  domex generate --model stylegan2-ffhq-1024 --seeds 85,265,297 --trunc 0.7\n\nA name that is fetched here is a name that --model, --clip, --perceptual and --teacher take; yunet is what --crop face needs, and inception-fid and dinov2-vitl14 what eval --features takes. The licences are the publishers', and some allow research only: --list shows them. A download that was stopped is resumed by the same command. HF_TOKEN gives access to models of the Hub that need consent."
)]
pub struct Fetch {
    /// What to fetch; without any name, what there is is listed
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// List what can be fetched, and what is here already
    #[arg(long, conflicts_with = "names")]
    pub list: bool,
    /// Use only what is cached
    #[arg(long)]
    pub offline: bool,
    /// The cache [default: $DOMEX_CACHE, $XDG_CACHE_HOME/domex or ~/.cache/domex]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// A list of models of your own, in place of the program's
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Leave downloads as they are
    #[arg(long)]
    pub no_convert: bool,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Fetch) -> domex_error::Result<()> {
    let manifest = match &args.manifest {
        Some(path) => Manifest::read(path)?,
        None => Manifest::builtin()?,
    };
    let cache = match &args.dir {
        Some(folder) => Cache::at(folder),
        None => Cache::from_env()?,
    };
    if args.list || args.names.is_empty() {
        return list(context, &manifest, &cache);
    }
    // All names are checked before the first download.
    let wanted = args.names.iter().map(|name| manifest.find(name));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let bar = Bar::new(context);
    let one = One {
        context,
        manifest: &manifest,
        cache: &cache,
        fetcher: Fetcher::new(&cache, args.offline, &bar),
        convert: !args.no_convert,
    };
    let models = wanted.into_iter().map(|entry| one.fetch(entry));
    let models = models.collect::<domex_error::Result<Vec<_>>>()?;
    context.result(&json!({ "models": models }));
    Ok(())
}

fn list(context: &Context, manifest: &Manifest, cache: &Cache) -> domex_error::Result<()> {
    let mut models = Vec::new();
    for entry in manifest.entries() {
        let folder = cache.folder(&entry.name);
        let here = match entry.source()? {
            Source::Folder { .. } => cache.find(entry)?.map(|_| "cached"),
            _ if folder.join(entry.file_name()?).is_file() => Some("cached"),
            _ => folder.join(CONTAINER).is_file().then_some("converted"),
        };
        if context.json {
            models.push(json!({
                "name": entry.name, "alias": entry.alias, "about": entry.about, "kind": entry.kind, "license": entry.license,
                "place": entry.place()?, "sha256": entry.sha256, "size": entry.size, "here": here,
                "file": cache.find(entry)?.map(text),
            }));
            continue;
        }
        let size = entry.size.map_or("size unknown".to_owned(), human_size);
        let hash = match (&entry.sha256, &entry.sha256_prefix) {
            (Some(_), _) => "sha256 known",
            (None, Some(_)) => "sha256 prefix known",
            (None, None) => "sha256 pinned on first use",
        };
        let alias = entry.alias.as_ref();
        let alias = alias.map_or(String::new(), |alias| format!(" (or {alias})"));
        stdout::line(&format!(
            "{:<28} {:<16} {:<9} {size:>12}  {hash}",
            entry.name,
            entry.kind,
            here.unwrap_or("not here")
        ));
        stdout::line(&format!("    {}{alias}", entry.about));
        stdout::line(&format!("    {}  [{}]", entry.place()?, entry.license));
    }
    context.result(&json!({ "models": models }));
    Ok(())
}

/// What fetching one model needs.
struct One<'a> {
    context: &'a Context,
    manifest: &'a Manifest,
    cache: &'a Cache,
    fetcher: Fetcher<'a>,
    convert: bool,
}

impl One<'_> {
    /// Fetches a file, and the backbone of one that has one, then makes of them what the other verbs read.
    fn fetch(&self, entry: &Entry) -> domex_error::Result<Value> {
        let Fetched { path, cached, .. } = self.get(entry)?;
        let mut result = json!({ "name": entry.name, "file": text(&path), "cached": cached });
        let container = self.cache.folder(&entry.name).join(CONTAINER);
        match (entry.convert, &entry.backbone) {
            _ if !self.convert => return Ok(result),
            (Convert::None, _) => return Ok(result),
            (Convert::Lpips, Some(backbone)) => {
                let backbone = self.get(self.manifest.find(backbone)?)?.path;
                if !(is_newer(&container, &path) && is_newer(&container, &backbone)) {
                    convert::join(&path, &backbone, &container, Overwrite::Replace)?;
                }
            }
            (Convert::Generator | Convert::Lpips, _) => {
                if !is_newer(&container, &path) {
                    convert::to_container(&path, &container)?;
                }
            }
        }
        self.context.say(&format!(
            "{}: {} (converted)",
            entry.name,
            container.display()
        ));
        result["model"] = text(&container).into();
        Ok(result)
    }

    fn get(&self, entry: &Entry) -> domex_error::Result<Fetched> {
        let fetched = self.fetcher.get(entry)?;
        let (name, context) = (&entry.name, self.context);
        for (name, hash) in &fetched.pinned {
            context.say(&format!("{name}: sha256 {hash}"));
        }
        if !fetched.pinned.is_empty() {
            context.say(&format!(
                "    no hash is publicly stated: trusted on first use and pinned in {}",
                self.cache.lock().display()
            ));
        }
        let how = match fetched.cached {
            true => "cached, verified",
            false => "fetched, verified",
        };
        context.say(&format!("{name}: {} ({how})", fetched.path.display()));
        Ok(fetched)
    }
}

/// Whether `made` exists and is not older than what it is made from.
fn is_newer(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified());
    matches!((time(made), time(from)), (Ok(made), Ok(from)) if made >= from)
}

/// The bar of a download, on a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(context: &Context) -> Self {
        let target = match context.has_bars() && std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let template = "{msg} {bar:32} {bytes}/{total_bytes}  {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self(bar)
    }
}

impl Watch for Bar {
    fn begin(&self, name: &str, start: u64, total: Option<u64>) {
        self.0.reset();
        self.0.set_message(name.to_owned());
        self.0.set_length(total.unwrap_or(0));
        self.0.set_position(start);
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    fn end(&self) {
        self.0.finish_and_clear();
    }

    fn notice(&self, text: &str) {
        self.0.suspend(|| tracing::warn!("{text}"));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn human_size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}
