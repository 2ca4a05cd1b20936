//! Networks that the program itself trains for the networks that ship.

use std::process::{Command, ExitCode};

use domex_error::{Context, Result, user_error};

use super::{Args, What};
use crate::program;

/// Runs `domex train-…` with the folder of assets as what ships.
pub fn train(args: &Args, what: What) -> Result<ExitCode> {
    // Its length in thousands of pictures, if nothing is said of it.
    let (verb, kimg) = match what {
        What::Degan => ("train-degan", 60.0),
        What::Hyperdomain => ("train-hyperdomain", 24.0),
        _ => return Err(user_error("the program does not train this")),
    };
    if args.minutes.is_some() || !args.set.is_empty() {
        return Err(user_error(
            "--minutes and --set: not of this run; give --kimg",
        ));
    }
    let domex = program::find(&args.domex)?;
    let folder = args.folder(what)?;
    let mut command = Command::new(&domex);
    command
        .arg(verb)
        .env("DOMEX_ASSETS", std::path::absolute(&args.assets)?);
    match args.resume {
        true => command.arg("--resume").arg(&folder),
        false => {
            let seed = args.seed.to_string();
            command.arg("--out").arg(&folder).args(["--seed", &seed]);
            // The renderings say more than a second contrastive model.
            command.args(["--clip", "robust"])
        }
    };
    if args.kimg.is_some() || !args.resume {
        command.args(["--kimg", &args.kimg.unwrap_or(kimg).to_string()]);
    }
    if args.force && !args.resume {
        command.arg("--force");
    }
    let status = command
        .status()
        .with_context(|| domex.display().to_string())?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
