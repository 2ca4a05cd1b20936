//! What is told of a run that has ended, and the page on what it made.
//!
//! What has been learnt is in its file by now, whatever becomes of its report.

use std::path::Path;
use std::process::ExitCode;

use domex_expand::{Expand as Job, report};
use domex_stylegan2::Model;
use domex_train::Outcome;
use domex_train::signals::Signals;
use serde_json::{Value as Json, json};

use super::judged;
use super::settings::Settings;
use crate::context::Context;
use crate::exit;

/// A run that has ended.
pub struct Ending<'a> {
    pub context: &'a Context,
    pub settings: &'a Settings,
    pub outcome: &'a Outcome,
    pub out: &'a Path,
}

impl Ending<'_> {
    /// Tells of it, makes the report if nobody waits for the end, and says the exit code.
    pub fn tell(&self, job: &Job, source: &Model, notices: &[String]) -> anyhow::Result<ExitCode> {
        self.steps();
        // A run that was stopped has somebody waiting.
        let report = match self.outcome.signal {
            Some(_) => Ok(None),
            None => self.report(job, source),
        };
        let failed = report.as_ref().err().map(|error| {
            let hint = "the model is whole; `domex expand --resume` makes the report again";
            exit::report(&anyhow::anyhow!("no report: {error:#}; {hint}"))
        });
        let report = report.ok().flatten();
        if let Some(report) = &report {
            let line = format!("report    {}", report.page.display());
            self.context.say(&line);
        }
        self.context.result(&self.json(report.as_ref(), notices));
        let code = interrupted()?.map_or(0, |signal| 128 + signal);
        Ok(failed.unwrap_or(ExitCode::from(code)))
    }

    fn steps(&self) {
        let Self {
            context, outcome, ..
        } = self;
        let steps = outcome.clock.step;
        if outcome.signal.is_some() {
            let folder = self.out.display();
            context.say(&format!(
                "stopped after {steps} steps; go on with: domex expand --resume {folder}"
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
    fn report(&self, job: &Job, source: &Model) -> anyhow::Result<Option<report::Report>> {
        let Self {
            context,
            settings,
            outcome,
            out,
        } = self;
        let expanded = job.model(&outcome.clock)?;
        let judged = judged::section(context, settings, &expanded, source)?;
        if interrupted()?.is_some() {
            return Ok(None);
        }
        let seed = settings.seed;
        let report = report::write(out, &expanded, Some(source), seed, judged.as_ref())?;
        Ok(Some(report))
    }

    fn json(&self, report: Option<&report::Report>, notices: &[String]) -> Json {
        let outcome = self.outcome;
        let best = outcome.best.as_ref();
        json!({
            "out": self.out,
            "model": outcome.model,
            "best": best.map(|(path, best)| json!({ "model": path, "step": best.step, "score": best.score })),
            "report": report.map(|report| &report.page),
            "measures": report.map_or(Json::Null, |report| report.numbers.clone()),
            "snapshot": outcome.snapshot,
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
fn interrupted() -> anyhow::Result<Option<u8>> {
    Ok(Signals::install()?.caught())
}
