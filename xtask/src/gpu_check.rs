//! `gpu-check`: the operators' CUDA bodies on a real card, against the CPU.
//!
//! What needs no card is checked without one: the kernels run on the host in the tests of `domex-cuda`, and compile for every
//! architecture in `cargo xtask cuda ptx`.

use std::process::ExitCode;

use domex_cuda::device;
use domex_error::{Context, Result};

use crate::{
    cuda::build::{command, host},
    out::say,
};

/// There is no card: not a success, not a failure of the operators.
const NO_CARD: u8 = 3;

/// Arguments of `gpu-check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The card's number.
    #[arg(long, default_value_t = 0, value_name = "N")]
    device: usize,
}

/// Finds the card, and runs every operator on it. Exit code 3 without one.
pub fn run(args: &Args) -> Result<ExitCode> {
    let card = match device::find(args.device) {
        Ok(card) => card,
        Err(why) => {
            say!("nothing was run: {why}");
            return Ok(ExitCode::from(NO_CARD));
        }
    };
    say!("{card:?}");
    let test = [
        "test",
        "--release",
        "-p",
        "domex-ops",
        "--test",
        "gpu",
        "--",
        "--nocapture",
        "--test-threads=1",
    ];
    // Flags of cargo come before those of the tests.
    let (cargo, tests) = test.split_at(6);
    let mut command = command(
        &host()?,
        &cargo.iter().map(|&a| a.to_owned()).collect::<Vec<_>>(),
    )?;
    let status = command
        .args(tests)
        .env("DOMEX_GPU", args.device.to_string())
        .status()
        .context("cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
