//! `domex completions`: a completion script on stdout.

use clap::{Args, CommandFactory as _};
use serde_json::json;

use crate::Cli;
use crate::context::Context;
use crate::stdout;

/// Flags of `domex completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex completions bash > ~/.local/share/bash-completion/completions/domex"
)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Prints the script for the shell.
pub fn run(context: &Context, args: &Completions) -> domex_error::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "domex", &mut script);
    let script = String::from_utf8_lossy(&script);
    match context.json {
        true => context.result(&json!({ "shell": args.shell.to_string(), "script": script })),
        false => stdout::print(&script),
    }
    Ok(())
}
