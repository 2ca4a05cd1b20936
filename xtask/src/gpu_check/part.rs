//! The parts of the check, and one part as a process: its rows as lines of JSON on stdout.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};

use candle_core::Device;
use clap::ValueEnum;
use domex_error::{Result, user_error};
use serde::{Deserialize, Serialize};

use super::{Args, Where, expansion, golden, networks, operators, times};
use crate::out::say;

/// What is checked, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Every operator against the CPU's float64.
    Operators,
    /// The reference cases of the published programs.
    Golden,
    /// A short expansion, against the CPU, and resumed.
    Expansion,
    /// Times of operators.
    Times,
    /// Times of networks and steps.
    Networks,
}

impl Part {
    pub const ALL: [Self; 5] = [
        Self::Operators,
        Self::Golden,
        Self::Expansion,
        Self::Times,
        Self::Networks,
    ];

    /// As `--part` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operators => "operators",
            Self::Golden => "golden",
            Self::Expansion => "expansion",
            Self::Times => "times",
            Self::Networks => "networks",
        }
    }

    /// How long it may take: on a card less than eight minutes together.
    pub fn limit(self, on_card: bool) -> Duration {
        let seconds = match self {
            Self::Operators => 60,
            Self::Golden => 120,
            Self::Expansion => 75,
            Self::Times => 75,
            Self::Networks => 120,
        };
        // A rehearsal may be of a slow build on a busy machine.
        Duration::from_secs(if on_card { seconds } else { 20 * seconds })
    }

    fn tasks(self, setup: &Setup) -> Result<Vec<Task>> {
        match self {
            Self::Operators => Ok(operators::tasks()),
            Self::Golden => golden::tasks(),
            Self::Expansion => Ok(expansion::tasks()),
            Self::Times => Ok(times::tasks(setup)),
            Self::Networks => Ok(networks::tasks(setup)),
        }
    }
}

/// What every part needs.
pub struct Setup {
    /// Where it computes.
    pub device: Device,
    /// Where the networks of the portrait world are.
    pub assets: PathBuf,
}

impl Setup {
    /// Whether this is no rehearsal.
    pub fn on_card(&self) -> bool {
        !self.device.is_cpu()
    }
}

/// Finds out what a row says.
type Work = Box<dyn FnOnce(&Setup) -> Result<Found>>;

/// What makes one row.
pub struct Task {
    /// Unique in its part.
    pub name: String,
    pub run: Work,
}

impl Task {
    pub fn new(
        name: impl Into<String>,
        run: impl FnOnce(&Setup) -> Result<Found> + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub ok: bool,
    /// For people.
    pub text: String,
    /// For programs.
    pub figures: serde_json::Value,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub part: Part,
    pub name: String,
    pub ok: bool,
    pub text: String,
    pub figures: serde_json::Value,
}

/// What a part's process prints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// First: how many rows there will be.
    Count(usize),
    Row(Row),
}

/// Runs the part, whose tasks do not stop one another.
pub fn run(part: Part, args: &Args) -> Result<()> {
    let setup = Setup {
        device: open(args.device)?,
        assets: args.assets.clone(),
    };
    let mut tasks = part.tasks(&setup)?;
    if let Some(only) = &args.only {
        tasks.retain(|task| only.is_match(&format!("{}/{}", part.name(), task.name)));
    }
    print(&Line::Count(tasks.len()))?;
    for Task { name, run } in tasks {
        let Found { ok, text, figures } = found(|| run(&setup));
        print(&Line::Row(Row {
            part,
            name,
            ok,
            text,
            figures,
        }))?;
    }
    Ok(())
}

fn print(line: &Line) -> Result<()> {
    say!("{}", serde_json::to_string(line)?);
    Ok(())
}

/// What a task found; an error or a panic is a row that is wrong.
fn found(run: impl FnOnce() -> Result<Found>) -> Found {
    let wrong = |text: String| Found {
        ok: false,
        text: text.lines().next().unwrap_or_default().to_owned(),
        figures: serde_json::Value::Null,
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => wrong(error.message()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned()));
            wrong(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn open(device: Where) -> Result<Device> {
    match device {
        Where::Cpu => Ok(Device::Cpu),
        Where::Card(index) => card(index),
        Where::StandIn => Err(user_error(
            "--part with --device stand-in: leave --part out",
        )),
    }
}

/// Opens a card.
#[cfg(feature = "cuda")]
pub fn card(index: usize) -> Result<Device> {
    domex_cuda::compile::open(index).map_err(|e| user_error(e.to_string()))?;
    Ok(domex_ops::device::cuda(index)?)
}

/// Opens a card.
#[cfg(not(feature = "cuda"))]
pub fn card(_: usize) -> Result<Device> {
    Err(user_error(
        "this build of xtask has no CUDA support; call gpu-check without --part, which makes one that has",
    ))
}

/// What `run` makes with TF32 allowed, if it is to be, which it is not afterwards, whatever happens.
pub fn with_tf32<R>(allow: bool, run: impl FnOnce() -> R) -> R {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            domex_ops::allow_tf32(false);
        }
    }
    let _reset = Reset;
    domex_ops::allow_tf32(allow);
    run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_take_less_than_eight_minutes_on_a_card() {
        let all: Duration = Part::ALL.iter().map(|part| part.limit(true)).sum();
        assert!(all < Duration::from_secs(8 * 60), "{all:?}");
    }

    #[test]
    fn an_error_and_a_panic_are_rows_that_are_wrong() {
        let error = found(|| Err(user_error("no\nroom")));
        assert_eq!((error.ok, error.text.as_str()), (false, "no"));
        let panic = found(|| panic!("index {}", 3));
        assert_eq!(
            (panic.ok, panic.text.as_str()),
            (false, "panicked: index 3")
        );
    }
}
