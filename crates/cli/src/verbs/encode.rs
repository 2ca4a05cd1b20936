//! `domex encode`: pictures to the codes of a diffusion autoencoder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Tensor;
use clap::Args;
use domex_checkpoint::TensorData;
use domex_checkpoint::safetensors;
use domex_data::counted;
use domex_error::Context as _;
use serde_json::json;

use crate::args::{AutoencoderArgs, OutArgs, overwrite};
use crate::context::Context;
use crate::crop::given::tensor;
use crate::crop::{CropArgs, Cropper};
use crate::interrupt::Interrupt;
use crate::models;
use crate::paths::{text, texts};

/// The file in the output folder.
const FILE: &str = "codes.safetensors";

/// Flags of `domex encode`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex encode face.png --out codes\n  domex encode --model ffhq128.ckpt *.jpg --steps 0\n  domex encode --model ffhq128.ckpt party.jpg --crop face\n  domex encode --model ffhq128.ckpt party.jpg --crop face --face 2\n\nWrites codes.safetensors: z_sem, one row a picture, and x_T, the noise that brings back what z_sem leaves out."
)]
pub struct Encode {
    /// Pictures, which are brought to the model's size
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// What of a picture is encoded.
    #[command(flatten)]
    pub crop: CropArgs,
    /// Which model.
    #[command(flatten)]
    pub model: AutoencoderArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Steps from a picture to its noise, 0 for z_sem alone
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub steps: usize,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Encode) -> domex_error::Result<()> {
    let cropper = Cropper::new(args.crop)?;
    let model = models::diffae(context, &args.model)?;
    if args.steps > 0 {
        model.check_steps(args.steps).context("--steps")?;
    }
    let side = model.config().unet.image_size as u32;
    let given = cropper.look(&args.pictures, None, side)?;
    let folder = args.out.folder()?;
    let interrupt = Interrupt::watch()?;
    let progress = context.progress("pictures", given.len());
    let (mut codes, mut noises) = (Vec::new(), Vec::new());
    for picture in given.all() {
        let picture = tensor([picture], model.dtype(), model.device())?;
        let z = model.encode(&picture)?;
        if args.steps > 0 {
            noises.push(model.encode_noise(&picture, &z, args.steps)?);
        }
        codes.push(z);
        progress.advance(1);
        interrupt.check()?;
    }
    drop(progress);
    let mut tensors = BTreeMap::new();
    let mut put = |name: &str, parts: &[Tensor]| -> domex_error::Result<()> {
        if !parts.is_empty() {
            let whole = TensorData::from_tensor(&Tensor::cat(parts, 0)?)?;
            tensors.insert(name.to_owned(), whole);
        }
        Ok(())
    };
    put("z_sem", &codes)?;
    put("x_T", &noises)?;
    let file = folder.file(FILE);
    let overwrite = overwrite(args.out.force);
    safetensors::write(&file, &BTreeMap::new(), &tensors, overwrite)?;
    context.say(&format!(
        "{} in {}",
        counted(codes.len(), "code"),
        file.display()
    ));
    context.result(&json!({
        "codes": text(&file),
        "pictures": texts(&args.pictures),
        "size": model.config().unet.cond_channels,
        "steps": args.steps,
    }));
    Ok(())
}
