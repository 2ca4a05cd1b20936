//! `fetch`: downloads published weights, verified and cached.
//!
//! What there is stands in `configs/models.toml`. A file is verified by the sha256 given there;
//! where none is publicly stated, the first download is trusted, its hash is printed and pinned in
//! the cache's lock file, and every later download must match. Nothing is fetched without a name.

mod cache;
mod http;
mod hub;
mod lock;
mod manifest;

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
};

use domex_checkpoint::container::Overwrite;
use domex_error::{Result, user_error};
use indicatif::{ProgressBar, ProgressStyle};

use crate::out::say;
use cache::Cache;
use lock::{Lock, Pin};
use manifest::{Convert, Entry, Source};

/// Arguments of `fetch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names from the manifest; without any, they are listed.
    names: Vec<String>,
    /// List what can be fetched, and what is here already.
    #[arg(long)]
    list: bool,
    /// Use only what is cached.
    #[arg(long)]
    offline: bool,
    /// The cache [default: $DOMEX_CACHE, $XDG_CACHE_HOME/domex or ~/.cache/domex].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Another manifest [default: configs/models.toml of the workspace].
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Leave downloads as they are.
    #[arg(long)]
    no_convert: bool,
    /// No progress bars.
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the job.
pub fn run(args: &Args) -> Result<ExitCode> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/models.toml");
    let entries = manifest::read(args.manifest.as_deref().unwrap_or(Path::new(own)))?;
    let cache = Cache::at(args.dir.as_deref())?;
    if args.list || args.names.is_empty() {
        list(&entries, &cache)?;
        return Ok(ExitCode::SUCCESS);
    }
    // All names are checked before the first download.
    let wanted = args
        .names
        .iter()
        .map(|name| find(&entries, name))
        .collect::<Result<Vec<_>>>()?;
    for entry in wanted {
        fetch(entry, &entries, &cache, args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn find<'a>(entries: &'a [Entry], name: &str) -> Result<&'a Entry> {
    entries
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| {
            let known: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
            user_error(format!(
                "no model `{name}` in the manifest; there are: {}",
                known.join(", ")
            ))
        })
}

fn list(entries: &[Entry], cache: &Cache) -> Result<()> {
    for entry in entries {
        let folder = cache.folder(&entry.name);
        let here = if folder.join(entry.file_name()?).is_file() {
            "cached"
        } else if folder.join(cache::CONTAINER).is_file() {
            "converted"
        } else {
            "-"
        };
        let size = entry.size.map_or("size unknown".to_owned(), human_size);
        let hash = match (&entry.sha256, &entry.sha256_prefix) {
            (Some(_), _) => "sha256 known",
            (None, Some(_)) => "sha256 prefix known",
            (None, None) => "sha256 pinned on first use",
        };
        say!(
            "{:<28} {:<10} {:<9} {size:>12}  {hash}",
            entry.name,
            entry.kind,
            here
        );
        say!("    {}", entry.about);
        say!("    {}  [{}]", entry.place()?, entry.license);
    }
    Ok(())
}

/// Fetches a file, and the backbone of one that has one, then makes of them what the program reads.
fn fetch(entry: &Entry, entries: &[Entry], cache: &Cache, args: &Args) -> Result<()> {
    let file = get(entry, cache, args)?;
    let container = cache.folder(&entry.name).join(cache::CONTAINER);
    if args.no_convert {
        return Ok(());
    }
    match (entry.convert, &entry.backbone) {
        (Convert::None, _) => return Ok(()),
        (Convert::Lpips, Some(backbone)) => {
            let backbone = get(find(entries, backbone)?, cache, args)?;
            if is_newer(&container, &file) && is_newer(&container, &backbone) {
                return Ok(());
            }
            crate::convert::join(&file, &backbone, &container, Overwrite::Replace)?;
        }
        (Convert::Stylegan2 | Convert::Lpips, _) => {
            if is_newer(&container, &file) {
                return Ok(());
            }
            crate::convert::to_container(&file, &container)?;
        }
    }
    say!("{}: {} (converted)", entry.name, container.display());
    Ok(())
}

