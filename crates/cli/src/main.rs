//! The `domex` program: what people type.
//!
//! This crate holds no maths and no loops over tensors. It turns flags into calls of the crates
//! below, shows progress, writes pictures and tables, and chooses the exit code:
//! 0 success, 1 internal error, 2 user error, 129, 130 or 143 interrupted.

mod args;
mod assets;
mod basis;
mod context;
mod crop;
mod datasets;
mod diffae;
mod domains;
mod fault;
mod gallery;
mod interrupt;
mod kinds;
mod models;
mod paths;
mod pictures;
mod progress;
mod ranks;
mod region;
mod runs;
mod seeds;
mod stdout;
mod stylegan3;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Common;
use crate::context::Context;
use crate::ranks::Ranks;
use crate::verbs::Verb;

/// Adds new domains to a trained image generator, which keeps what it knew.
#[derive(Debug, Parser)]
#[command(
    name = "domex",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  domex info --model ffhq.pkl\n  domex generate --model ffhq.pkl --seeds 0-15 --trunc 0.7 --out pictures\n  domex expand --domain \"pencil sketch\" --domain zombie --out run\n  domex compose --model run/model.safetensors --set zombie=1,\"pencil sketch\"=0.5\n  domex dormant --model ffhq.pkl --out dormant\n\nExit codes: 0 success, 1 internal error, 2 user error (a flag, a file, a full disk), 129, 130 or 143 interrupted (train and expand have saved a snapshot)."
)]
struct Cli {
    /// Flags that every verb takes.
    #[command(flatten)]
    common: Common,
    /// What to do.
    #[command(subcommand)]
    verb: Verb,
}

fn main() -> ExitCode {
    domex_train::process::prepare();
    // clap itself exits with 2 on a bad flag and 0 on --help.
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => stdout::checked(code),
        Err(error) => match interrupt::exit_code(&error) {
            Some(code) => ExitCode::from(code),
            None => error.report("domex"),
        },
    }
}

fn run(mut cli: Cli) -> domex_error::Result<ExitCode> {
    let ranks = match &cli.verb {
        Verb::Expand(args) => Ranks::join(args.ranks, &mut cli.common)?,
        Verb::Train(args) => Ranks::join(args.ranks, &mut cli.common)?,
        _ => Ranks::default(),
    };
    let done = Context::new(&cli.common, ranks.team.clone()).and_then(|context| {
        let done = cli.verb.run(&context);
        done.map_err(|error| fault::explained(error, &context.device))
    });
    ranks.tell(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_table_of_flags_is_consistent() {
        Cli::command().debug_assert();
    }
}
