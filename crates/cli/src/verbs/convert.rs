//! `domex convert`: any checkpoint of a generator to the container, or back to what other programs open: safetensors with
//! published names, or a network pickle; the two published files of a perceptual network to one.
//!
//! | `--to` | tensors | metadata |
//! | --- | --- | --- |
//! | `domex` | `generator_ema.*`, ..., or those of a perceptual network with `--backbone` | the container's: config, expansion, provenance |
//! | `safetensors --layout nvlabs` | `G_ema.*`, `G.*`, `D.*` under the keys of stylegan2-ada-pytorch | `format` |
//! | `safetensors --layout rosinality` | `g_ema.*`, `g.*`, `d.*`, `latent_avg` under the keys of rosinality/stylegan2-pytorch | `format` |
//! | `pkl` | the networks `G_ema`, `G`, `D` as the classes of `--for` | the domains, as Domain Expansion has them |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use clap::{Args, ValueEnum};
use domex_checkpoint::container::Overwrite;
use domex_checkpoint::{TensorData, safetensors};
use domex_data::folder::prepare_file;
use domex_error::{AnyError, Result, user_error};
use domex_stylegan2::layout::rosinality::{discriminator_from_nvlabs, generator_from_nvlabs};
use domex_stylegan2::layout::{self, Weights};
use domex_stylegan2::{Discriminator, Model, Tensors};
use serde_json::json;

use crate::args::overwrite;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::kinds::{self, Networks};
use crate::paths::text;

/// Flags of `domex convert`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex convert ffhq.pkl --out ffhq.safetensors\n  domex convert ffhq.safetensors --out for-others.safetensors --to safetensors --layout rosinality\n  domex convert model.safetensors --to pkl --for stylegan3 --out network.pkl\n  domex convert vgg.pth --backbone vgg16-397923af.pth --out lpips.safetensors\n\nAn expanded model keeps its domains in the container of domex; a .pkl has those that were trained with all weights."
)]
pub struct Convert {
    /// A checkpoint of any kind that --model takes: .pkl, .pt, .pth, .ckpt, .safetensors; or, with --backbone, the heads of
    /// a perceptual network
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The backbone, where FILE holds the published heads of a perceptual network (LPIPS)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "layout", "program"])]
    pub backbone: Option<PathBuf>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = To::Domex)]
    pub to: To,
    /// Whose tensor names, for --to safetensors [default: nvlabs]
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// Whose copy will open the file, for --to pkl [default: stylegan2-ada-pytorch]
    #[arg(long = "for", value_enum, value_name = "PROGRAM")]
    pub program: Option<Program>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// The container of domex
    Domex,
    /// Plain safetensors with published names
    Safetensors,
    /// A network pickle for the tools of NVlabs, such as gen_images.py
    Pkl,
}

/// Whose copy opens a network pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// NVlabs/stylegan2-ada-pytorch, and what builds on it
    #[value(name = "stylegan2-ada-pytorch")]
    Stylegan2AdaPytorch,
    /// NVlabs/stylegan3, and what builds on it
    #[value(name = "stylegan3")]
    Stylegan3,
}

/// Whose tensor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// stylegan2-ada-pytorch
    Nvlabs,
    /// rosinality/stylegan2-pytorch
    Rosinality,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Convert) -> Result<()> {
    let target = target(args)?;
    let overwrite = overwrite(args.force);
    if args.out.is_dir() {
        return Err(user_error(format!(
            "--out {}: is a folder; give the name of a file",
            args.out.display()
        )));
    }
    // Said before the work, not after it.
    let _folder = prepare_file(&args.out, args.force)?;
    let interrupt = Interrupt::watch()?;
    let left_out = match &args.backbone {
        Some(backbone) => {
            join(&args.file, backbone, &args.out, overwrite)?;
            None
        }
        None => {
            let model = load(&args.file)?;
            interrupt.check()?;
            match &model {
                kinds::Model::StyleGan2(model) => save(model, target, &args.out, overwrite)?,
                other if target != Target::Container => {
                    return Err(user_error(format!(
                        "--to: only a StyleGAN2 has a form of other programs; {} is written with --to domex",
                        other.what()
                    )));
                }
                other => other.save(&args.out, overwrite)?,
            }
            notice(&model, target)
        }
    };
    if let Some(notice) = left_out {
        tracing::warn!("{notice}");
    }
    context.say(&args.out.display().to_string());
    context.result(&json!({ "file": text(&args.out), "notice": left_out }));
    Ok(())
}

/// `--to` with what goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Container,
    Tensors(Layout),
    Pickle(domex_stylegan2::Program),
}

