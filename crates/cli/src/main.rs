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
mod sheet;
mod stdout;
mod stylegan3;
mod verbs;

use std::process::ExitCode;

use clap::Parser;
use domex_error::AnyError;
use domex_train::process;

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
    after_help = "Examples:\n  domex generate --seeds 0-15 --trunc 0.7 --out pictures\n  domex expand --domain zombie --domain \"pencil sketch\" --steps 400 --out run\n  domex compose --model run/model.safetensors --set zombie=1,\"pencil sketch\"=0.5\n  domex studio --model run/model.safetensors\n  domex info --model ffhq.pkl\n\nWithout --model the generator of portraits that comes with the program is taken.\n\nExit codes: 0 success, 1 internal error, 2 user error (a flag, a file, a full disk), 129, 130 or 143 interrupted (verbs that train have saved a snapshot)."
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
    process::prepare();
    // clap itself exits with 2 on a bad flag and 0 on --help.
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ranks::unread(&error),
    };
    match run(cli) {
        Ok(code) => stdout::checked(code),
        Err(error) => match interrupt::exit_code(&error).or_else(|| ranks::told(&error)) {
            Some(code) => ExitCode::from(code),
            None => error.report("domex"),
        },
    }
}

fn run(mut cli: Cli) -> domex_error::Result<ExitCode> {
    let ranks = match &cli.verb {
        Verb::Expand(args) => Ranks::join(args.settings.ranks, &mut cli.common)?,
        Verb::Train(args) => Ranks::join(args.settings.ranks, &mut cli.common)?,
        _ => Ranks::default(),
    };
    process::start_pool(cli.common.threads.map(Into::into)).map_err(AnyError::internal)?;
    // The threads of the studio compute while the first one waits for them.
    let waits = matches!(cli.verb, Verb::Studio(_));
    let work = || {
        let context = Context::new(&cli.common, ranks.team.clone())?;
        let done = cli.verb.run(&context);
        done.map_err(|error| fault::explained(error, &context.device))
    };
    let done = if waits {
        work()
    } else {
        process::on_pool(work)
    };
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

    /// A command and all below it.
    fn verbs(command: &clap::Command) -> Vec<&clap::Command> {
        let below = command.get_subcommands().flat_map(verbs);
        std::iter::once(command).chain(below).collect()
    }

    #[test]
    fn every_verb_has_examples_that_can_be_copied_and_text_that_wraps_by_itself() {
        for verb in verbs(&Cli::command()) {
            let name = verb.get_name();
            let help = verb.get_after_help().unwrap_or_default().to_string();
            let (examples, text) = help.split_once("\n\n").unwrap_or((&help, ""));
            let lines = examples.strip_prefix("Examples:\n");
            let lines = lines.unwrap_or_else(|| panic!("{name}: no examples"));
            for line in lines.lines() {
                // A line that is wrapped would be two commands.
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
            for example in lines.replace("\\\n", "").lines() {
                parse(example.trim());
            }
            // A line's end in a paragraph stays where it is in a terminal of any width.
            for paragraph in text.split("\n\n") {
                assert!(!paragraph.contains('\n'), "{name}: {paragraph}");
            }
        }
    }

    /// Reads a command as a shell would hand it over; what it would write to a file is left out.
    fn parse(command: &str) {
        let command = command.split(" > ").next().unwrap_or_default();
        let (mut words, mut quoted) = (vec![String::new()], false);
        for letter in command.chars() {
            match letter {
                '"' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("{command}: {error}");
        }
    }
}
