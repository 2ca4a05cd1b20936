//! A domain by the hypernetwork: from a text, or from a picture in place of one.

use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use domex_clip::{Prompts, TextMeans, unit_length};
use domex_error::user_error;
use domex_hyperdomain::file::{self, Purpose};
use domex_hyperdomain::modulation::Part;
use domex_hyperdomain::{Hypernetwork, ModulationKind};
use domex_latent::expansion::Rows;
use domex_nada::Guide;
use domex_stylegan2::Model as StyleGan2;
use serde_json::json;

use super::{Adapt, Vectors, check_generator};
use crate::assets;
use crate::context::Context;
use crate::crop::Cropper;
use crate::kinds::Model;
use crate::pictures::Painter;
use crate::verbs::expand::inputs::named;

/// The domain of the text or of the picture.
pub fn vectors(
    context: &Context,
    args: &Adapt,
    path: &Path,
    model: &StyleGan2,
    cropper: &Cropper,
) -> domex_error::Result<Vectors> {
    let (network, purpose) = file::read(path, &context.device)?;
    check_generator(args, ("--hyperdomain", path), model, &purpose.generator)?;
    let guide = guide(context, args, path, &purpose)?;
    let begin = Instant::now();
    let embedding = embedding(context, args, model, &guide, &purpose, cropper)?;
    Ok(Vectors {
        offsets: Rows::new(),
        factors: factors(&network, &embedding)?,
        seconds: begin.elapsed().as_secs_f64(),
        task: json!({ "source": purpose.source, "target": args.text.clone().unwrap_or_default() }),
    })
}

/// The CLIP model that the network was trained with.
fn guide(
    context: &Context,
    args: &Adapt,
    network: &Path,
    purpose: &Purpose,
) -> domex_error::Result<Guide> {
    let load = |path: &Path| Guide::load(path, 1.0, &context.device);
    if let Some(wanted) = &args.clip {
        let clip = named(wanted, 1.0)?;
        if domex_checkpoint::sha256_file(&clip.path)? != purpose.clip {
            return Err(user_error(format!(
                "--clip {wanted}: is not the CLIP model whose embeddings {} reads",
                network.display()
            )));
        }
        return Ok(load(&clip.path)?);
    }
    for (_, path) in assets::clip_models()? {
        if domex_checkpoint::sha256_file(&path)? == purpose.clip {
            return Ok(load(&path)?);
        }
    }
    Err(user_error(format!(
        "--hyperdomain {}: reads embeddings of a CLIP model that does not ship with the program; give it as --clip",
        network.display()
    )))
}

/// `[1, d]` at length 1. A picture's is the source text's and what sets the picture apart from the generator's own: those of
/// texts and pictures lie in different places, and the network knows texts.
fn embedding(
    context: &Context,
    args: &Adapt,
    model: &StyleGan2,
    guide: &Guide,
    purpose: &Purpose,
    cropper: &Cropper,
) -> domex_error::Result<Tensor> {
    /// Pictures that stand for the generator's own.
    const OWN: u32 = 16;
    let means = TextMeans::new(&guide.clip, &guide.tokenizer, None)?;
    let words = |text: &str| -> domex_error::Result<Tensor> {
        let mean = means.mean(&Prompts::imagenet(), text)?.unsqueeze(0)?;
        let mean = unit_length(&mean)?.to_dtype(DType::F32)?;
        Ok(mean.to_device(&context.device)?)
    };
    let Some(path) = &args.image else {
        return words(args.text.as_deref().unwrap_or_default());
    };
    // Resized as CLIP's own program does, so that it has nothing left to do.
    let given = cropper.read(path, u32::try_from(guide.clip.image_size())?)?;
    let style = guide.features_of_files(&[given.picture])?;
    let generator = StyleGan2::new(model.g_ema.clone());
    let generator = Model::StyleGan2(Box::new(generator));
    let mut painter = Painter::new(context, &generator, &args.synthesis)?;
    let seeds: Vec<u32> = (0..OWN).collect();
    let ws = painter.latents(&seeds)?;
    let own = painter.paint_all(context, &ws)?;
    let own = unit_length(&guide.features_of_files(&own)?)?.mean_keepdim(0)?;
    let step = (unit_length(&style)? - own)?.to_dtype(DType::F32)?;
    let moved = (words(&purpose.source)? + step.to_device(&context.device)?)?;
    Ok(unit_length(&moved)?)
}

/// A domain's factors by layer, `[channels]` each.
fn factors(network: &Hypernetwork, embedding: &Tensor) -> domex_error::Result<Rows> {
    let config = network.config();
    if config.modulation != ModulationKind::CinMult {
        return Err(user_error(format!(
            "--hyperdomain: its domains are of kind {}, and a gated domain has factors of input channels only; train one with --modulation cin_mult",
            config.modulation.name()
        )));
    }
    let layers = config.convolutions.iter().zip(network.forward(embedding)?);
    let mut rows = Rows::new();
    for (layer, offsets) in layers {
        if let Some(factor) = offsets.get(&Part::In) {
            let factor = factor.flatten_all()?.to_device(&Device::Cpu)?;
            rows.insert(layer.name.clone(), factor);
        }
    }
    Ok(rows)
}
