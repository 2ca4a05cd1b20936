//! `portraits`: train what ships with the portrait world, and try it.
//!
//! Each `--only` is a run with snapshots in a folder of its own below `--out`: interrupt it and resume it with
//! `--resume`, which takes its settings from that folder. Without `--only` everything is made, one after the other; what is
//! done stays, and what is half done is resumed.

mod beside;
mod by_program;
mod card;
pub mod directions;
mod distances;
mod inversion;
mod nearness;
mod reconstruction;
pub mod settings;
mod ship;
mod train;
mod try_out;

pub use ship::last_event;

use std::{path::PathBuf, process::ExitCode};

use candle_core::{DType, Device};
use clap::ValueEnum;
use domex_error::{Result, user_error};
use domex_lpips::Lpips;
use domex_stylegan2::{Generator, Model};
use domex_train::snapshots;

use crate::{out::say, program};

/// Arguments of `portraits`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to make [default: everything that ships, from nothing].
    #[arg(long, value_enum)]
    only: Option<What>,
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
    /// Resume from the last snapshot.
    #[arg(long)]
    resume: bool,
    /// Write into a folder that has files.
    #[arg(long)]
    force: bool,
    /// Seed of weights and data.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Image encoder of a CLIP model.
    #[arg(long, alias = "tower", value_enum, default_value_t = ImageEncoder::Resnet)]
    encoder: ImageEncoder,
    /// Begin with the weights of this generator, contrastive model or autoencoder [default for the robust model: OUT/plain, for
    /// the fine one: OUT/robust, for the refined autoencoder: OUT/autoencoder, for a latent prior: OUT/refined].
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Change a setting: its place in run.json below `job`, and a JSON value.
    #[arg(long = "set", value_name = "PLACE=JSON")]
    set: Vec<String>,
    /// Steering and retrieval: the contrastive models, all followed at once [default: those of OUT, to be followed the attacked
    /// ones]. Distances: generators, in the order in which they are to be drawn.
    #[arg(long = "model", value_name = "FILE")]
    models: Vec<PathBuf>,
    /// Measuring and inverting: the generator [default: that of OUT/generator, as it would ship, else the shipped one].
    /// Reconstruction: the autoencoder [default: that of OUT/diffae, else the shipped one].
    #[arg(long, value_name = "FILE")]
    generator: Option<PathBuf>,
    /// Measuring: a generator trained half as long, to compare.
    #[arg(long, value_name = "FILE")]
    half: Option<PathBuf>,
    /// The program, which trains what it can train by itself.
    #[arg(long, value_name = "FILE", default_value = "target/release/domex")]
    domex: PathBuf,
    /// Where the networks that ship are written.
    #[arg(long, value_name = "DIR", default_value = "assets/portraits")]
    assets: PathBuf,
    /// Steering: photographs for each target. Measuring: samples. Retrieval: pictures for each question. Inversion and
    /// reconstruction: renderings. Distances: pictures of a set [default: 16, 50000, 2000, 32, 2000].
    #[arg(long)]
    pictures: Option<usize>,
    /// Steering: the targets, by name. Inversion: the ways [default: all].
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
    /// The diffusion autoencoder, without its latent prior.
    Autoencoder,
    /// The same with the teacher's U-Net, which draws finer lines, as it goes on from there [from: OUT/autoencoder].
    Refined,
    /// The same with its latent prior, trained on its codes [from: OUT/refined].
    Diffae,
    /// What finds the generator's latents [for: OUT/generator, as it would ship].
    Encoder,
    /// The classifier that measures.
    Judge,
    /// The contrastive model that is not attacked: it reads best.
    Plain,
    /// The contrastive model that is attacked while it learns, beginning as the plain one: its gradient has a shape.
    Robust,
    /// A contrastive model that is attacked half as far, beginning as the robust one: it sees finer things.
    Fine,
    /// The perceptual network.
    Perceptual,
    /// The diffusion model that draws what a text says, with the texts of the plain contrastive model.
    Teacher,
    /// The encoder that makes domains of pictures, by the program, for the networks among the assets.
    Degan,
    /// The network that makes domains of texts, likewise.
    Hyperdomain,
    /// Push photographs towards each domain's text through contrastive models, and ask the judge.
    Steer,
    /// Ask a contrastive model for domain, hair colour, glasses and beard of fresh renderings.
    Retrieval,
    /// Invert fresh renderings by the encoder, by searches and by tuning, and measure what is found.
    Inversion,
    /// Encode and decode fresh renderings by the diffusion autoencoder, draw new pictures by it, and measure both.
    Reconstruction,
    /// Measure a generator against fresh renderings.
    Measure,
    /// Draw how a Fréchet distance rises with blur, noise and missing kinds, and how it falls over the models that are given.
    Distances,
    /// Write the networks of all runs and their card into the folder of assets.
    Ship,
}

