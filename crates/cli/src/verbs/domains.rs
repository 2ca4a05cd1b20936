//! `domex domains`: the domains of a model, listed, found, carried from one model to another, and taken away.

mod discover;
pub(super) mod file;
mod fuse;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use domex_data::counted;
use domex_data::folder::{OutputFolder, prepare_file};
use domex_error::{AnyError, user_error};
use domex_latent::Expansion;
use domex_latent::domain_file::DomainFile;
use domex_stylegan2::{Model, Overwrite};
use serde_json::json;

use crate::args::{self, ModelArgs};
use crate::context::Context;
use crate::domains::{check_name, only_part};
use crate::models;
use crate::paths::text;

/// What to do with a model's domains.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex domains list   --model run/model.safetensors\n  domex domains export elf --model run/model.safetensors --out elf.safetensors\n  domex domains discover -n 12 --out found\n  domex domains add elf.safetensors --model portraits --out more.safetensors\n  domex domains merge one.safetensors two.safetensors --out both.safetensors\n  domex domains remove elf --model both.safetensors --out one.safetensors\n\nDomains that were trained with another --parametrisation than full stand beside the weights: they can be carried from model to model of the same generator, in any order. A domain that was trained with all weights is in the weights: it can be listed, renamed and taken off the list, not carried."
)]
pub struct Domains {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub enum What {
    /// List the domains of a model
    #[command(after_help = "Examples:\n  domex domains list --model run/model.safetensors")]
    List {
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Find domains that nobody named: what random edits change most, each as a file of its own
    Discover(discover::Discover),
    /// Write a domain to a file of its own
    #[command(
        after_help = "Examples:\n  domex domains export elf --model run/model.safetensors --out elf.safetensors"
    )]
    Export {
        /// The domain
        name: String,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
        /// Where the result goes.
        #[command(flatten)]
        out: FileArgs,
    },
    /// Add domains from their files
    #[command(
        after_help = "Examples:\n  domex domains add elf.safetensors --model portraits --out more.safetensors\n  domex domains add found/found-*.safetensors --model run/model.safetensors --out all.safetensors"
    )]
    Add {
        /// Files that `export`, `discover` or `domex adapt` wrote
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
        /// Where the result goes.
        #[command(flatten)]
        out: FileArgs,
        /// Add domains that another generator learnt; they seldom look as they did there
        #[arg(long)]
        foreign: bool,
    },
    /// Take a domain away
    #[command(
        after_help = "Examples:\n  domex domains remove elf --model both.safetensors --out one.safetensors"
    )]
    Remove {
        /// The domain
        name: String,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
        /// Where the result goes.
        #[command(flatten)]
        out: FileArgs,
    },
    /// Give a domain another name
    #[command(
        after_help = "Examples:\n  domex domains rename \"pencil sketch\" sketch --model run/model.safetensors --out named.safetensors"
    )]
    Rename {
        /// The domain
        name: String,
        /// Its new name
        new: String,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
        /// Where the result goes.
        #[command(flatten)]
        out: FileArgs,
    },
    /// Put the domains of several models of one generator into one
    #[command(
        after_help = "Examples:\n  domex domains merge one.safetensors two.safetensors --out both.safetensors"
    )]
    Merge {
        /// Models; the first one's weights are kept
        #[arg(required = true, num_args = 2.., value_name = "MODEL")]
        models: Vec<String>,
        /// Where the result goes.
        #[command(flatten)]
        out: FileArgs,
    },
    /// Bake a domain into plain weights, which any StyleGAN2 program reads; not one that has factors of channels or a mapping
    #[command(
        after_help = "Examples:\n  domex domains fuse style --model more.safetensors --out fused.safetensors\n  domex domains fuse style=0.7 --model more.safetensors --out fused.safetensors\n\nThe result is a generator without domains: its pictures are those of the domain, and other domains of the model are left out."
    )]
    Fuse {
        /// The domain, with a strength if it is not 1
        #[arg(value_name = "NAME[=ALPHA]")]
        name: String,
        /// Which model.
        #[command(flatten)]
        model: ModelArgs,
        /// Where the result goes.
        #[command(flatten)]
        out: FileArgs,
    },
}

/// Where the result goes.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

impl FileArgs {
    fn overwrite(&self) -> Overwrite {
        args::overwrite(self.force)
    }

