//! The `domex` program: what people type.
//!
//! This crate holds no maths and no loops over tensors. It turns flags into calls of the crates
//! below, shows progress, writes pictures and tables, and chooses the exit code:
//! 0 done, 1 our fault, 2 yours to mend, 130 or 143 interrupted.

mod args;
mod assets;
mod basis;
mod context;
mod domains;
mod exit;
mod models;
mod pictures;
mod progress;
mod runs;
mod seeds;
mod stdout;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Verb};
use crate::context::Context;

fn main() -> ExitCode {
    calm_candle();
    // clap itself exits with 2 on a bad flag and 0 on --help.
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
    }
}

/// candle's threads for element-wise operations wait for work in a busy loop: in a training they took a third of the
/// processor's time from the kernels. One thread there, unless the user wants it otherwise.
fn calm_candle() {
    const VARIABLE: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: this is the first thing that the program does; there is no other thread that could read the
        // environment at the same time.
        unsafe { std::env::set_var(VARIABLE, "1") };
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let context = Context::new(&cli.common)?;
    let done = match cli.verb {
        Verb::Train(args) => return verbs::train::run(&context, &args),
        Verb::Expand(args) => return verbs::expand::run(&context, &args),
        Verb::Info(args) => verbs::info::run(&context, &args),
        Verb::Generate(args) => verbs::generate::run(&context, &args),
        Verb::Traverse(args) => verbs::traverse::run(&context, &args),
        Verb::Mix(args) => verbs::mix::run(&context, &args),
        Verb::Dormant(args) => verbs::dormant::run(&context, &args),
        Verb::Compose(args) => verbs::compose::run(&context, &args),
        Verb::Data(args) => verbs::data::run(&context, &args),
        Verb::Completions(args) => verbs::completions::run(&args),
    };
    done.map(|()| ExitCode::SUCCESS)
}
