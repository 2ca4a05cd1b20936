//! `study`: what becomes of the shipped generator, by every way that the program has of teaching it domains.
//!
//! Each row is some calls of `domex` that anyone could type, the last of them `domex eval`. What was run is not run again, so the
//! study can be stopped and called again, and grows by its sections.

mod calls;
mod figures;
mod page;
mod part;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::Device;
use clap::ValueEnum;
use domex_data::folder::write_atomic;
use domex_error::{Context, Result};
use domex_stylegan2::Model;
use serde_json::json;

use crate::out::{say, write_json};
use crate::portraits::directions::probed;
use crate::program;
use calls::Measured;
use figures::Figures;
use rows::Row;

/// Arguments of `study`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of all runs, and of the page.
    #[arg(long, value_name = "DIR", default_value = "runs/study")]
    out: PathBuf,
    /// The program that is studied.
    #[arg(long, value_name = "FILE", default_value = "target/release/domex")]
    domex: PathBuf,
    /// The parts of the study to run; the page has every part that was run.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// Latents that each domain of a run with four is judged by.
    #[arg(long, default_value_t = 128)]
    pictures: usize,
    /// Where the shipped generator is, of which directions that it uses are asked.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "assets/portraits/generator.safetensors"
    )]
    generator: PathBuf,
    /// Seed of all runs and measures.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A part of the study: a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Section {
    /// How is a domain best said: words, pictures?
    Said,
    /// What does the expansion cost against generators adapted one by one?
    Together,
    /// What is trained: weights, or vectors behind a gate?
    Carried,
    /// Does the second go as well as the first?
    InTurns,
    /// How many domains go in?
    Many,
    /// What of the domains that no setting was chosen on?
    HeldOut,
    /// Does another kind of generator learn them too?
    Autoencoder,
}

/// Runs the study and writes its page.
///
/// # Errors
///
/// A program that is not there, a call of it that fails, and a folder of another study.
pub fn run(args: &Args) -> Result<ExitCode> {
    let domex = program::find(&args.domex)?;
    let source = Model::load(&args.generator, &Device::Cpu)?;
    let directions = probed(source.generator(), rows::DISTANCE, args.seed)?;
    let by = Measured {
        pictures: args.pictures,
        seed: args.seed,
    };
    let rows = rows::all(by, &directions)?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let wanted = |row: &&Row| args.only.is_empty() || args.only.contains(&row.section);
    for row in rows.iter().filter(wanted) {
        say!("{}", row.what);
        for part in &row.parts {
            if !part.run(&domex, &args.out)? {
                say!("stopped; call it again to resume");
                return Ok(ExitCode::from(130));
            }
        }
    }
    let mut found: Vec<(&Row, Figures)> = Vec::new();
    for row in &rows {
        if let Some(figures) = Figures::read(row, &args.out)? {
            found.push((row, figures));
        }
    }
    let figures: serde_json::Map<_, _> = found
        .iter()
        .map(|(row, figures)| Ok((row.name.clone(), serde_json::to_value(figures)?)))
        .collect::<Result<_>>()?;
    write_json(&args.out.join("study.json"), &json!(figures))?;
    let page = args.out.join("study.md");
    write_atomic(&page, page::page(by, &directions, &found).as_bytes())?;
    page::pictures(&args.out, &found)?;
    say!("{}", page.display());
    Ok(ExitCode::SUCCESS)
}
