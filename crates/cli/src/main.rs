//! The `domex` program: what people type.
//!
//! This crate holds no maths and no loops over tensors. It turns flags into calls of the crates
//! below, shows progress, writes pictures and tables, and chooses the exit code:
//! 0 done, 1 our fault, 2 yours to mend, 130 interrupted.

mod args;
mod basis;
mod context;
mod exit;
mod models;
mod pictures;
mod progress;
mod seeds;
mod stdout;
mod verbs;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Verb};
use crate::context::Context;

fn main() -> ExitCode {
    // clap itself exits with 2 on a bad flag and 0 on --help.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let context = Context::new(&cli.common)?;
    match cli.verb {
        Verb::Info(args) => verbs::info::run(&context, &args),
        Verb::Generate(args) => verbs::generate::run(&context, &args),
        Verb::Traverse(args) => verbs::traverse::run(&context, &args),
        Verb::Mix(args) => verbs::mix::run(&context, &args),
        Verb::Dormant(args) => verbs::dormant::run(&context, &args),
        Verb::Completions(args) => verbs::completions::run(&args),
    }
}
