//! `convert`: any checkpoint to our container, or back to safetensors with published names.
//!
//! | `--to` | tensors | metadata |
//! | --- | --- | --- |
//! | `domex` | `generator_ema.*`, ..., or those of a perceptual network with `--backbone` | the container's: config, expansion, provenance |
//! | `safetensors --layout nvlabs` | `G_ema.*`, `G.*`, `D.*` under the keys of stylegan2-ada-pytorch | `format` |
//! | `safetensors --layout rosinality` | `g_ema.*`, `g.*`, `d.*`, `latent_avg` under the keys of rosinality/stylegan2-pytorch | `format` |

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use candle_core::Device;
use clap::ValueEnum;
use domex_checkpoint::{TensorData, container::Overwrite, safetensors};
use domex_error::{AnyError, Result, user_error};
use domex_stylegan2::{
    Discriminator, Model, Tensors,
    layout::{
        self, Weights,
        rosinality::{discriminator_from_nvlabs, generator_from_nvlabs},
    },
};

use crate::out::say;

/// Arguments of `convert`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint of any kind that is read: .pkl, .pt, .pth, .safetensors.
    file: PathBuf,
    /// The backbone, where FILE holds the published heads of a perceptual network (LPIPS).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "layout"])]
    backbone: Option<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = To::Domex)]
    to: To,
    /// Whose tensor names, for safetensors.
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Replace an existing file.
    #[arg(long)]
    force: bool,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Our container.
    Domex,
    /// Plain safetensors with published names.
    Safetensors,
}

/// Whose tensor names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// stylegan2-ada-pytorch.
    Nvlabs,
    /// rosinality/stylegan2-pytorch.
    Rosinality,
}

/// Runs the job.
pub fn run(args: &Args) -> Result<ExitCode> {
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
    if let Some(backbone) = &args.backbone {
        join(&args.file, backbone, &args.out, overwrite)?;
        say!("{}", args.out.display());
        return Ok(ExitCode::SUCCESS);
    }
    let model = Model::load(&args.file, &Device::Cpu).map_err(|error| {
        // Of the other networks that are published, one takes two files.
        match domex_lpips::published::part(&args.file) {
            Some(part) => AnyError::from(part),
            None => error.into(),
        }
    })?;
    match layout {
        None => model.save(&args.out, overwrite)?,
        Some(layout) => export(&model, layout, &args.out, overwrite)?,
    }
    say!("{}", args.out.display());
    Ok(ExitCode::SUCCESS)
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
    if model.expansion.is_some() {
        eprintln!("the domains are left out: only our container holds them");
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