/// Everything that ships, in this order.
const ALL: [What; 20] = [
    What::Judge,
    What::Perceptual,
    What::Plain,
    What::Robust,
    What::Fine,
    What::Teacher,
    What::Generator,
    What::Autoencoder,
    What::Refined,
    What::Diffae,
    What::Encoder,
    What::Retrieval,
    What::Steer,
    What::Inversion,
    What::Reconstruction,
    What::Measure,
    // The networks that follow are for what ships, to the bit.
    What::Ship,
    What::Degan,
    What::Hyperdomain,
    What::Ship,
];

/// Image encoder of a CLIP model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImageEncoder {
    /// A modified ResNet.
    Resnet,
    /// A vision transformer.
    Vit,
}

impl Args {
    /// The folder of a run.
    fn folder(&self, what: What) -> Result<PathBuf> {
        let kind = what.to_possible_value();
        let name = self
            .name
            .clone()
            .or_else(|| kind.map(|kind| kind.get_name().to_owned()));
        name.map(|name| self.out.join(name))
            .ok_or_else(|| user_error("no name for the run: pass --name"))
    }

    /// The contrastive model whose texts a teacher learns: that of the run, or the one that ships.
    fn text_encoder(&self) -> PathBuf {
        let made = self.made("plain");
        match made.is_file() {
            true => made,
            false => self.assets.join("clip-plain.safetensors"),
        }
    }

    /// The network of a run, else the one that ships under its name.
    fn network(&self, run: &str) -> PathBuf {
        let made = self.made(run);
        match made.is_file() {
            true => made,
            false => self.assets.join(format!("{run}.safetensors")),
        }
    }

    fn perceptual(&self) -> Result<Lpips> {
        Ok(Lpips::load(
            self.network("perceptual"),
            DType::F32,
            &Device::Cpu,
        )?)
    }

    /// The generator that is given, else that of its run as it would ship, else the one that ships.
    fn generator(&self) -> Result<Model> {
        if let Some(file) = &self.generator {
            return Ok(Model::load(file, &Device::Cpu)?);
        }
        let made = self.made("generator");
        if !made.is_file() {
            return Ok(Model::load(self.network("generator"), &Device::Cpu)?);
        }
        let model = Model::load(made, &Device::Cpu)?;
        let config = model.generator().config();
        Ok(Model::new(Generator::from_tensors(
            &ship::damped(&model)?,
            config,
        )?))
    }

    /// The network that a run made.
    fn made(&self, run: &str) -> PathBuf {
        self.out.join(run).join("model.safetensors")
    }
}

/// Runs the job.
///
/// # Errors
///
/// Those of the run.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.resume && !args.set.is_empty() {
        return Err(user_error(
            "--set: a run that is resumed keeps its settings",
        ));
    }
    let Some(only) = args.only else {
        return everything(args);
    };
    refuse_unused(args, only)?;
    one(args, only)
}

