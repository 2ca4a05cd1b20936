//! `domex completions`: a completion script on stdout.

use clap::CommandFactory as _;

use crate::args::{Cli, Completions};

/// Prints the script for the shell.
pub fn run(args: &Completions) -> anyhow::Result<()> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "domex",
        &mut std::io::stdout(),
    );
    Ok(())
}
