//! Editing with a diffusion autoencoder: the encoder gives a picture's code, and the reversed chain the noise that brings back what
//! the code leaves out.

use candle_core::Tensor;
use domex_data::picture::{self, write_png};
use domex_diffae::Model;
use domex_error::{AnyError, Context as _, user_error};
use image::RgbImage;
use serde_json::json;

use super::{Edit, finish, refuse_grid, set, sheet};
use crate::context::Context;
use crate::crop::given::Picture;
use crate::crop::{self, Cropper};
use crate::diffae;
use crate::domains::Domains;
use crate::interrupt::Interrupt;
use crate::paths::texts;
use crate::verbs::{decode, invert};

/// Steps from a picture to its noise.
pub const STEPS: u32 = 100;

pub(super) fn run(context: &Context, args: &Edit, model: &Model) -> domex_error::Result<()> {
    let of_search = [
        ("--perceptual", args.perceptual.is_some()),
        ("--encoder", args.encoder.is_some()),
    ];
    if let Some((flag, _)) = of_search.iter().find(|(_, given)| *given) {
        return Err(user_error(format!(
            "{flag}: a diffusion autoencoder encodes pictures without a search; leave it out"
        )));
    }
    let steps = args.steps.unwrap_or(STEPS);
    model.check_steps(steps as usize).context("--steps")?;
    let domains = Domains::of(model, model.expansion.as_ref(), "edit")?;
    let parts = domains.parts("--set", &args.set)?;
    let codes = args.latents.as_deref();
    let codes = codes.map(|path| decode::read(model, path, false));
    let codes = codes.transpose()?;
    let files = match codes {
        Some(_) => Vec::new(),
        None => invert::files(&args.image)?,
    };
    refuse_grid(&files)?;
    let cropper = Cropper::new(args.crop)?;
    let given = cropper.look(&files, None, model.config().unet.image_size as u32)?;
    let folder = args.out.folder()?;
    crop::refuse_overwriting(&files, folder.path())?;
    let count = match &codes {
        Some((codes, _)) => codes.dim(0)?,
        None => given.len(),
    };
    let interrupt = Interrupt::watch()?;
    let progress = context.progress("pictures", count);
    let (mut sheet, mut written) = (sheet(&parts), Vec::new());
    for i in 0..count {
        let (name, code, noise) = match &codes {
            Some((codes, noises)) => {
                let noise = noises.as_ref().map(|noises| noises.narrow(0, i, 1));
                let noise = noise.transpose()?;
                (format!("picture{i:04}"), codes.narrow(0, i, 1)?, noise)
            }
            None => encoded(model, &given.all()[i], steps)?,
        };
        let noise = match noise {
            Some(noise) => noise,
            None => model.fixed_noise()?,
        };
        let base = domains.base(&code)?;
        let edited = domains.moved(&base, &parts)?;
        let decode = |code: &Tensor| only(&model.decode(code, &noise, model.steps)?);
        let picture = decode(&edited)?;
        let path = folder.file(format!("{name}.png"));
        write_png(&path, &picture)?;
        let cells = match sheet.has_room() {
            true => vec![decode(&base)?, picture],
            false => Vec::new(),
        };
        sheet.add(name, cells);
        written.push(path);
        progress.advance(1);
        interrupt.check()?;
    }
    drop(progress);
    let result = json!({ "pictures": texts(&written), "set": set(&parts) });
    finish(context, &folder, &sheet, result)
}

/// Name, code and noise of a picture.
fn encoded(
    model: &Model,
    given: &Picture,
    steps: u32,
) -> domex_error::Result<(String, Tensor, Option<Tensor>)> {
    let (code, noise) = diffae::encoded(model, given.pixels()?, steps as usize)?;
    Ok((given.name.clone(), code, Some(noise)))
}

fn only(picture: &Tensor) -> domex_error::Result<RgbImage> {
    let pictures = picture::to_rgb(picture)?;
    let first = pictures.into_iter().next();
    first.ok_or_else(|| AnyError::internal("the generator made no picture"))
}
