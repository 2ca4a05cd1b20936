//! `domex decode`: the codes of a diffusion autoencoder back to pictures.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use clap::Args;
use domex_checkpoint::foreign;
use domex_data::counted;
use domex_data::picture::{self, write_png};
use domex_diffae::Model;
use domex_error::{Context as _, user_error};
use serde_json::json;

use crate::args::{AutoencoderArgs, OutArgs};
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::models;
use crate::paths::texts;

/// Flags of `domex decode`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex decode codes/codes.safetensors --out pictures\n  domex decode --model ffhq128.ckpt codes/codes.safetensors --fixed-noise"
)]
pub struct Decode {
    /// What `domex encode` wrote
    #[arg(value_name = "CODES")]
    pub codes: PathBuf,
    /// Which model.
    #[command(flatten)]
    pub model: AutoencoderArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Sampling steps
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub steps: usize,
    /// Make all pictures from the model's one noise instead of their own
    #[arg(long)]
    pub fixed_noise: bool,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Decode) -> domex_error::Result<()> {
    let folder = args.out.folder()?;
    let model = models::diffae(context, &args.model)?;
    model.check_steps(args.steps).context("--steps")?;
    let (codes, noises) = read(&model, &args.codes, args.fixed_noise)?;
    let count = codes.dim(0)?;
    let interrupt = Interrupt::watch()?;
    let progress = context.progress("pictures", count);
    let mut files = Vec::new();
    for i in 0..count {
        let noise = match &noises {
            Some(noises) => noises.narrow(0, i, 1)?,
            None => model.fixed_noise()?,
        };
        let tensor = model.decode(&codes.narrow(0, i, 1)?, &noise, args.steps)?;
        for picture in picture::to_rgb(&tensor)? {
            let path = folder.file(format!("picture{i:04}.png"));
            write_png(&path, &picture)?;
            files.push(path);
        }
        progress.advance(1);
        interrupt.check()?;
    }
    drop(progress);
    context.say(&format!(
        "{} in {}",
        counted(files.len(), "picture"),
        folder.path().display()
    ));
    context.result(&json!({ "pictures": texts(&files), "steps": args.steps }));
    Ok(())
}

/// Codes `[n, D]` and, where they are wanted and there, noises `[n, c, h, w]`.
pub(super) fn read(
    model: &Model,
    path: &Path,
    fixed_noise: bool,
) -> domex_error::Result<(Tensor, Option<Tensor>)> {
    let file = foreign::read(path)?;
    let tensors = file.weights(&file.value)?;
    let find = |name: &str| -> domex_error::Result<Option<Tensor>> {
        let Some(data) = tensors.get(name) else {
            return Ok(None);
        };
        let tensor = data.to_tensor(model.device())?.to_dtype(model.dtype())?;
        Ok(Some(tensor))
    };
    let show = path.display();
    let size = model.config().unet.cond_channels;
    let codes = find("z_sem")?.ok_or_else(|| {
        user_error(format!(
            "{show}: no tensor z_sem; give what `domex encode` wrote"
        ))
    })?;
    let count = match *codes.dims() {
        [count, found] if found == size && count > 0 => count,
        _ => {
            return Err(user_error(format!(
                "{show}: z_sem has shape {:?}, this model's codes are [n, {size}]",
                codes.dims()
            )));
        }
    };
    let noises = if fixed_noise { None } else { find("x_T")? };
    if let Some(found) = noises.as_ref().map(Tensor::dims)
        && found.first() != Some(&count)
    {
        return Err(user_error(format!(
            "{show}: x_T has shape {found:?}, expected one for each of the {count} codes"
        )));
    }
    Ok((codes, noises))
}
