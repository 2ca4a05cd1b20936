//! `portraits`: train what ships with the portrait world, and try it.
//!
//! Each `--only` is a run with snapshots in a folder of its own below `--out`: interrupt it and go on with
//! `--resume`, which takes its settings from that folder.

mod settings;
mod train;
mod try_out;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::ValueEnum;

use crate::exit::mendable;

/// Arguments of `portraits`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to make.
    #[arg(long, value_enum)]
    only: What,
    /// The folder of all runs.
    #[arg(long, value_name = "DIR", default_value = "runs/portraits")]
    out: PathBuf,
    /// Name of this run's folder; the kind of run by default.
    #[arg(long)]
    name: Option<String>,
    /// Length in thousands of pictures; with --resume a new length.
    #[arg(long, conflicts_with = "minutes")]
    kimg: Option<f64>,
    /// Length in minutes: the speed of the first steps says how many pictures that is.
    #[arg(long)]
    minutes: Option<f64>,
    /// Go on from the last snapshot.
    #[arg(long)]
    resume: bool,
    /// Write into a folder that has files.
    #[arg(long)]
    force: bool,
    /// Seed of weights and data.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Image tower of a contrastive model.
    #[arg(long, value_enum, default_value_t = Tower::Resnet)]
    tower: Tower,
    /// A contrastive model whose weights a new one begins with.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Change a setting: its place in run.json below `job`, and a JSON value.
    #[arg(long = "set", value_name = "PLACE=JSON")]
    set: Vec<String>,
    /// Steering: the contrastive models, all followed at once [default: OUT/clip].
    #[arg(long = "model", value_name = "FILE")]
    models: Vec<PathBuf>,
    /// Measuring: the generator.
    #[arg(long, value_name = "FILE", required_if_eq("only", "measure"))]
    generator: Option<PathBuf>,
    /// Steering: photographs for each target. Measuring: samples, 50000 for figures to publish.
    #[arg(long, default_value_t = 16)]
    pictures: usize,
    /// Steering: the targets, by name [default: all].
    #[arg(long, value_delimiter = ',')]
    targets: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The StyleGAN2, with its discriminator.
    Generator,
    /// The classifier that measures.
    Judge,
    /// The contrastive model.
    Clip,
    /// The perceptual network.
    Perceptual,
    /// Push photographs towards each domain's text through contrastive models, and ask the judge.
    Steer,
    /// Measure a generator against fresh renderings.
    Measure,
}

/// Image tower of a contrastive model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tower {
    /// A modified ResNet.
    Resnet,
    /// A vision transformer.
    Vit,
}

impl Args {
    /// The folder of a run.
    fn folder(&self) -> Result<PathBuf> {
        let kind = self.only.to_possible_value();
        let name = self
            .name
            .clone()
            .or_else(|| kind.map(|kind| kind.get_name().to_owned()));
        name.map(|name| self.out.join(name))
            .ok_or_else(|| mendable("no name for the run: pass --name"))
    }
}

/// Runs the job.
///
/// # Errors
///
/// Those of the run.
pub fn run(args: &Args) -> Result<ExitCode> {
    match args.only {
        What::Steer => try_out::steer(args),
        What::Measure => try_out::measure(args),
        _ => train::train(args),
    }
}