fn target(args: &Convert) -> Result<Target> {
    if args.layout.is_some() && args.to != To::Safetensors {
        return Err(user_error(
            "--layout goes with --to safetensors; other files have their own",
        ));
    }
    if args.program.is_some() && args.to != To::Pkl {
        return Err(user_error("--for goes with --to pkl"));
    }
    let is_pickle = args
        .out
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("pkl"));
    if is_pickle && args.to != To::Pkl {
        return Err(user_error(format!(
            "--out {}: ends as a network pickle does, which --to pkl writes; give that too, or a name that ends in .safetensors",
            args.out.display()
        )));
    }
    Ok(match args.to {
        To::Domex => Target::Container,
        To::Safetensors => Target::Tensors(args.layout.unwrap_or(Layout::Nvlabs)),
        To::Pkl => Target::Pickle(match args.program {
            None | Some(Program::Stylegan2AdaPytorch) => {
                domex_stylegan2::Program::Stylegan2AdaPytorch
            }
            Some(Program::Stylegan3) => domex_stylegan2::Program::Stylegan3,
        }),
    })
}

fn save(model: &Model, target: Target, out: &Path, overwrite: Overwrite) -> Result<()> {
    match target {
        Target::Container => model.save(out, overwrite)?,
        Target::Tensors(layout) => export(model, layout, out, overwrite)?,
        Target::Pickle(program) => model.save_pickle(out, program, overwrite)?,
    }
    Ok(())
}

/// What the file lacks, in words.
fn notice(model: &kinds::Model, target: Target) -> Option<&'static str> {
    match (target, model) {
        (Target::Tensors(_), model) if model.expansion().is_some() => {
            Some("the domains are left out: only a container of domex or a .pkl holds them")
        }
        (Target::Pickle(_), kinds::Model::StyleGan2(model)) if model.discriminator.is_none() => {
            Some(
                "the model has no discriminator: D is an Identity, and training that resumes from the file begins with a new one",
            )
        }
        (_, kinds::Model::StyleGan3(model)) if model.left_out => {
            Some("the generator as training left it is left out: nothing here goes on training it")
        }
        _ => None,
    }
}

fn load(file: &Path) -> Result<kinds::Model> {
    kinds::open(file, Networks::All, &Device::Cpu).map_err(|error| {
        // Of the other networks that are published, one takes two files.
        match domex_lpips::published::part(file) {
            Some(part) => AnyError::from(part),
            None => error,
        }
    })
}

/// Converts a downloaded generator to a container, replacing an older one.
pub fn to_container(file: &Path, out: &Path) -> Result<()> {
    load(file)?.save(out, Overwrite::Replace)
}

/// Makes a perceptual network of its published heads and their backbone.
pub fn join(heads: &Path, backbone: &Path, out: &Path, overwrite: Overwrite) -> Result<()> {
    domex_lpips::published::join(heads, backbone)?.write(out, overwrite)?;
    Ok(())
}

fn export(model: &Model, layout: Layout, out: &Path, overwrite: Overwrite) -> Result<()> {
    let discriminator = model.discriminator.as_ref();
    let published = match layout {
        Layout::Nvlabs => layout::Layout::Nvlabs,
        Layout::Rosinality => layout::Layout::Rosinality,
    };
    let lost = layout::lost(
        published,
        model.config(),
        discriminator.map(Discriminator::config),
    );
    if !lost.is_empty() {
        return Err(user_error(format!(
            "--layout: tensors in this layout cannot say what the network is, and would be read as another one: {}; write --to domex",
            lost.join("; ")
        )));
    }
    let mut tensors = Weights::new();
    let mut add = |prefix: &str, network: Weights| {
        tensors.extend(
            network
                .into_iter()
                .map(|(name, data)| (format!("{prefix}{name}"), data)),
        );
    };
    match layout {
        Layout::Nvlabs => {
            add("G_ema.", to_data(&model.g_ema.tensors())?);
            if let Some(g) = &model.g {
                add("G.", to_data(&g.tensors())?);
            }
            if let Some(d) = discriminator {
                add("D.", to_data(&d.tensors())?);
            }
        }
        Layout::Rosinality => {
            let (g_ema, mean) = generator_from_nvlabs(&to_data(&model.g_ema.tensors())?)?;
            add("g_ema.", g_ema);
            if let Some(mean) = mean {
                add("", Weights::from([("latent_avg".to_owned(), mean)]));
            }
            if let Some(g) = &model.g {
                add("g.", generator_from_nvlabs(&to_data(&g.tensors())?)?.0);
            }
            if let Some(d) = discriminator {
                add("d.", discriminator_from_nvlabs(&to_data(&d.tensors())?)?);
            }
        }
    }
    // What other programs write there, and want to see.
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::write(out, &metadata, &tensors, overwrite)?;
    Ok(())
}

fn to_data(tensors: &Tensors) -> Result<Weights> {
    tensors
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), TensorData::from_tensor(tensor)?)))
        .collect()
}
