//! What the verbs that train a network for a generator have in common: the flags of a run, and how it begins and ends.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use domex_data::quoted;
use domex_error::user_error;
use domex_train::{Outcome, Resume, RunConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::Context;
use crate::paths::text;
use crate::runs;

/// Flags of a run. What else a verb takes conflicts with `resume`, or may only be repeated.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// The run's folder, created if absent [default with --resume: the folder of that run]
    #[arg(
        short,
        long,
        visible_alias = "outdir",
        value_name = "DIR",
        required_unless_present = "resume"
    )]
    pub out: Option<PathBuf>,
    /// Resume a run: its folder, or one of its snapshots. Its settings stay; only --kimg, --tick and --snap may change
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Thousands of pictures per tick; each tick prints a line, records losses and draws pictures [default: 2]
    #[arg(long, value_name = "KIMG")]
    pub tick: Option<f64>,
    /// Ticks between snapshots; 0: only at the end [default: 2]
    #[arg(long, value_name = "TICKS")]
    pub snap: Option<u64>,
    /// Check everything, print what would be done, and write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start a new run in a folder that has files; files of another run are removed
    #[arg(long)]
    pub force: bool,
}

/// How often a run tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticks {
    /// Pictures from one to the next.
    images: u64,
    /// Ticks from one snapshot to the next.
    snap: u64,
}

/// What makes a run of a network.
pub struct NetworkRun<'a, S> {
    /// Its folder.
    pub out: &'a Path,
    /// Its length in pictures.
    pub images: u64,
    pub seed: u64,
    pub ticks: Ticks,
    /// The files that it reads.
    pub inputs: Vec<PathBuf>,
    /// What its snapshots say of it.
    pub settings: &'a S,
}

impl RunFlags {
    /// The run's folder, and the settings that `domex VERB` put into the run that is resumed.
    pub fn begin<S: DeserializeOwned>(
        &self,
        verb: &str,
    ) -> domex_error::Result<(PathBuf, Option<S>)> {
        let out = runs::folder(self.out.as_deref(), self.resume.as_deref())?;
        let old = match &self.resume {
            Some(run) => Some(runs::settings(run, verb)?),
            None => None,
        };
        if old.is_none() && !self.force {
            runs::refuse_occupied(&out)?;
        }
        Ok((out, old))
    }

    /// As given, else those of the run that is resumed.
    pub fn ticks(&self, old: Option<Ticks>) -> domex_error::Result<Ticks> {
        let old = old.unwrap_or(Ticks {
            images: 2000,
            snap: 2,
        });
        Ok(Ticks {
            images: match self.tick {
                Some(tick) => images("--tick", tick)?,
                None => old.images,
            },
            snap: self.snap.unwrap_or(old.snap),
        })
    }

    /// The run, its inputs checked.
    pub fn config<S: Serialize>(
        &self,
        context: &Context,
        run: NetworkRun<'_, S>,
    ) -> domex_error::Result<RunConfig> {
        if context.given_seed.is_some_and(|seed| seed != run.seed) {
            return Err(kept("--seed"));
        }
        let config = RunConfig {
            force: self.force,
            inputs: run.inputs,
            images: run.images,
            tick_images: run.ticks.images.min(run.images),
            snap: run.ticks.snap,
            seed: run.seed,
            resume: self.resume.clone().map_or(Resume::No, Resume::From),
            show: context.show(),
            settings: serde_json::to_value(run.settings)?,
            ..RunConfig::new(run.out)
        };
        config.check_inputs()?;
        Ok(config)
    }

    /// Tells the folder. Whether the run ends here, since it is a dry one: then it tells the settings too.
    pub fn ends_dry<S: Serialize>(&self, context: &Context, out: &Path, settings: &S) -> bool {
        context.say(&format!("folder    {}", out.display()));
        if self.dry_run {
            context.result(&json!({ "out": text(out), "settings": settings }));
        }
        self.dry_run
    }
}

/// A flag that another value was given for than the resumed run has.
pub fn kept(flag: &str) -> domex_error::AnyError {
    user_error(format!(
        "{flag}: a resumed run keeps its settings; leave the flag out, or start a new run"
    ))
}

/// A number of thousands, as pictures.
pub fn images(flag: &str, kimg: f64) -> domex_error::Result<u64> {
    match kimg.is_finite() && kimg > 0.0 && kimg < 1e9 {
        true => Ok((kimg * 1000.0).ceil() as u64),
        false => Err(user_error(format!("{flag} {kimg}: give a number above 0"))),
    }
}

/// Tells how a run of `domex VERB` ended, and how to resume it where a signal ended it.
pub fn tell_end(context: &Context, verb: &str, out: &Path, outcome: &Outcome) {
    let done = outcome.clock.kimg();
    context.say(&match outcome.signal {
        Some(_) => format!(
            "stopped after {done} kimg; resume with: domex {verb} --resume {}",
            quoted(out)
        ),
        None => format!("{} after {done} kimg", outcome.model.display()),
    });
}

/// Tells how a run of `domex VERB` ended, in words and as JSON.
pub fn ended(context: &Context, verb: &str, out: &Path, outcome: &Outcome) -> ExitCode {
    tell_end(context, verb, out, outcome);
    context.result(&json!({
        "out": text(out),
        "model": text(&outcome.model),
        "snapshot": text(&outcome.snapshot),
        "step": outcome.clock.step,
        "images": outcome.clock.images,
        "seconds": outcome.clock.seconds,
        "signal": outcome.signal,
        "last": outcome.last.as_ref().map(domex_train::events::Record::to_json),
    }));
    ExitCode::from(outcome.exit_code())
}
