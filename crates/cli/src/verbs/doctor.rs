//! `domex doctor`: what this machine and this program have, on one screen.

use std::path::Path;

use clap::Args;
use domex_hub::{Cache, Manifest};
use domex_kernels::simd::Isa;
use domex_train::memory;
use serde_json::{Value as Json, json};

use crate::context::{self, Context, Gpu};
use crate::paths::text;
use crate::{assets, stdout};

/// Flags of `domex doctor`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex doctor\n  domex doctor --json\n\nThe exit code is 2 where something is found that keeps verbs from working."
)]
pub struct Doctor {}

/// What was looked at: a word, a line for people, the same for programs.
struct Row {
    what: &'static str,
    line: String,
    json: Json,
}

/// Runs the verb.
pub fn run(context: &Context, _: &Doctor) -> domex_error::Result<()> {
    let mut problems = Vec::new();
    // First, as networks that are part of the program are unpacked there.
    let cache = cache(&mut problems);
    let rows = [
        program(),
        system(),
        threads(),
        memory(),
        gpu(),
        shipped(&mut problems),
        cache,
        fetched()?,
    ];
    let mut json = json!({ "problems": problems });
    for Row {
        what,
        line,
        json: value,
    } in rows
    {
        if !context.json {
            stdout::line(&format!("{what:<9} {line}"));
        }
        json[what] = value;
    }
    context.result(&json);
    if problems.is_empty() {
        context.say("problems  none");
        return Ok(());
    }
    Err(domex_error::user_error(problems.join("; ")))
}

fn program() -> Row {
    let version = env!("CARGO_PKG_VERSION");
    let optimized = !cfg!(debug_assertions);
    let features: Vec<&str> = [
        ("embedded-assets", cfg!(feature = "embedded-assets")),
        ("cuda", cfg!(feature = "cuda")),
    ]
    .iter()
    .filter_map(|(name, on)| on.then_some(*name))
    .collect();
    let advice = match optimized {
        true => "",
        false => ", a debug build: slow, build with --release",
    };
    let known = match features.as_slice() {
        [] => "no features".to_owned(),
        features => format!("with {}", features.join(" and ")),
    };
    Row {
        what: "domex",
        line: format!("{version} {known}{advice}"),
        json: json!({ "version": version, "features": features, "optimized": optimized }),
    }
}

fn system() -> Row {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let instructions = match Isa::best() {
        Isa::Avx512 => "AVX-512",
        Isa::Avx2 => "AVX2",
        Isa::Portable => "portable",
    };
    Row {
        what: "system",
        line: format!("{os} on {arch}, kernels for {instructions}"),
        json: json!({ "os": os, "arch": arch, "instructions": instructions }),
    }
}

fn threads() -> Row {
    let (used, here) = (
        rayon::current_num_threads(),
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    );
    Row {
        what: "threads",
        line: format!("{used} of {here} processors (--threads, RAYON_NUM_THREADS)"),
        json: json!({ "used": used, "processors": here }),
    }
}

fn memory() -> Row {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let line = memory::of_machine().map_or("not known here".to_owned(), |[total, free]| {
        format!("{:.1} GiB, {:.1} GiB of it free", gib(total), gib(free))
    });
    let json = memory::of_machine().map(|[total, free]| json!({ "total": total, "free": free }));
    Row {
        what: "memory",
        line,
        json: json.unwrap_or(Json::Null),
    }
}

fn gpu() -> Row {
    let (line, json) = match context::gpu() {
        Ok(Gpu { name, cudnn }) => {
            let convolutions = match &cudnn {
                Ok(version) => format!("convolutions by cuDNN {version}"),
                Err(why) => format!("convolutions by the program's own kernels: {why}"),
            };
            let line = format!("{name}, {convolutions}");
            (line, json!({ "name": name, "cudnn": cudnn.ok() }))
        }
        Err(why) => (format!("none: {why}"), json!({ "name": null, "why": why })),
    };
    Row {
        what: "gpu",
        line,
        json,
    }
}

/// Networks that come with the program. Where they cannot be unpacked the fault is the cache's, if one is told of it.
fn shipped(problems: &mut Vec<String>) -> Row {
    found_shipped(problems).unwrap_or_else(|error| {
        if problems.is_empty() {
            problems.push(error.message());
        }
        Row {
            what: "shipped",
            line: "cannot be unpacked".to_owned(),
            json: Json::Null,
        }
    })
}

/// Damaged ones are found where they are read.
fn found_shipped(problems: &mut Vec<String>) -> domex_error::Result<Row> {
    let (mut found, mut here, mut missing) = (serde_json::Map::new(), Vec::new(), Vec::new());
    for network in assets::NETWORKS {
        let file = assets::file(network.file)?;
        match &file {
            Some(_) => here.push(network.words.to_owned()),
            None if network.needed => missing.push(network.words),
            None => {}
        }
        found.insert(network.file.to_owned(), json!(file.map(text)));
    }
    let clip: Vec<String> = assets::clip_models()?
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    if clip.is_empty() {
        missing.push("CLIP models");
    }
    here.push(format!("CLIP models {}", clip.join(", ")));
    let line = match missing.as_slice() {
        [] => here.join(", "),
        missing => {
            problems.push(
                "networks of the portrait world are missing: set DOMEX_ASSETS to their folder"
                    .to_owned(),
            );
            format!("missing: {}", missing.join(", "))
        }
    };
    Ok(Row {
        what: "shipped",
        line,
        json: json!({ "files": found, "clip": clip }),
    })
}

fn cache(problems: &mut Vec<String>) -> Row {
    let (line, json) = match Cache::from_env() {
        Ok(cache) => {
            let root = cache.root();
            let mut line = root.display().to_string();
            if let Err(error) = writable(root) {
                problems.push(format!(
                    "{line}: {error}: nothing can be kept there; DOMEX_CACHE names another folder"
                ));
                line += ", cannot be written";
            }
            (line, json!({ "folder": text(root) }))
        }
        Err(error) => {
            problems.push(error.to_string());
            ("none".to_owned(), Json::Null)
        }
    };
    Row {
        what: "cache",
        line,
        json,
    }
}

/// Whether a file can be made in the folder, which need not be there yet.
fn writable(folder: &Path) -> std::io::Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists());
    tempfile::tempfile_in(there.unwrap_or(folder)).map(drop)
}

fn fetched() -> domex_error::Result<Row> {
    let mut names = Vec::new();
    if let Ok(cache) = Cache::from_env() {
        for entry in Manifest::builtin()?.entries() {
            if cache.find(entry)?.is_some() {
                names.push(entry.name.clone());
            }
        }
    }
    Ok(Row {
        what: "fetched",
        line: match names.as_slice() {
            [] => "nothing; `domex fetch --list` shows what there is".to_owned(),
            names => names.join(", "),
        },
        json: json!(names),
    })
}
