//! `study`: the paper's comparison on the portrait world.
//!
//! The same source generator is adapted to each domain alone, expanded with all of them, expanded without anything that
//! holds the base, and expanded along directions that it uses; then with more domains, and in two goes. Each domain gets the
//! same number of pictures in each. The judge, which no training saw, says what became of them. A run that is there is not
//! made again, so the study can be stopped and called again.

mod measure;
mod page;
mod runs;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use candle_core::{DType, Device};
use domex_checkpoint::sha256_file;
use domex_data::{folder::write_atomic, portraits::Domain};
use domex_error::{Context, Result, user_error};
use domex_expand::{Config, Recipe, TaskFile};
use domex_expand_stylegan2::{DISTANCE, SETTINGS};
use domex_judge::Judge;
use domex_lpips::Lpips;
use domex_stylegan2::Model;

use crate::{
    expansion::Expansion,
    out::{say, write_json},
    portraits::{directions::probed, settings},
};

/// Arguments of `study`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of all runs.
    #[arg(long, value_name = "DIR", default_value = "runs/study")]
    out: PathBuf,
    /// The domains of the comparison, half techniques and half characters.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "zombie,oil,statue,embroidery,alien,stained-glass,clown,puppet"
    )]
    domains: Vec<Domain>,
    /// Numbers of domains to try beside these; 0 for none.
    #[arg(long, value_delimiter = ',', default_value = "1,25,100")]
    many: Vec<usize>,
    /// Steps for each domain.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// Steps for each domain of those runs of --many that have more than --domains [default: those of --steps].
    #[arg(long, value_name = "STEPS")]
    many_steps: Option<u64>,
    /// Latents that each domain is judged by; four times as many for the base.
    #[arg(long, default_value_t = 256)]
    pictures: usize,
    /// Change a setting of the expansion, such as lr=0.002.
    #[arg(long = "set", value_name = "PLACE=JSON")]
    set: Vec<String>,
    /// Where the networks of the portrait world are.
    #[arg(long, value_name = "DIR", default_value = "assets/portraits")]
    assets: PathBuf,
    /// Seed of all runs and measures.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Args {
    /// Steps for each domain of a run with `n`.
    fn steps_of(&self, n: usize) -> u64 {
        let many = self.many_steps.filter(|_| n > self.domains.len());
        many.unwrap_or(self.steps)
    }
}

/// What all parts of the study use.
struct Study<'a> {
    args: &'a Args,
    recipe: TaskFile,
    config: Config,
    source: Model,
    judge: Judge,
    perceptual: Lpips,
    /// Of the networks that train: SHA-256 of each file, by name.
    hashes: BTreeMap<String, String>,
}

impl Study<'_> {
    fn expansion(&self) -> Expansion<'_> {
        Expansion {
            assets: &self.args.assets,
            recipe: &self.recipe,
            seed: self.args.seed,
            device: &Device::Cpu,
        }
    }

    /// How far along its direction a domain lies.
    fn distance(&self) -> f64 {
        self.config.distance.unwrap_or(DISTANCE)
    }
}

/// Runs the study and writes its page.
///
/// # Errors
///
/// Networks that are not there, settings that do not fit, and those of the runs.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.domains.len() < 2 || args.domains.contains(&Domain::Photo) {
        return Err(user_error(
            "--domains: two or more, the photograph not among them",
        ));
    }
    let file = |name: &str| args.assets.join(name);
    let recipe = Recipe::read(&file("expand.toml"), SETTINGS)?;
    let recipe = recipe.file().clone();
    let study = Study {
        config: settings::changed(&recipe.settings, &args.set)?,
        source: Model::load(file("generator.safetensors"), &Device::Cpu)?,
        judge: Judge::load(file("judge.safetensors"), &Device::Cpu)?,
        perceptual: Lpips::load(file("perceptual.safetensors"), DType::F32, &Device::Cpu)?,
        hashes: hashes(&args.assets, &recipe)?,
        recipe,
        args,
    };
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let directions = probed(study.source.generator(), study.distance(), args.seed)?;
    let Some(made) = runs::all(&study, &directions)? else {
        say!("stopped; call it again to resume");
        return Ok(ExitCode::from(130));
    };
    let found = measure::all(&study, &made, directions)?;
    let json = serde_json::to_value(&found)?;
    write_json(&args.out.join("study.json"), &json)?;
    let page = args.out.join("study.md");
    write_atomic(&page, page::page(&study, &found).as_bytes())?;
    page::pictures(&study, &made)?;
    say!("{}", page.display());
    Ok(ExitCode::SUCCESS)
}

/// The networks of a folder that train.
fn hashes(folder: &Path, recipe: &TaskFile) -> Result<BTreeMap<String, String>> {
    let clips = recipe.clip_models().map(|(name, _)| format!("clip-{name}"));
    let others = ["generator", "perceptual"].map(str::to_owned);
    let files = others.into_iter().chain(clips);
    files
        .map(|name| {
            let name = format!("{name}.safetensors");
            let hash = sha256_file(&folder.join(&name))?;
            Ok((name, hash))
        })
        .collect()
}