/// The file of an entry, from the cache or fetched into it, verified.
fn get(entry: &Entry, cache: &Cache, args: &Args) -> Result<PathBuf> {
    let name = &entry.name;
    let place = entry.place()?;
    let folder = cache.prepare(name)?;
    let file = folder.join(entry.file_name()?);
    let mut lock = Lock::read(&cache.lock())?;
    let offline = args.offline || hub::offline();

    // What is here already counts only if it is right.
    if file.is_file() {
        let found = domex_checkpoint::sha256_file(&file)?;
        match verify(entry, &lock, &place, &found) {
            Ok(()) => {
                say!("{name}: {} (cached, verified)", file.display());
                return Ok(file);
            }
            Err(reason) if offline => {
                return Err(user_error(format!("{}: {reason}", file.display())));
            }
            Err(reason) => {
                eprintln!("{}: {reason}; deleted, fetching it again", file.display());
                std::fs::remove_file(&file)?;
            }
        }
    }

    let commit = match entry.source()? {
        Source::Url(url) => {
            if offline {
                return Err(user_error(format!(
                    "{name}: not in the cache ({}), and the network is not to be used",
                    folder.display()
                )));
            }
            from_url(entry, &lock, url, &file, args)?;
            None
        }
        Source::Hub {
            repo,
            revision,
            file: path,
        } => {
            let hub = hub::get(repo, revision, path, offline, args.quiet)?;
            let found = domex_checkpoint::sha256_file(&hub.path)?;
            let stated = hub::stated_sha256(&hub.path).filter(|stated| *stated != found);
            let verdict = match stated {
                Some(stated) => Err(differs(&found, &stated)),
                None => verify(entry, &lock, &place, &found),
            };
            if let Err(reason) = verdict {
                hub::remove(&hub.path);
                return Err(user_error(format!("{place}: {reason}; deleted")));
            }
            cache::link_or_copy(&hub.path, &file)?;
            hub.commit
        }
    };
    let found = domex_checkpoint::sha256_file(&file)?;
    if entry.sha256.is_none() && lock.sha256(name, &place).is_none() {
        say!(
            "{name}: sha256 {found}\n    no hash is publicly stated for this file: trusted on \
             first use and pinned in {}",
            cache.lock().display()
        );
        lock.pin(
            name,
            Pin {
                place,
                sha256: found,
                commit,
            },
        )?;
    }
    say!("{name}: {} (fetched, verified)", file.display());
    Ok(file)
}

/// Downloads beside `file` and moves there what is right. A wrong file that grew from an earlier
/// part is fetched once more from the start: the part may have been of another file.
fn from_url(entry: &Entry, lock: &Lock, url: &str, file: &Path, args: &Args) -> Result<()> {
    let part = file.with_file_name(format!("{}.part", entry.file_name()?));
    loop {
        let resumed = part.is_file();
        let bar = progress(&entry.name, args.quiet);
        http::download(url, &part, entry.size, &bar)?;
        bar.finish_and_clear();
        let found = domex_checkpoint::sha256_file(&part)?;
        match verify(entry, lock, url, &found) {
            Ok(()) => {
                std::fs::rename(&part, file)?;
                http::discard(&part);
                return Ok(());
            }
            Err(reason) => {
                http::discard(&part);
                if !resumed {
                    return Err(user_error(format!("{url}: {reason}; deleted")));
                }
                eprintln!("{url}: {reason}; deleted, fetching it again from the start");
            }
        }
    }
}

/// Compares a hash with the manifest's, else with the pinned one. `Ok` where none is known.
fn verify(entry: &Entry, lock: &Lock, place: &str, found: &str) -> Result<(), String> {
    if let Some(prefix) = &entry.sha256_prefix
        && !found.starts_with(prefix.as_str())
    {
        return Err(format!(
            "sha256 {found}, expected one that starts with {prefix}"
        ));
    }
    let expected = entry
        .sha256
        .as_deref()
        .or_else(|| lock.sha256(&entry.name, place));
    match expected {
        Some(expected) if expected != found => Err(differs(found, expected)),
        _ => Ok(()),
    }
}

fn differs(found: &str, expected: &str) -> String {
    format!("sha256 {found}, expected {expected}")
}

/// Whether `made` exists and is not older than what it is made from.
fn is_newer(made: &Path, from: &Path) -> bool {
    let time = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified());
    matches!((time(made), time(from)), (Ok(made), Ok(from)) if made >= from)
}

fn progress(name: &str, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} ({eta})";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::no_length()
        .with_style(style)
        .with_message(name.to_owned())
}

fn human_size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}