/// Refuses what was given and nobody would look at.
fn refuse_unused(args: &Args, what: What) -> Result<()> {
    use What::*;
    let of = |list: &[What]| list.contains(&what);
    let tries = of(&[
        Steer,
        Retrieval,
        Inversion,
        Reconstruction,
        Measure,
        Distances,
    ]);
    let trains = !tries && what != Ship;
    for (flag, is_given, is_used) in [
        (
            "--from",
            args.from.is_some(),
            of(&[Generator, Autoencoder, Refined, Diffae, Plain, Robust, Fine]),
        ),
        ("--kimg", args.kimg.is_some(), trains),
        ("--minutes", args.minutes.is_some(), trains),
        ("--resume", args.resume, trains),
        (
            "--set",
            !args.set.is_empty(),
            trains || of(&[Steer, Inversion]),
        ),
        (
            "--model",
            !args.models.is_empty(),
            of(&[Steer, Retrieval, Distances]),
        ),
        (
            "--generator",
            args.generator.is_some(),
            of(&[Encoder, Inversion, Reconstruction, Measure]),
        ),
        ("--half", args.half.is_some(), of(&[Measure])),
        ("--pictures", args.pictures.is_some(), tries),
        (
            "--targets",
            !args.targets.is_empty(),
            of(&[Steer, Inversion]),
        ),
    ] {
        if is_given && !is_used {
            let name = what.to_possible_value();
            let name = name.as_ref().map_or("this", |name| name.get_name());
            return Err(user_error(format!("{flag}: {name} has no use for it")));
        }
    }
    Ok(())
}

fn one(args: &Args, what: What) -> Result<ExitCode> {
    match what {
        What::Steer => try_out::steer(args),
        What::Retrieval => try_out::retrieval(args),
        What::Inversion => inversion::measure(args),
        What::Reconstruction => reconstruction::measure(args),
        What::Measure => try_out::measure(args),
        What::Distances => distances::measure(args),
        What::Ship => ship::ship(args),
        What::Degan | What::Hyperdomain => by_program::train(args, what),
        _ => train::train(args, what),
    }
}

/// All of them. A run that is interrupted ends here, with its exit code.
fn everything(args: &Args) -> Result<ExitCode> {
    let of_one_run = [
        args.name.is_some(),
        !args.set.is_empty(),
        args.minutes.is_some(),
        args.from.is_some(),
    ];
    if of_one_run.contains(&true) {
        return Err(user_error(
            "--name, --set, --minutes and --from belong to one run: add --only",
        ));
    }
    // It trains the last two: better asked for before all others are trained.
    program::find(&args.domex)?;
    for what in ALL {
        let folder = args.folder(what)?;
        let mut args = args.clone();
        args.resume = snapshots::latest(&folder).is_ok();
        args.force = true; // measures are made anew
        say!("{}", folder.display());
        let code = one(&args, what)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn refused(line: &str) -> Option<String> {
        let words = std::iter::once("portraits").chain(line.split_whitespace());
        let args = Line::try_parse_from(words).unwrap().args;
        let refused = match args.only {
            Some(what) => refuse_unused(&args, what),
            None => everything(&args).map(drop),
        };
        refused.err().map(|error| error.message())
    }

    #[test]
    fn what_nobody_would_look_at_is_refused() {
        for line in [
            "--only judge --from a.safetensors",
            "--only measure --kimg 3",
            "--only ship --resume",
            "--only generator --pictures 8",
        ] {
            assert!(
                refused(line).unwrap().contains("has no use for it"),
                "{line}"
            );
        }
        for line in [
            "--only fine --from a.safetensors --kimg 3",
            "--only steer --targets sketch --set steps=3",
        ] {
            assert_eq!(refused(line), None);
        }
    }

    #[test]
    fn the_program_is_asked_for_before_anything_is_trained() {
        assert!(
            refused("--domex not/there")
                .unwrap()
                .contains("no such program")
        );
        assert!(refused("--minutes 3").unwrap().contains("add --only"));
    }
}
