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
use image::RgbImage;
use serde_json::json;

use super::{Adapt, Network, Vectors};
use crate::assets;
use crate::context::Context;
use crate::crop::Cropper;
use crate::kinds::Model;
use crate::pictures::Painter;
use crate::verbs::expand::inputs::named;

/// The domain of each text or picture.
pub fn vectors(
    context: &Context,
    args: &Adapt,
    given: &Network,
    model: &StyleGan2,
    cropper: &Cropper,
) -> domex_error::Result<Vec<Vectors>> {
    let (network, purpose) = file::read(&given.path, &context.device)?;
    given.check_generator(args, model, &purpose.generator)?;
    let guide = guide(context, args, given, &purpose)?;
    let words = Words::new(context, &guide)?;
    let domain = |embedding: &Tensor, begin: Instant, picture: Option<RgbImage>, text: &str| {
        Ok(Vectors {
            offsets: Rows::new(),
            factors: factors(&network, embedding)?,
            picture,
            seconds: begin.elapsed().as_secs_f64(),
            task: json!({ "source": purpose.source, "target": text }),
        })
    };
    if args.image.is_empty() {
        let made = args.text.iter().map(|text| {
            let begin = Instant::now();
            domain(&words.embedding(text)?, begin, None, text)
        });
        let made = made.collect::<domex_error::Result<_>>()?;
        tell_unseen(context, &args.text, &purpose);
        return Ok(made);
    }
    let (source, own) = (
        words.embedding(&purpose.source)?,
        own(context, args, model, &guide)?,
    );
    let pictures = args.image.iter().map(|path| {
        // Resized as CLIP's own program does, so that it has nothing left to do.
        let seen = cropper.read(path, u32::try_from(guide.clip.image_size())?)?;
        let begin = Instant::now();
        let style = guide.features_of_files(std::slice::from_ref(&seen))?;
        let step = (unit_length(&style)? - &own)?.to_dtype(DType::F32)?;
        let moved = (&source + step.to_device(&context.device)?)?;
        domain(&unit_length(&moved)?, begin, Some(seen), "")
    });
    pictures.collect()
}

/// Says which texts the network was not trained on: little may come of them.
fn tell_unseen(context: &Context, texts: &[String], purpose: &Purpose) {
    let unseen = texts.iter().filter(|text| !purpose.texts.contains(text));
    let unseen: Vec<&str> = unseen.map(String::as_str).collect();
    if !unseen.is_empty() {
        context.say(&format!(
            "not among the texts that the network learnt, so little may come of it: {}; it learnt {}",
            unseen.join(", "),
            purpose.texts.join(", ")
        ));
    }
}

/// The CLIP model that the network was trained with.
fn guide(
    context: &Context,
    args: &Adapt,
    network: &Network,
    purpose: &Purpose,
) -> domex_error::Result<Guide> {
    let load = |path: &Path| Guide::load(path, 1.0, &context.device);
    if let Some(wanted) = &args.clip {
        let clip = named(wanted, 1.0)?;
        if domex_checkpoint::sha256_file(&clip.path)? != purpose.clip {
            return Err(user_error(format!(
                "--clip {wanted}: is not the CLIP model whose embeddings {} reads",
                network.shown()
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
        "{}: reads embeddings of a CLIP model that does not ship with the program; give it as --clip",
        network.shown()
    )))
}

/// What the network reads of texts.
struct Words<'a> {
    means: TextMeans<'a>,
    device: &'a Device,
}

impl<'a> Words<'a> {
    fn new(context: &'a Context, guide: &'a Guide) -> domex_error::Result<Self> {
        Ok(Self {
            means: TextMeans::new(&guide.clip, &guide.tokenizer, None)?,
            device: &context.device,
        })
    }

    /// `[1, d]` at length 1.
    fn embedding(&self, text: &str) -> domex_error::Result<Tensor> {
        let mean = self.means.mean(&Prompts::imagenet(), text)?.unsqueeze(0)?;
        let mean = unit_length(&mean)?.to_dtype(DType::F32)?;
        Ok(mean.to_device(self.device)?)
    }
}

/// The mean of what the generator's own pictures are to the CLIP model, `[1, d]`. The network knows texts, and embeddings of pictures
/// lie elsewhere; so what sets a picture apart from these is added to the embedding of the source's text.
fn own(
    context: &Context,
    args: &Adapt,
    model: &StyleGan2,
    guide: &Guide,
) -> domex_error::Result<Tensor> {
    /// Pictures that stand for the generator's own.
    const OWN: u32 = 16;
    let generator = StyleGan2::new(model.g_ema.clone());
    let generator = Model::StyleGan2(Box::new(generator));
    let mut painter = Painter::new(context, &generator, &args.synthesis)?;
    let seeds: Vec<u32> = (0..OWN).collect();
    let ws = painter.latents(&seeds)?;
    let own = painter.paint_all(context, &ws)?;
    Ok(unit_length(&guide.features_of_files(&own)?)?.mean_keepdim(0)?)
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
