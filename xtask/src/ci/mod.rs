//! `ci`: the whole check, cheap steps first, stopping at the first failure.
//!
//! The continuous integration runs the README's test command and then these steps; so can
//! anybody. Each step prints its time.

mod features;
mod floors;
mod readme;
mod steps;
pub mod tidy;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use domex_error::{Result, user_error};

use crate::out::say;

/// Arguments of `ci`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run only these steps.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// List the steps.
    #[arg(long)]
    list: bool,
}

/// One step of the check.
struct Step {
    name: &'static str,
    about: &'static str,
    run: fn(&Path) -> Result<()>,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        about: "cargo fmt, without changing anything",
        run: steps::format,
    },
    Step {
        name: "tidy",
        about: "the rules of the house",
        run: tidy::check,
    },
    Step {
        name: "features",
        about: "the program, xtask and the tests are built of the same artefacts",
        run: features::check,
    },
    Step {
        name: "deny",
        about: "licences, sources and advisories of what we use",
        run: steps::deny,
    },
    Step {
        name: "clippy",
        about: "clippy on everything, warnings are errors",
        run: steps::clippy,
    },
    Step {
        name: "docs",
        about: "the docs build, warnings are errors",
        run: steps::docs,
    },
    Step {
        name: "tests",
        about: "the README's test command",
        run: steps::tests,
    },
    Step {
        name: "golden",
        about: "the reference cases of every crate",
        run: steps::golden,
    },
    Step {
        name: "fuzz",
        about: "the targets of cargo-fuzz, built where it is at hand",
        run: crate::fuzz::check,
    },
    Step {
        name: "readme",
        about: "the README's main command",
        run: steps::readme,
    },
];

/// Runs the job.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in STEPS {
            say!("{:<8} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    for name in args.only.iter().chain(&args.skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            return Err(user_error(format!(
                "no step `{name}`; there are: {}",
                known.join(", ")
            )));
        }
    }
    let root = root()?;
    let chosen = STEPS.iter().filter(|step| {
        (args.only.is_empty() || args.only.iter().any(|name| name == step.name))
            && !args.skip.iter().any(|name| name == step.name)
    });
    let start = Instant::now();
    let mut done = 0;
    for step in chosen {
        say!("== {}: {}", step.name, step.about);
        let begun = Instant::now();
        let outcome = (step.run)(&root);
        let seconds = begun.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => say!("== {}: ok ({seconds:.1} s)", step.name),
            Err(error) => {
                say!("== {}: FAILED ({seconds:.1} s)", step.name);
                eprintln!("{}", error.message());
                eprintln!("To run only this step: cargo xtask ci --only {}", step.name);
                return Ok(ExitCode::FAILURE);
            }
        }
        done += 1;
    }
    say!(
        "== ci: {done} steps ok ({:.1} s)",
        start.elapsed().as_secs_f64()
    );
    Ok(ExitCode::SUCCESS)
}

/// The workspace's root.
pub fn root() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?)
}
