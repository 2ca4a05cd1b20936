//! What looks at the domains of an expanded model: a judge, beside renderings where the model draws portraits.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use domex_data::picture;
use domex_data::portraits::Domain;
use domex_error::user_error;
use domex_eval::{Evaluators, Known, Outcomes, Pair, Truth, outcomes, pairs, truth};
use domex_judge::Judge;
use domex_lpips::Lpips;
use domex_pretrain::portraits::Painter;

use super::Eval;
use super::asked::Asked;
use crate::context::Context;
use crate::kinds::Model;
use crate::{assets, kinds};

/// Numbers that decide a portrait, where the model has no latents of its own for it: as many as the shipped StyleGAN2 has, so
/// that both kinds are asked for the same people.
const PEOPLE_NUMBERS: usize = 512;

/// What looks at the domains of an expanded model.
pub struct Judged {
    judge: Judge,
}

impl Judged {
    /// Nothing, with a notice, where the shipped judge takes pictures of another size and there are other figures.
    pub fn new(context: &Context, args: &Eval, model: &Model) -> domex_error::Result<Option<Self>> {
        let size = model.generator().resolution();
        let optional = args.judge.is_none() && (args.data.is_some() || args.clip.is_some());
        if optional && assets::file(assets::JUDGE)?.is_none() {
            context.say("no judge is shipped: the domains are not judged");
            return Ok(None);
        }
        let judge = Judge::load(judge_file(args.judge.as_deref())?, &context.device)?;
        let takes = judge.config().size;
        if size == takes {
            return Ok(Some(Self { judge }));
        }
        let problem = format!(
            "the model's pictures have {size} × {size} pixels and the judge takes {takes} × {takes}"
        );
        if !optional {
            return Err(user_error(format!(
                "{problem}; give the judge of the model's world, as --judge"
            )));
        }
        context.say(&format!("{problem}: its domains are not judged"));
        Ok(None)
    }

    /// The domains beside renderings of the same latents; `None` for a model that does not draw portraits. What a StyleGAN2's latent
    /// shows was fitted to the renderer; the latent of an autoencoder is that of a rendered photograph.
    pub fn truth(
        &self,
        context: &Context,
        args: &Eval,
        asked: &Asked,
    ) -> domex_error::Result<Option<Truth>> {
        let Some(model) = asked.of_portraits(context, args)? else {
            return Ok(None);
        };
        if args.pictures < 4 {
            return Ok(None);
        }
        let count = args.pictures as usize;
        let progress = context.progress("renderings", count);
        let painter = Painter {
            side: self.judge.config().size as u32,
        };
        let known = Known {
            numbers: match model {
                Model::StyleGan2(_) | Model::StyleGan3(_) => model.generator().noise_dim(),
                Model::DiffAe(_) => PEOPLE_NUMBERS,
            },
            rendering: &|z, domain| painter.rendering(z, domain),
            latents: &|z| known_latents(model, painter, z),
        };
        let subject = asked.subject(None);
        let found = truth(subject, &self.judge, known, count, context.seed, |n| {
            progress.advance(n);
        })?;
        Ok((!found.domains.is_empty()).then_some(found))
    }

    /// Those of its domains in one picture that a judge can see at once.
    pub fn pairs(
        &self,
        args: &Eval,
        asked: &Asked,
        truth: &Truth,
        seed: u64,
    ) -> domex_error::Result<Vec<Pair>> {
        let domains = truth.domains.iter();
        let domains: Vec<_> = domains.map(|own| (own.name.as_str(), own.domain)).collect();
        let pictures = (args.pictures as usize).div_ceil(4);
        Ok(pairs(
            asked.subject(None),
            &self.judge,
            &domains,
            pictures,
            seed,
        )?)
    }

    pub fn outcomes(
        &self,
        context: &Context,
        args: &Eval,
        asked: &Asked,
        perceptual: &Lpips,
    ) -> domex_error::Result<Outcomes> {
        let count = args.pictures as usize;
        let progress = context.progress("latents", count);
        let by = Evaluators {
            judge: &self.judge,
            perceptual,
        };
        let found = outcomes(
            asked.subject(args.class),
            asked.before(),
            by,
            count,
            context.seed,
            |n| {
                progress.advance(n);
            },
        )?;
        Ok(found)
    }
}

/// The latents of the portraits that these numbers `[n, …]` decide.
fn known_latents(model: &Model, painter: Painter, z: &Tensor) -> domex_latent::Result<Tensor> {
    let model = match model {
        Model::StyleGan2(_) | Model::StyleGan3(_) => return model.generator().map(z, None),
        Model::DiffAe(model) => model,
    };
    let photograph = |z: &Vec<f32>| painter.rendering(z, Domain::Photo);
    let photographs: Vec<_> = z.to_vec2()?.iter().map(photograph).collect();
    let foreign = |error| domex_latent::Error::network("diffusion autoencoder", error);
    let photographs = picture::from_rgb(&photographs, model.dtype(), model.device())
        .map_err(candle_core::Error::wrap)?;
    model.encode(&photographs).map_err(foreign)
}

/// The flag's file, or the shipped one.
fn judge_file(wanted: Option<&Path>) -> domex_error::Result<PathBuf> {
    match wanted {
        Some(path) if path.is_file() => {
            kinds::expect(path, &kinds::JUDGE)?;
            Ok(path.to_owned())
        }
        Some(path) => Err(user_error(format!(
            "--judge {}: no such file",
            path.display()
        ))),
        None => assets::expect(assets::JUDGE)
            .map_err(|error| user_error(format!("no --judge, and {error}"))),
    }
}
