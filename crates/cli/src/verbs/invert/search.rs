//! The search of `domex invert`, a batch at a time, and what it writes.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::Tensor;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::picture::{self, write_png};
use domex_encoder::Encoder;
use domex_invert::{Config, Inversion, Likeness, Place, Projector, TuneConfig, tune};
use domex_lpips::Lpips;
use domex_random::Streams;
use domex_stylegan2::{Generator, Noise};
use serde_json::{Value as Json, json};

use super::outputs::{Found, fill, forget, paired, report, sheet};
use super::{Invert, PICTURES, names, start, subject, synthesize};
use crate::args::overwrite;
use crate::context::Context;
use crate::crop::given::{Given, Picture, tensor};
use crate::domains::{Domains, slugs};
use crate::interrupt::Interrupt;
use crate::kinds::Model;
use crate::paths::text;

/// What a search works with.
pub struct Search<'a> {
    pub context: &'a Context,
    pub args: &'a Invert,
    pub interrupt: Interrupt,
    pub model: &'a Model,
    pub perceptual: &'a Lpips,
    pub place: Option<&'a Place>,
    pub domains: Option<&'a Domains<'a>>,
    pub encoder: Option<Encoder>,
    pub config: Config,
}

impl Search<'_> {
    /// Looks for all pictures and writes everything; its figures.
    pub fn run(&self, given: &Given, folder: &OutputFolder) -> domex_error::Result<Json> {
        let mut sheet = sheet(self.names(), self.args.tune > 0);
        let start = Instant::now();
        let (latents, found) = self.latents(given, folder, sheet.rows())?;
        let seconds = start.elapsed().as_secs_f64() / given.len() as f64;
        let tuned = match self.args.tune {
            0 => None,
            _ => self.tuned(given, &latents, folder, sheet.rows())?,
        };
        let tuned = tuned.as_deref();
        let mut json = report(given, &found, tuned);
        json["start"] = json!(match self.encoder {
            Some(_) => "encoder",
            None => "mean",
        });
        json["steps"] = json!(self.config.steps);
        json["seconds_per_picture"] = json!(seconds);
        let path = folder.file("invert.json");
        write_atomic(&path, format!("{json:#}\n").as_bytes())?;
        fill(&mut sheet, given, found, tuned)?;
        write_png(&folder.file("beside.png"), &sheet.draw()?)?;
        json["notice"] = json!(sheet.notice());
        json["folder"] = json!(text(folder.path()));
        Ok(json)
    }

    /// Looks for all pictures, a batch at a time, and writes what is found: latents `[n, num_ws, D]`, and pictures, of which the
    /// first `kept` stay in memory.
    fn latents(
        &self,
        given: &Given,
        folder: &OutputFolder,
        kept: usize,
    ) -> domex_error::Result<(Tensor, Vec<Found>)> {
        let projector = Projector {
            generator: subject(self.model),
            perceptual: self.perceptual,
            place: self.place,
            config: self.config,
        };
        let force = self.args.out.force;
        let codes = OutputFolder::create(folder.file("latents"), force)?;
        let made = OutputFolder::create(folder.file(PICTURES), force)?;
        let projected = match self.args.npz {
            true => Some(OutputFolder::create(folder.file("projected"), force)?),
            false => None,
        };
        let progress = self
            .context
            .progress("steps", self.config.steps * given.len());
        let (mut latents, mut all) = (Vec::new(), Vec::<Found>::new());
        for (index, batch) in given.all().chunks(self.args.batch.into()).enumerate() {
            // Each batch has draws of its own.
            let streams = Streams::new(self.context.seed.wrapping_add(index as u64));
            let wanted = self.pixels(batch)?;
            let start = self.encoder.as_ref().map(|encoder| start(encoder, &wanted));
            let start = start.transpose()?;
            let found = projector.search(&wanted, start.as_ref(), &streams, &mut |_, _| {
                progress.advance(batch.len());
                match self.interrupt.check() {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(_) => ControlFlow::Break(()),
                }
            });
            // What ended the search goes before its own word for it.
            self.interrupt.check()?;
            let mut found = found?;
            let mut pictures = self.pictures(&found)?;
            if self.args.tune > 0 {
                // The tuned generator gives the pictures with its own.
                found.noise.clear();
            }
            for (picture, given) in batch.iter().enumerate() {
                let latent = codes.file(format!("{}.safetensors", given.name));
                found.write(picture, &latent, overwrite(force))?;
                if let Some(folder) = &projected {
                    let w = found.latents.narrow(0, picture, 1)?.contiguous()?;
                    Tensor::write_npz(&[("w", w)], folder.file(format!("{}.npz", given.name)))?;
                }
            }
            let domains = slugs(&self.names());
            let endings = domains.iter().map(|domain| format!("-{domain}"));
            let endings: Vec<String> = std::iter::once(String::new()).chain(endings).collect();
            for (given, found) in batch.iter().zip(&pictures) {
                for (ending, picture) in endings.iter().zip(&found.pictures) {
                    write_png(&made.file(format!("{}{ending}.png", given.name)), picture)?;
                }
            }
            latents.push(found.latents);
            forget(&mut pictures, all.len(), kept);
            all.extend(pictures);
        }
        Ok((Tensor::cat(&latents, 0)?, all))
    }

    /// Writes the model whose generator gives the pictures at these latents: what it makes of them. Of a StyleGAN2 alone.
    fn tuned(
        &self,
        given: &Given,
        latents: &Tensor,
        folder: &OutputFolder,
        kept: usize,
    ) -> domex_error::Result<Option<Vec<Found>>> {
        let Model::StyleGan2(model) = self.model else {
            return Ok(None);
        };
        let config = TuneConfig {
            steps: self.args.tune as usize,
            batch: self.args.batch.into(),
            ..TuneConfig::default()
        };
        let progress = self.context.progress("steps of tuning", config.steps);
        let mut stream = Streams::new(self.context.seed).stream("invert.tune");
        let tuned = tune(
            model.generator(),
            self.perceptual,
            latents,
            &mut |turn| {
                self.interrupt.check()?;
                self.pixels(turn.iter().map(|&index| &given.all()[index]))
            },
            &config,
            &mut stream,
            &mut |step, _| progress.set(step),
        )?;
        let mut found = Vec::new();
        for start in (0..given.len()).step_by(config.batch) {
            let n = config.batch.min(given.len() - start);
            let part = latents.narrow(0, start, n)?;
            let made = tuned.synthesis().forward(&part, Noise::Const)?;
            let wanted = self.pixels(&given.all()[start..start + n])?;
            let likeness = Likeness::between(self.perceptual, &made, &wanted)?;
            let mut pictures = paired(picture::to_rgb(&made)?, &likeness);
            forget(&mut pictures, start, kept);
            found.extend(pictures);
        }
        save(model, &tuned, folder, self.args.out.force)?;
        Ok(Some(found))
    }

    /// What was found as pictures, in the base and in every domain.
    fn pictures(&self, found: &Inversion) -> domex_error::Result<Vec<Found>> {
        let mut all = paired(picture::to_rgb(&found.pictures)?, &found.likeness);
        let Some(domains) = self.domains else {
            return Ok(all);
        };
        let noise: Vec<Tensor> = found.noise.iter().map(|(_, map)| map.clone()).collect();
        let base = domains.base(&found.latents)?;
        for name in self.names() {
            let moved = domains.moved(&base, &[(name, 1.0)])?;
            let made = synthesize(self.model, &moved, &noise)?;
            for (found, picture) in all.iter_mut().zip(picture::to_rgb(&made)?) {
                found.pictures.push(picture);
            }
        }
        Ok(all)
    }

    fn names(&self) -> Vec<String> {
        names(self.domains)
    }

    fn pixels<'a>(
        &self,
        given: impl IntoIterator<Item = &'a Picture>,
    ) -> domex_error::Result<Tensor> {
        tensor(given, self.model.generator().dtype(), &self.context.device)
    }
}

/// The model with the tuned generator, which has nothing to go on training from.
fn save(
    model: &domex_stylegan2::Model,
    generator: &Generator,
    folder: &OutputFolder,
    force: bool,
) -> domex_error::Result<()> {
    let mut model = model.clone();
    model.g_ema = generator.clone();
    model.g = None;
    model.discriminator = None;
    model.provenance["tuned"] = json!(true);
    Ok(model.save(folder.file("model.safetensors"), overwrite(force))?)
}