    /// Before any work. The file's folder, which goes away again where it was made and nothing is written.
    fn check(&self) -> domex_error::Result<OutputFolder> {
        Ok(prepare_file(&self.out, self.force)?)
    }
}

/// Runs the verb.
pub fn run(context: &Context, args: &Domains) -> domex_error::Result<()> {
    match &args.what {
        What::List { model } => list(context, model),
        What::Discover(args) => discover::run(context, args),
        What::Export { name, model, out } => export(context, name, model, out),
        What::Add {
            files,
            model,
            out,
            foreign,
        } => add(context, files, model, out, *foreign),
        What::Remove { name, model, out } => changed(context, model, out, |model| {
            let expansion = expansion(model)?;
            let is_vector = expansion.take_out(name)?.is_some();
            expansion.remove(name)?;
            if !is_vector {
                tracing::warn!(
                    "{name} was trained with all weights: they keep what they learnt, its direction is free"
                );
            }
            Ok(format!("without {name}"))
        }),
        What::Rename {
            name,
            new,
            model,
            out,
        } => changed(context, model, out, |model| {
            check_name(new, "choose another name")?;
            expansion(model)?.layout.rename(name, new)?;
            Ok(format!("{name} is now {new}"))
        }),
        What::Merge { models, out } => merge(context, models, out),
        What::Fuse { name, model, out } => {
            let _folder = out.check()?;
            let model = models::stylegan2(context, model)?;
            let known = names(&model);
            expanded(&model)?;
            let (name, alpha) = only_part("NAME", name, &known)?;
            let others: Vec<String> = known.into_iter().filter(|other| *other != name).collect();
            let fused = fuse::fuse(model, &name, alpha)?;
            fused.save(&out.out, out.overwrite())?;
            let left = match others.is_empty() {
                true => String::new(),
                false => format!(", without {}", others.join(", ")),
            };
            let what = format!("{name} is in the weights{left}");
            told(context, &fused, &out.out, &what);
            Ok(())
        }
    }
}

/// The names of a model's domains.
fn names(model: &Model) -> Vec<String> {
    let expansion = model.expansion().into_iter();
    let domains = expansion.flat_map(|expansion| expansion.layout.domains());
    domains.map(|domain| domain.name.clone()).collect()
}

/// The domains of a model, or that it has none.
fn expanded(model: &Model) -> domex_error::Result<&Expansion> {
    model.expansion().ok_or_else(no_domains)
}

/// The same, to be changed.
fn expansion(model: &mut Model) -> domex_error::Result<&mut Expansion> {
    model.expansion.as_mut().ok_or_else(no_domains)
}

fn no_domains() -> AnyError {
    user_error("the model has no domains; give one that `domex expand` made, as --model")
}

fn list(context: &Context, args: &ModelArgs) -> domex_error::Result<()> {
    let model = models::load(context, args)?;
    let Some(expansion) = model.expansion() else {
        context.say("no domains: this model is not expanded");
        context.result(&json!({ "domains": [] }));
        return Ok(());
    };
    let mut rows = Vec::new();
    for domain in expansion.layout.domains() {
        let vectors = expansion.take_out(&domain.name)?;
        let numbers = vectors.as_ref().map(DomainFile::numbers).transpose()?;
        let kept = match numbers {
            Some(numbers) => format!("{numbers} numbers"),
            None => "in the weights".to_owned(),
        };
        context.say(&format!(
            "{:<24} direction {:>4}, distance {}, {kept}",
            domain.name, domain.dimension, domain.distance
        ));
        rows.push(json!({
            "name": domain.name, "dimension": domain.dimension, "distance": domain.distance, "task": domain.task,
            "numbers": numbers,
        }));
    }
    context.result(&json!({ "domains": rows }));
    Ok(())
}

fn export(
    context: &Context,
    name: &str,
    args: &ModelArgs,
    out: &FileArgs,
) -> domex_error::Result<()> {
    let _folder = out.check()?;
    let mut model = models::stylegan2(context, args)?;
    let taken = expansion(&mut model)?.take_out(name)?.ok_or_else(|| {
        user_error(format!(
            "{name}: was trained with all weights and is in them; only domains of another --parametrisation than full can be carried"
        ))
    })?;
    file::write(&taken, &model, &out.out, out.overwrite())?;
    let bytes = std::fs::metadata(&out.out)?.len();
    let numbers = taken.numbers()?;
    context.say(&format!(
        "{}: {numbers} numbers, {:.1} KB",
        out.out.display(),
        bytes as f64 / 1e3
    ));
    context.result(&json!({ "out": text(&out.out), "numbers": numbers, "bytes": bytes }));
    Ok(())
}

