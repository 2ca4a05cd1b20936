//! `domex convert`: any checkpoint of a generator to the container, or back to safetensors with published names; the two
//! published files of a perceptual network to one.
//!
//! | `--to` | tensors | metadata |
//! | --- | --- | --- |
//! | `domex` | `generator_ema.*`, ..., or those of a perceptual network with `--backbone` | the container's: config, expansion, provenance |
//! | `safetensors --layout nvlabs` | `G_ema.*`, `G.*`, `D.*` under the keys of stylegan2-ada-pytorch | `format` |
//! | `safetensors --layout rosinality` | `g_ema.*`, `g.*`, `d.*`, `latent_avg` under the keys of rosinality/stylegan2-pytorch | `format` |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Device;
use clap::{Args, ValueEnum};
use domex_checkpoint::container::Overwrite;
use domex_checkpoint::{TensorData, safetensors};
use domex_error::{AnyError, Result, user_error};
use domex_stylegan2::layout::rosinality::{discriminator_from_nvlabs, generator_from_nvlabs};
use domex_stylegan2::layout::{self, Weights};
use domex_stylegan2::{Discriminator, Model, Tensors};
use serde_json::json;

use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::kinds::{self, Networks};
use crate::paths::text;

/// Flags of `domex convert`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex convert ffhq.pkl --out ffhq.safetensors\n  domex convert ffhq.safetensors --out for-others.safetensors --to safetensors --layout rosinality\n  domex convert vgg.pth --backbone vgg16-397923af.pth --out lpips.safetensors\n\nAn expanded model keeps its domains only in the container of domex."
)]
pub struct Convert {
    /// A checkpoint of any kind that --model takes: .pkl, .pt, .pth, .ckpt, .safetensors; or, with --backbone, the heads of
    /// a perceptual network
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The backbone, where FILE holds the published heads of a perceptual network (LPIPS)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "layout"])]
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
    let layout = match (args.to, args.layout) {
        (To::Domex, Some(_)) => {
            return Err(user_error(
                "--layout goes with --to safetensors; the container has its own",
            ));
        }
        (To::Domex, None) => None,
        (To::Safetensors, layout) => Some(layout.unwrap_or(Layout::Nvlabs)),
    };
    let overwrite = if args.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    // Said before the work, not after it.
    safetensors::check_target(&args.out, overwrite)?;
    let interrupt = Interrupt::watch()?;
    let left_out = match &args.backbone {
        Some(backbone) => {
            join(&args.file, backbone, &args.out, overwrite)?;
            None
        }
        None => {
            let model = load(&args.file)?;
            interrupt.check()?;
            match (&model, layout) {
                (kinds::Model::StyleGan2(model), None) => model.save(&args.out, overwrite)?,
                (kinds::Model::StyleGan2(model), Some(layout)) => {
                    export(model, layout, &args.out, overwrite)?;
                }
                (kinds::Model::DiffAe(model), None) => model.save(&args.out, overwrite)?,
                (kinds::Model::DiffAe(_), Some(_)) => {
                    return Err(user_error(
                        "--to safetensors: only a StyleGAN2 has a layout of other programs; a diffusion autoencoder is written with --to domex",
                    ));
                }
            }
            let domains = layout.is_some() && model.expansion().is_some();
            domains.then_some("the domains are left out: only the container of domex holds them")
        }
    };
    if let Some(notice) = left_out {
        tracing::warn!("{notice}");
    }
    context.say(&args.out.display().to_string());
    context.result(&json!({ "file": text(&args.out), "notice": left_out }));
    Ok(())
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

/// Converts a downloaded checkpoint to a container, replacing an older one.
pub fn to_container(file: &Path, out: &Path) -> Result<()> {
    Model::load(file, &Device::Cpu)?.save(out, Overwrite::Replace)?;
    Ok(())
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
