//! `bench`: how fast the operators and networks are, alone or in turns with PyTorch.
//!
//! For each row both sides are started as processes of their own ([`worker`]; `bench/peer/serve.py`), so that
//! memory is the row's. They then run in turns, a fraction of a second each, and the ratio is the median
//! over the pairs of turns: what else the machine does meets both alike.
//!
//! Exit code 0 when every row was measured, 1 when one failed, 2 when the peer or a row asked for does not exist.
//! A ratio below its target is printed and is no failure: it depends on the machine.

mod clock;
mod diffusion;
mod expansion;
mod inversion;
mod networks;
pub mod report;
pub mod rows;
mod side;
pub mod work;
mod worker;

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use domex_error::{Result, user_error};
use regex::Regex;

use self::{
    report::{HEAD, Json, Measured, Turns},
    rows::Row,
    side::Program,
};
use crate::out::say;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also write the result to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Run PyTorch on the same work in turns with ours, and print the ratios.
    #[arg(long)]
    peer: bool,
    /// The Python that has PyTorch.
    #[arg(
        long,
        value_name = "PATH",
        env = "DOMEX_PEER_PYTHON",
        default_value = "python3"
    )]
    python: PathBuf,
    /// Only rows whose name matches.
    #[arg(long, value_name = "REGEX")]
    rows: Option<Regex>,
    /// Print the names of the rows and do nothing.
    #[arg(long)]
    list: bool,
    /// Threads of each side [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Turns of each side.
    #[arg(long, value_name = "N", default_value_t = 7)]
    turns: usize,
    /// Seconds that a turn takes, at least.
    #[arg(long, value_name = "S", default_value_t = 0.3)]
    seconds: f64,
    /// One side of a measurement: reads work from stdin.
    #[arg(long, hide = true)]
    worker: bool,
}

/// Runs a turn has at most, for rows of microseconds.
const MOST_RUNS: f64 = 10_000.0;

/// A first run that takes this many turns' time is longer than a turn without its caches, too.
const LONG: f64 = 8.0;

/// Runs the job.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.worker {
        worker::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = chosen(args)?;
    if args.list {
        rows.iter().for_each(|row| say!("{}", row.name));
        return Ok(ExitCode::SUCCESS);
    }
    check(args)?;
    let threads = args
        .threads
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let ours = Program::ours(threads)?;
    let peer = args
        .peer
        .then(|| Program::peer(&args.python, threads))
        .transpose()?;
    if cfg!(debug_assertions) {
        eprintln!(
            "xtask: these are no figures: build with --release (cargo run --release -p xtask -- bench)"
        );
    }
    let date = report::date(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs());
    let version = peer
        .as_ref()
        .map(|(_, version)| format!("PyTorch {version}"));
    say!(
        "{date}, {}, {threads} threads{}\n",
        report::processor(),
        version
            .as_ref()
            .map_or(String::new(), |v| format!(", against {v}"))
    );
    say!("{HEAD}");
    let (mut measured, mut failed) = (Vec::new(), 0);
    for row in &rows {
        match measure(args, row, &ours, peer.as_ref().map(|(program, _)| program)) {
            Ok(row) => {
                say!("{}", row.line());
                measured.push(row);
            }
            Err(error) => {
                failed += 1;
                eprintln!("xtask: {}: {}", row.name, error.message());
            }
        }
    }
    say!("");
    report::means(&measured);
    if let Some(path) = &args.json {
        let json = Json {
            date,
            processor: report::processor(),
            threads,
            release: !cfg!(debug_assertions),
            peer: version,
            rows: &measured,
        };
        report::save(path, &json)?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn check(args: &Args) -> Result<()> {
    if args.turns == 0 || args.threads == Some(0) {
        return Err(user_error("--turns and --threads: at least 1"));
    }
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return Err(user_error(format!(
            "--seconds {}: more than 0, at most 3600",
            args.seconds
        )));
    }
    Ok(())
}

fn chosen(args: &Args) -> Result<Vec<Row>> {
    let mut rows = rows::all();
    if let Some(pattern) = &args.rows {
        rows.retain(|row| pattern.is_match(&row.name));
        if rows.is_empty() {
            return Err(user_error(format!(
                "--rows {pattern}: no row has such a name; `bench --list` prints them"
            )));
        }
    }
    Ok(rows)
}

/// All turns of a row.
fn measure(args: &Args, row: &Row, ours: &Program, peer: Option<&Program>) -> Result<Measured> {
    let mut ours = ours.start(&row.work)?;
    let mut peer = peer.map(|peer| peer.start(&row.work)).transpose()?;
    // The first run of a side fills its caches, the second tells how many a turn takes.
    let mut count = |side: &mut side::Side| -> Result<usize> {
        let first = side.run(1)?.wall;
        if first > LONG * args.seconds {
            return Ok(1);
        }
        let once = side.run(1)?.wall.max(1e-9);
        Ok((args.seconds / once).ceil().clamp(1.0, MOST_RUNS) as usize)
    };
    let runs = [
        count(&mut ours)?,
        peer.as_mut().map(&mut count).transpose()?.unwrap_or(1),
    ];
    let mut turns = Turns::new();
    for _ in 0..args.turns {
        let first = ours.run(runs[0])?;
        let second = peer.as_mut().map(|peer| peer.run(runs[1])).transpose()?;
        turns.push((first, second));
    }
    Ok(Measured::new(row, runs, &turns))
}