fn add(
    context: &Context,
    files: &[PathBuf],
    args: &ModelArgs,
    out: &FileArgs,
    foreign: bool,
) -> domex_error::Result<()> {
    changed(context, args, out, |model| {
        let (generator, mut moved) = (file::fingerprint(model)?, Vec::new());
        for path in files {
            let (domain, learnt_by) = file::read(path, &context.device)?;
            if learnt_by != generator {
                let other = format!("{}: was learnt by another generator", path.display());
                if !foreign {
                    return Err(user_error(format!(
                        "{other}, and its vectors mean something else to this one; --foreign adds it all the same"
                    )));
                }
                tracing::warn!("{other}");
            }
            put(model, &domain, &mut moved)?;
        }
        tell_moved(context, &moved);
        Ok(format!("{} added", counted(files.len(), "domain")))
    })
}

/// Adds a domain to a model that may have none yet. Where its direction is another domain's it goes to a free one, which is noted in
/// `moved`.
fn put(model: &mut Model, domain: &DomainFile, moved: &mut Vec<String>) -> domex_error::Result<()> {
    let mut expansion = match model.expansion.take() {
        Some(expansion) => expansion,
        None => file::unexpanded(model)?,
    };
    let name = &domain.domain.name;
    check_name(
        name,
        "`domex domains rename` gives it another name in the model that it is from",
    )?;
    if expansion
        .layout
        .domains()
        .iter()
        .any(|has| has.name == *name)
    {
        return Err(user_error(format!(
            "{name}: the model has a domain of this name; `domex domains rename` gives it another, or `remove` takes it away"
        )));
    }
    let dimension = expansion.put_in(domain)?;
    if dimension != domain.domain.dimension {
        moved.push(format!("{} to {dimension}", domain.domain.name));
    }
    model.expansion = Some(expansion);
    Ok(())
}

/// Says which domains [`put`] moved.
fn tell_moved(context: &Context, moved: &[String]) {
    if !moved.is_empty() {
        context.say(&format!(
            "moved to a free direction, as theirs is another domain's: {}",
            moved.join(", ")
        ));
    }
}

fn merge(context: &Context, names: &[String], out: &FileArgs) -> domex_error::Result<()> {
    let _folder = out.check()?;
    let open = |name: &String| models::open(&context.device, "MODEL", name)?.stylegan2(name);
    let mut model = open(&names[0])?;
    let generator = file::fingerprint(&model)?;
    let (mut added, mut moved) = (0, Vec::new());
    for name in &names[1..] {
        let other = open(name)?;
        if file::fingerprint(&other)? != generator {
            return Err(user_error(format!(
                "{name}: has other weights than {}; models can be merged whose domains are vectors beside the same weights",
                names[0]
            )));
        }
        let from = other
            .expansion()
            .ok_or_else(|| user_error(format!("{name}: has no domains that could be added")))?;
        for domain in from.layout.domains() {
            let Some(taken) = from.take_out(&domain.name)? else {
                // In the same weights, so the first model has it too, or forgot it.
                continue;
            };
            put(&mut model, &taken, &mut moved)?;
            added += 1;
        }
    }
    tell_moved(context, &moved);
    model.save(&out.out, out.overwrite())?;
    told(
        context,
        &model,
        &out.out,
        &format!("{} added", counted(added, "domain")),
    );
    Ok(())
}

/// Reads a model, changes it, and writes it.
fn changed(
    context: &Context,
    args: &ModelArgs,
    out: &FileArgs,
    change: impl FnOnce(&mut Model) -> domex_error::Result<String>,
) -> domex_error::Result<()> {
    let _folder = out.check()?;
    let mut model = models::load_all(context, args)?.stylegan2(models::name(args))?;
    let what = change(&mut model)?;
    if model
        .expansion()
        .is_some_and(|e| e.layout.domains().is_empty())
    {
        model.expansion = None;
    }
    model.save(&out.out, out.overwrite())?;
    told(context, &model, &out.out, &what);
    Ok(())
}

fn told(context: &Context, model: &Model, out: &Path, what: &str) {
    let domains = names(model);
    context.say(&format!(
        "{}: {what}, {} in all",
        out.display(),
        counted(domains.len(), "domain")
    ));
    context.result(&json!({ "out": text(out), "domains": domains }));
}
