//! The `domex` program: what people type.
//!
//! This crate holds no maths and no loops over tensors. It turns flags into calls of the crates
//! below, shows progress, writes pictures and tables, and chooses the exit code:
//! 0 done, 1 our fault, 2 yours to mend, 130 or 143 interrupted.

mod args;
mod assets;
mod basis;
mod blame;
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
    domex_train::process::prepare();
    // clap itself exits with 2 on a bad flag and 0 on --help.
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => exit::report(&error),
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
        Verb::Eval(args) => verbs::eval::run(&context, &args),
        Verb::Data(args) => verbs::data::run(&context, &args),
        Verb::Completions(args) => verbs::completions::run(&args),
    };
    done.map(|()| ExitCode::SUCCESS)
}
