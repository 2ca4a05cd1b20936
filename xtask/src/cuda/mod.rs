//! `cuda`: the program with CUDA support, its kernels, and what a card should make of them, all on a machine without either.

pub mod build;
pub mod costs;
mod ptx;
pub mod roofline;
pub mod stand_in;
mod toolkit;

use std::{path::PathBuf, process::ExitCode};

use domex_error::Result;

/// Arguments of `cuda`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Build the program with CUDA support, without a toolkit: it loads CUDA's libraries when it runs.
    Build(build::Args),
    /// Get NVRTC and ptxas into `target/cuda/toolkit`, from wheels, by pip.
    Toolkit,
    /// Compile every kernel for each supported architecture; with ptxas also count registers and spills.
    Ptx(ptx::Args),
    /// The least time that each kernel can take, by bytes and operations.
    Roofline,
}

/// Runs one step.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.step {
        Step::Build(args) => build::run(args)?,
        Step::Toolkit => toolkit::run()?,
        Step::Ptx(args) => ptx::run(args)?,
        Step::Roofline => roofline::run()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The workspace.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where builds go.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
