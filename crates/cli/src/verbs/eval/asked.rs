//! Whose domains are looked at: an expanded model's own, or the one that a model was adapted to as a whole.

use domex_error::user_error;
use domex_eval::{Domains, Subject};
use domex_latent::Generator;

use super::Eval;
use crate::context::Context;
use crate::kinds::Model;
use crate::models;
use crate::verbs::expand::inputs;

/// The model, beside the one that it came from.
pub struct Asked {
    pub model: Model,
    source: Option<Model>,
    /// What the source is called, and what `model` was adapted to, where it has no domains of its own.
    adapted: Option<(String, String)>,
}

impl Asked {
    /// # Errors
    ///
    /// A source of another shape, a model with domains that is said to be adapted, and flags for domains where there are none.
    pub fn new(context: &Context, args: &Eval) -> domex_error::Result<Self> {
        let model = models::load(context, &args.model)?;
        let adapted = args.domain.as_deref().map(words).transpose()?;
        let expanded = model.expansion().is_some();
        if adapted.is_some() && expanded {
            return Err(user_error(
                "--domain: is for a model that was adapted as a whole; this one has domains of its own",
            ));
        }
        if !expanded && adapted.is_none() {
            without_domains(args)?;
        }
        let source = args.source.as_deref();
        let source = source
            .map(|wanted| models::open(&context.device, "--source", wanted))
            .transpose()?;
        if let Some(source) = &source
            && !source.is_of_the_shape_of(&model)
        {
            return Err(user_error(format!(
                "--source: a network of {} pixels that is not of the model's shape, {} pixels; give the file that it was made from",
                source.generator().resolution(),
                model.generator().resolution(),
            )));
        }
        Ok(Self {
            model,
            source,
            adapted,
        })
    }

    /// Whether there are domains to look at.
    pub fn has_domains(&self) -> bool {
        self.model.expansion().is_some() || self.adapted.is_some()
    }

    /// As measures see it.
    pub fn subject(&self, class: Option<usize>) -> Subject<'_> {
        match (&self.source, &self.adapted) {
            (Some(before), Some((source, target))) => Subject {
                domains: Some(Domains::Adapted {
                    generator: self.model.generator(),
                    source,
                    target,
                }),
                ..before.subject(class)
            },
            _ => self.model.subject(class),
        }
    }

    /// The generator that the base moved away from; of an adapted model it is the base itself.
    pub fn before(&self) -> Option<&dyn Generator> {
        let source = self.source.as_ref().filter(|_| self.adapted.is_none());
        source.map(Model::generator)
    }

    /// The model whose latents say what a picture shows, if that is the renderer's portraits.
    pub fn of_portraits(
        &self,
        context: &Context,
        args: &Eval,
    ) -> domex_error::Result<Option<&Model>> {
        let (model, path) = match (&self.source, &self.adapted, &args.source) {
            (Some(source), Some(_), Some(path)) => (source, path.as_str()),
            _ => (&self.model, models::name(&args.model)),
        };
        Ok(inputs::is_portraits(path, model, &context.device)?.then_some(model))
    }
}

/// "source=>target" or the target alone.
fn words(text: &str) -> domex_error::Result<(String, String)> {
    let (source, target) = text.split_once("=>").unwrap_or(("photo", text));
    let (source, target) = (source.trim(), target.trim());
    match source.is_empty() || target.is_empty() {
        true => Err(user_error(format!(
            "--domain {text:?}: expected what the model was adapted to, in words, or \"source=>target\""
        ))),
        false => Ok((source.to_owned(), target.to_owned())),
    }
}

/// What can still be asked.
fn without_domains(args: &Eval) -> domex_error::Result<()> {
    if args.data.is_none() && !args.path_length {
        return Err(user_error(
            "eval: the model has no domains; give one that `domex expand` made, as --model, pictures to compare it with, as --data, or what it was adapted to, as --domain",
        ));
    }
    for (flag, given) in [
        ("--source", args.source.is_some()),
        ("--judge", args.judge.is_some()),
        ("--clip", args.clip.is_some()),
        ("--class", args.class.is_some()),
    ] {
        if given {
            let problem =
                format!("{flag}: is for models that were expanded; this one has no domains");
            return Err(user_error(problem));
        }
    }
    Ok(())
}
