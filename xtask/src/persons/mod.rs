//! `persons`: made-up persons taught to the shipped generator by MyStyle, and what became of them.
//!
//! A person of the portrait world keeps face, hair, glasses and hat on all pictures, while pose, expression, light, clothes and
//! background change. Ten pictures of each are inverted by the shipped encoder and a short search, and taught all at once, with two
//! domains in words beside them. Ten others, which nothing saw, are then looked for in the person's space and on its subspace.

mod measure;
mod person;

use std::{path::PathBuf, process::ExitCode};

use candle_core::{DType, Device};
use domex_data::{picture::write_png, portraits::Domain};
use domex_encoder::Encoder;
use domex_error::{Context, Result, user_error};
use domex_expand::{Config, Recipe, TaskSpec, methods};
use domex_expand_stylegan2::SETTINGS;
use domex_judge::Judge;
use domex_lpips::Lpips;
use domex_stylegan2::Model;
use serde_json::json;

use crate::{
    expansion::{Expansion, trained},
    out::{say, write_json},
    portraits::settings,
};
use measure::SHOWN;
use person::Person;

/// The domains that go on top of the persons.
const ON_TOP: [Domain; 2] = [Domain::Zombie, Domain::Sketch];

/// Arguments of `persons`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder: pictures and latents of the persons, the run, persons.json and grid.png. A run that is there is not made again.
    #[arg(long, value_name = "DIR", default_value = "runs/persons")]
    out: PathBuf,
    /// How many persons.
    #[arg(long, default_value_t = 4)]
    persons: usize,
    /// Steps for each domain.
    #[arg(long, default_value_t = 100)]
    steps: u64,
    /// Samples of each person.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Steps of the search for a held-out picture.
    #[arg(long, default_value_t = 300)]
    search: usize,
    /// Change a setting of the expansion, such as lr=0.002.
    #[arg(long = "set", value_name = "PLACE=JSON")]
    set: Vec<String>,
    /// Where the networks of the portrait world are.
    #[arg(long, value_name = "DIR", default_value = "assets/portraits")]
    assets: PathBuf,
    /// Seed of all.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// The networks that measure, and the generator as it was.
struct Given<'a> {
    args: &'a Args,
    source: &'a Model,
    judge: &'a Judge,
    perceptual: &'a Lpips,
    encoder: &'a Encoder,
}

/// Teaches and measures.
///
/// # Errors
///
/// Networks that are not there, settings that do not fit, and those of the run.
pub fn run(args: &Args) -> Result<ExitCode> {
    let numbers = [args.persons, args.search, args.steps as usize];
    if numbers.contains(&0) || args.samples < SHOWN {
        return Err(user_error(format!(
            "--persons, --search and --steps are at least 1, --samples at least {SHOWN}"
        )));
    }
    let file = |name: &str| args.assets.join(name);
    let recipe = Recipe::read(&file("expand.toml"), SETTINGS)?;
    let config: Config = settings::changed(&recipe.file().settings, &args.set)?;
    let source = Model::load(file("generator.safetensors"), &Device::Cpu)?;
    let judge = Judge::load(file("judge.safetensors"), &Device::Cpu)?;
    let perceptual = Lpips::load(file("perceptual.safetensors"), DType::F32, &Device::Cpu)?;
    let encoder = Encoder::load(file("encoder.safetensors"), &Device::Cpu)?;
    encoder.check(source.generator())?;
    let folder = args.out.as_path();
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;

    let side = source.config().synthesis.img_resolution as u32;
    let mut people = Vec::new();
    for number in 1..=args.persons as u64 {
        let person = Person::draw(number, side)?;
        people.push(person.inverted(source.generator(), &encoder, &perceptual, folder)?);
    }
    let mut tasks: Vec<TaskSpec> = Vec::new();
    for person in &people {
        tasks.push(methods::mystyle::person(
            &person.name,
            &person.files,
            &person.anchors_file,
        ));
    }
    for domain in ON_TOP {
        let words = domex_data::portraits::phrases(domain)[0];
        let mut task = TaskSpec::texts("photo", words);
        task.name = Some(domain.name().to_owned());
        tasks.push(task);
    }
    let expansion = Expansion {
        assets: &args.assets,
        recipe: recipe.file(),
        seed: args.seed,
        device: &Device::Cpu,
    };
    let images = args.steps * config.batch as u64 * tasks.len() as u64;
    let settings = json!({ "config": config, "tasks": tasks });
    let job = || expansion.job(&source, &config, &tasks);
    let Some(model) = trained(&folder.join("run"), images, args.seed, settings, job)? else {
        say!("stopped; call it again to resume");
        return Ok(ExitCode::from(130));
    };
    let given = Given {
        args,
        source: &source,
        judge: &judge,
        perceptual: &perceptual,
        encoder: &encoder,
    };
    let (found, grid) = given.measure(&model, &people)?;
    write_json(&folder.join("persons.json"), &serde_json::to_value(&found)?)?;
    write_png(&folder.join("grid.png"), &grid)?;
    say!("{found}");
    Ok(ExitCode::SUCCESS)
}
