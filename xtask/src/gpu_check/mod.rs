//! `gpu-check`: all that needs a card, on one: whether it computes what the CPU computes, and how fast.
//!
//! Each part is a process of its own with a limit of time: a kernel that writes where it must not takes its process's context
//! with it, and the other parts still say what they found. What needs no card is checked without one: the kernels run on the
//! host in the tests of `domex-cuda`, and compile for every architecture in `cargo xtask cuda ptx`. `--device cpu` rehearses the
//! same code on the CPU, at small sizes; `--device stand-in` runs the operators' calls of a card, kernels and all, on the CPU.
//!
//! Exit code 0 when all is right, 1 when a row is wrong or a part was cut short, 3 without a card.

mod cudnn;
mod expansion;
mod golden;
mod halves;
mod networks;
mod operators;
mod page;
mod part;
mod ranks;
mod relay;
mod times;
mod uploads;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    str::FromStr,
    time::Instant,
};

use domex_cuda::device::{self, Card};
use domex_error::{Context, Result, bail, user_error};
use regex::Regex;

use self::page::Report;
pub use self::part::Part;
use crate::{
    cuda::{build, stand_in, target},
    out::{say, write_json},
};

/// There is no card: not a success, not a failure of the operators.
const NO_CARD: u8 = 3;

/// Arguments of `gpu-check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The card's number; cpu for a rehearsal; or stand-in for the operators as on a card, with the kernels run by the CPU, and for
    /// reference cases, those of --only.
    #[arg(long, default_value = "0", value_name = "N|cpu|stand-in")]
    device: Where,
    /// Only rows whose part/name matches, such as ^golden/stylegan2.
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,
    /// Also write the result to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result to bench/GPU.md, in place of the last one.
    #[arg(long)]
    write: bool,
    /// Where the networks of the portrait world are.
    #[arg(long, value_name = "DIR", default_value = "assets/portraits")]
    assets: PathBuf,
    /// One part, in this process: prints its rows as JSON.
    #[arg(long, hide = true)]
    part: Option<Part>,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Cpu,
    Card(usize),
    /// What stands for a card's libraries.
    StandIn,
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "stand-in" => Ok(Self::StandIn),
            number => number
                .parse()
                .map(Self::Card)
                .map_err(|_| "the number of a card, cpu, or stand-in".to_owned()),
        }
    }
}

/// Finds the card, and runs every part on it.
pub fn run(args: &Args) -> Result<ExitCode> {
    if let Some(part) = args.part {
        part::run(part, args)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.write && !matches!(args.device, Where::Card(_)) {
        return Err(user_error(
            "--write: a rehearsal is no measurement; leave --write or --device out",
        ));
    }
    if args.write && args.only.is_some() {
        return Err(user_error(
            "--write: the page holds a whole check; leave --write or --only out",
        ));
    }
    let (card, program) = match args.device {
        Where::Cpu => {
            say!("a rehearsal on the CPU: the same code, small sizes; nothing here is of a GPU\n");
            (None, std::env::current_exe()?)
        }
        Where::StandIn => {
            say!(
                "the operators as on a card, with the kernels run by the CPU; nothing here is of a GPU\n"
            );
            (None, built("dev")?)
        }
        Where::Card(index) => match device::find(index) {
            Ok(card) => (Some(card), built("release")?),
            Err(why) => {
                say!("nothing was run: {why}");
                return Ok(ExitCode::from(NO_CARD));
            }
        },
    };
    check(args, card, &program)
}

/// All parts, the table and the JSON.
fn check(args: &Args, card: Option<Card>, program: &Path) -> Result<ExitCode> {
    let start = Instant::now();
    let mut rows = Vec::new();
    say!("{}", page::HEAD);
    // A fibre for each thread takes its time: reference cases take seconds to minutes each, the other parts too long.
    let (parts, libraries) = match (args.device, &args.only) {
        (Where::StandIn, None) => (&[Part::Operators][..], Some(stand_in::build()?)),
        (Where::StandIn, Some(_)) => {
            let parts = &[Part::Operators, Part::Golden][..];
            (parts, Some(stand_in::build()?))
        }
        _ => (&Part::ALL[..], None),
    };
    for &part in parts {
        let mut command = command(args, part, program, libraries.as_deref());
        let limit = part.limit(card.is_some());
        rows.extend(relay::rows(&mut command, part, limit, |row| {
            say!("{}", page::line(row));
        })?);
    }
    if rows.is_empty() {
        return Err(user_error(
            "no row matches --only: names are part/name, as in the table without it",
        ));
    }
    let report = Report::new(card, rows, start.elapsed());
    say!("\n{}", report.summary());
    let json = serde_json::to_value(&report)?;
    match &args.json {
        Some(path) => write_json(path, &json)?,
        None => say!("{json}"),
    }
    if args.write {
        page::write(&report)?;
    }
    Ok(ExitCode::from(u8::from(!report.ok())))
}

/// What runs one part; `libraries` stand for CUDA's.
fn command(args: &Args, part: Part, program: &Path, libraries: Option<&Path>) -> Command {
    let mut command = Command::new(program);
    command.args(["gpu-check", "--part", part.name(), "--device"]);
    command.arg(match args.device {
        Where::Cpu => "cpu".to_owned(),
        Where::Card(index) => index.to_string(),
        Where::StandIn => "0".to_owned(),
    });
    if let Some(folder) = libraries {
        // What the stand-in takes for compiled kernels stays out of the cache.
        command.env("LD_LIBRARY_PATH", folder);
        command.env("XDG_CACHE_HOME", folder.join("cache"));
    }
    command.arg("--assets").arg(&args.assets);
    if let Some(only) = &args.only {
        command.args(["--only", only.as_str()]);
    }
    command
}

/// This program with CUDA support: optimised all the same, but without the last step where no times are taken.
fn built(profile: &str) -> Result<PathBuf> {
    let host = build::host()?;
    let cargo = ["build", "--profile", profile, "-p", "xtask"].map(str::to_owned);
    let status = build::command(&host, &cargo)?.status().context("cargo")?;
    if !status.success() {
        bail!("cargo {}: {status}", cargo.join(" "));
    }
    let folder = match profile {
        "dev" => "debug",
        profile => profile,
    };
    Ok(target().join(&host).join(folder).join("xtask"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_number_or_what_takes_its_place() {
        assert_eq!("cpu".parse(), Ok(Where::Cpu));
        assert_eq!("3".parse(), Ok(Where::Card(3)));
        assert_eq!("stand-in".parse(), Ok(Where::StandIn));
        assert!("cuda:0".parse::<Where>().is_err());
    }
}
