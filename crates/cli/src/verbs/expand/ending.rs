//! What a run prints at its end, and its report.
//!
//! The model has been written by now, whatever becomes of its report.

use std::path::Path;
use std::process::ExitCode;

use domex_data::quoted;
use domex_error::AnyError;
use domex_expand::report;
use domex_train::Outcome;
use domex_train::signals::Signals;
use serde_json::{Value as Json, json};

use super::settings::Settings;
use super::{judged, verdict};
use crate::context::Context;
use crate::kinds::{self, Model, Networks};
use crate::paths::text;

/// A run that has ended.
pub struct Ending<'a> {
    pub context: &'a Context,
    pub settings: &'a Settings,
    pub outcome: &'a Outcome,
    pub out: &'a Path,
}

impl Ending<'_> {
    /// Tells of it, makes the report if nobody waits for the end, and says the exit code.
    pub fn tell(&self, source: &Model, notices: &[String]) -> domex_error::Result<ExitCode> {
        self.steps();
        // A run that was stopped has somebody waiting.
        let report = match self.outcome.signal {
            Some(_) => Ok(None),
            None => self.report(source),
        };
        let failed = report.as_ref().err().map(|error| {
            let hint = "the model is whole; `domex expand --resume` makes the report again";
            let error = error.message();
            AnyError::internal(format!("no report: {error}; {hint}")).report("domex")
        });
        let report = report.ok().flatten();
        if let Some(report) = &report {
            for line in verdict::lines(&report.numbers, self.out, self.outcome.clock.step) {
                self.context.say(&line);
            }
            let line = format!("report    {}", report.page.display());
            self.context.say(&line);
        }
        self.context.result(&self.json(report.as_ref(), notices));
        // A signal to another rank, or the file that stands for one, ended this one too.
        let signal = interrupted()?.or(self.outcome.signal);
        let code = signal.map_or(0, |signal| 128 + signal);
        Ok(failed.unwrap_or(ExitCode::from(code)))
    }

    fn steps(&self) {
        let Self {
            context, outcome, ..
        } = self;
        let steps = outcome.clock.step;
        if outcome.signal.is_some() {
            let folder = quoted(self.out);
            context.say(&format!(
                "stopped after {steps} steps; resume with: domex expand --resume {folder}"
            ));
        } else {
            let why = match outcome.plateau {
                true => ", on a plateau",
                false => "",
            };
            let seconds = outcome.clock.seconds;
            context.say(&format!("done after {steps} steps{why}, {seconds:.0} s"));
        }
        context.say(&format!("model     {}", outcome.model.display()));
        if let Some((path, best)) = &outcome.best {
            let (path, step) = (path.display(), best.step);
            context.say(&format!(
                "best      {path}, the lowest validation loss, after {step} steps"
            ));
        }
    }

    /// The page, with the judge's table; nothing where a signal came meanwhile.
    fn report(&self, source: &Model) -> domex_error::Result<Option<report::Report>> {
        let Self {
            context,
            settings,
            outcome,
            out,
        } = self;
        let expanded = kinds::open(&outcome.model, Networks::All, &context.device)?;
        let Some(expansion) = expanded.expansion() else {
            self.measure_otherwise();
            return Ok(None);
        };
        let judged = judged::section(context, settings, &expanded, source)?;
        if interrupted()?.is_some() {
            return Ok(None);
        }
        let model = report::Expanded {
            generator: expanded.generator(),
            expansion,
            provenance: expanded.provenance(),
            class: settings.config.class,
        };
        let source = Some(source.generator());
        let report = report::write(out, model, source, judged.as_ref())?;
        Ok(Some(report))
    }

    /// A generator that was adapted as a whole has no base and no directions to report of.
    fn measure_otherwise(&self) {
        let (model, source) = (quoted(&self.outcome.model), quoted(&self.settings.model));
        for task in &self.settings.tasks {
            self.context.say(&format!(
                "next      what became of it: domex eval --model {model} --source {source} --domain {}",
                quoted(task.name())
            ));
        }
    }

    fn json(&self, report: Option<&report::Report>, notices: &[String]) -> Json {
        let outcome = self.outcome;
        let best = outcome.best.as_ref();
        json!({
            "out": text(self.out),
            "model": text(&outcome.model),
            "best": best.map(|(path, best)| json!({ "model": text(path), "step": best.step, "score": best.score })),
            "report": report.map(|report| text(&report.page)),
            "measures": report.map_or(Json::Null, |report| report.numbers.clone()),
            "snapshot": text(&outcome.snapshot),
            "step": outcome.clock.step,
            "images": outcome.clock.images,
            "seconds": outcome.clock.seconds,
            "signal": outcome.signal,
            "plateau": outcome.plateau,
            "not_applied": outcome.skipped,
            "notices": notices,
            "last": outcome.last.as_ref().map(domex_train::events::Record::to_json),
        })
    }
}

/// The signal that came, while the run trained or since.
fn interrupted() -> domex_error::Result<Option<u8>> {
    Ok(Signals::install()?.caught())
}
