//! `golden`: runs reference cases and prints a line per case.
//!
//! Exit code 0 when every case that is covered is within its tolerance, 1 when one is not or
//! stops with an error, 2 for a folder that cannot be read or holds no case. `--strict` makes a
//! case that is not covered a failure too.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use domex_error::{Context, Result, bail};
use domex_golden::Status;
use serde::Serialize;

use crate::out::say;

/// Arguments of `golden`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The root of all areas, one area, a crate's tests/golden, or any folder with cases.
    dir: PathBuf,
    /// Also write the result to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail when a case is not covered.
    #[arg(long)]
    strict: bool,
}

/// What `--json` holds.
#[derive(Serialize)]
struct Json<'a> {
    dir: &'a PathBuf,
    cases: &'a [domex_golden::CaseReport],
    ok: usize,
    failed: usize,
    errors: usize,
    not_covered: usize,
}

/// Runs the job.
pub fn run(args: &Args) -> Result<ExitCode> {
    let report = domex_golden::run_dir_with(&args.dir, |case| say!("{case}"))?;
    say!("{}", report.summary());
    if let Some(path) = &args.json {
        let json = Json {
            dir: &args.dir,
            cases: &report.cases,
            ok: report.count(Status::Ok),
            failed: report.count(Status::Failed),
            errors: report.count(Status::Error),
            not_covered: report.count(Status::NotCovered),
        };
        let text = serde_json::to_string_pretty(&json).context("writing the result as JSON")?;
        std::fs::write(path, text + "\n")
            .map_err(|e| domex_error::user_error(format!("--json {}: {e}", path.display())))?;
    }
    let incomplete = args.strict && report.count(Status::NotCovered) > 0;
    Ok(ExitCode::from(u8::from(!report.ok() || incomplete)))
}

/// Every `crates/*/tests/golden` of the workspace.
pub fn folders(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let folder = entry?.path().join("tests/golden");
        if folder.is_dir() {
            folders.push(folder);
        }
    }
    folders.sort();
    if folders.is_empty() {
        bail!("no crate has a tests/golden");
    }
    Ok(folders)
}
