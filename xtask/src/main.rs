//! Jobs around the workspace: `cargo xtask <job>`.
//!
//! One file per job. None of them holds any maths: they find files, call the crates, and print.

mod bench;
mod ci;
mod cuda;
mod expansion;
mod fuzz;
mod golden;
mod gpu_check;
mod out;
mod persons;
mod portraits;
mod program;
mod study;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use domex_error::{AnyError, Result};
use domex_train::process;

/// Jobs around the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    job: Job,
}

#[derive(Debug, Subcommand)]
enum Job {
    /// Run reference cases and print how far each is off.
    Golden(golden::Args),
    /// Measure operators and networks, alone or in turns with PyTorch.
    Bench(bench::Args),
    /// Train what ships with the portrait world, and try it.
    Portraits(portraits::Args),
    /// Compare expanded with adapted generators on the portrait world.
    Study(study::Args),
    /// Teach the generator made-up persons by MyStyle, and measure what became of them.
    Persons(persons::Args),
    /// The program with CUDA support, its kernels, and what they should cost.
    Cuda(cuda::Args),
    /// Run the CUDA kernels on a card, against the CPU; exit code 3 without one.
    GpuCheck(gpu_check::Args),
    /// Run the readers of files on inputs that nobody wrote.
    Fuzz(fuzz::Args),
    /// The whole check, as the continuous integration runs it.
    Ci(ci::Args),
}

fn main() -> ExitCode {
    process::prepare();
    match start(Args::parse().job) {
        Ok(code) => code,
        Err(error) => error.report("xtask"),
    }
}

fn start(job: Job) -> Result<ExitCode> {
    process::start_pool(None).map_err(AnyError::internal)?;
    match job {
        Job::Golden(args) => golden::run(&args),
        Job::Bench(args) => process::on_pool(|| bench::run(&args)),
        Job::Portraits(args) => process::on_pool(|| portraits::run(&args)),
        Job::Study(args) => study::run(&args),
        Job::Persons(args) => persons::run(&args),
        Job::Cuda(args) => cuda::run(&args),
        Job::GpuCheck(args) => gpu_check::run(&args),
        Job::Fuzz(args) => fuzz::run(&args),
        Job::Ci(args) => ci::run(&args),
    }
}
