//! `domex eval`: what an expanded model learnt and what it kept.

use std::path::{Path, PathBuf};

use candle_core::DType;
use clap::Args;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_pretrain::judge::Judge;
use domex_pretrain::portraits::{Eyes, Outcomes, outcomes};

use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::domains::Domains;
use crate::exit::mendable;
use crate::{assets, models};

/// Flags of `domex eval`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex eval --model run/model.safetensors --out eval\n  domex eval --model run/model.safetensors --source portraits --pictures 1000 --json\n\nA judge, a classifier that no training loss ever saw, looks at the same latents in the base subspace and in every\ndomain. `reached` is how often it names the domain, `factors kept` how often it sees the same pose, hair, glasses and\nso on as in the base. eval.json holds all of it: what every domain is taken for, each factor, distances."
)]
pub struct Eval {
    /// Which model; one that `domex expand` made.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// The model before it was expanded: says how far the base moved
    #[arg(long, value_name = "FILE|NAME")]
    pub source: Option<String>,
    /// The judge [default: the shipped one]
    #[arg(long, value_name = "FILE")]
    pub judge: Option<PathBuf>,
    /// The perceptual network [default: the shipped one]
    #[arg(long, value_name = "FILE")]
    pub perceptual: Option<PathBuf>,
    /// Latents to look at
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..))]
    pub pictures: u32,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Eval) -> anyhow::Result<()> {
    let judge = shipped("judge", args.judge.as_deref(), assets::JUDGE)?;
    let perceptual = shipped("perceptual", args.perceptual.as_deref(), assets::PERCEPTUAL)?;
    let model = models::load(context, &args.model)?;
    Domains::of(&model, "eval")?;
    let source = args
        .source
        .as_deref()
        .map(|wanted| models::open(&context.device, wanted))
        .transpose()?;
    let side = |generator: &domex_stylegan2::Generator| generator.config().synthesis.img_resolution;
    if let Some(source) = source
        .as_ref()
        .filter(|s| s.generator().config() != model.generator().config())
    {
        return Err(mendable(format!(
            "--source: a network of {} pixels that is not of the model's shape, {} pixels; give the file that it was expanded from",
            side(source.generator()),
            side(model.generator()),
        )));
    }
    let judge = Judge::load(judge, &context.device)?;
    let perceptual = domex_lpips::Lpips::load(&perceptual, DType::F32, &context.device)?;
    if side(model.generator()) != judge.config().size {
        return Err(mendable(format!(
            "the model's pictures have {0} × {0} pixels and the judge takes {1} × {1}; give the judge of the model's world, as --judge",
            side(model.generator()),
            judge.config().size,
        )));
    }
    let folder = OutputFolder::create(&args.out.out, args.out.force)?;
    let path = folder.file("eval.json");

    let pictures = args.pictures as usize;
    let progress = context.progress("latents", pictures);
    let eyes = Eyes {
        judge: &judge,
        perceptual: &perceptual,
    };
    let found = outcomes(
        &model,
        source.as_ref().map(domex_stylegan2::Model::generator),
        eyes,
        pictures,
        context.seed,
        |n| progress.advance(n),
    )?;
    drop(progress);
    let json = serde_json::to_value(&found)?;
    write_atomic(&path, format!("{json:#}\n").as_bytes())?;
    for line in table(&found) {
        context.say(&line);
    }
    context.say(&format!("all figures in {}", path.display()));
    context.result(&json);
    Ok(())
}

/// A flag's file, or the shipped one.
fn shipped(flag: &str, wanted: Option<&Path>, name: &str) -> anyhow::Result<PathBuf> {
    match wanted {
        Some(path) if path.is_file() => Ok(path.to_owned()),
        Some(path) => Err(mendable(format!(
            "--{flag} {}: no such file",
            path.display()
        ))),
        None => assets::expect(name).map_err(|error| mendable(format!("no --{flag}, and {error}"))),
    }
}

/// What stands above the columns.
pub const HEADS: [&str; 5] = ["", "reached", "factors kept", "diversity", "taken for"];

/// A row for the base, and one for each domain.
pub fn rows(found: &Outcomes) -> Vec<[String; 5]> {
    let taken = |seen: &std::collections::BTreeMap<String, f64>| {
        let mut seen: Vec<_> = seen.iter().collect();
        seen.sort_by(|a, b| b.1.total_cmp(a.1));
        let words = seen.iter().take(3);
        let words = words.map(|(class, share)| format!("{class} {:.0} %", *share * 100.0));
        words.collect::<Vec<_>>().join(", ")
    };
    let nothing = String::new;
    let base = [
        "base".to_owned(),
        nothing(),
        nothing(),
        nothing(),
        taken(&found.base),
    ];
    let domains = found.domains.iter().map(|domain| {
        let reached = domain.reached.map_or("no class".to_owned(), |share| {
            format!("{:.1} %", share * 100.0)
        });
        let kept = domain.kept.values().sum::<f64>() / domain.kept.len().max(1) as f64;
        [
            domain.name.clone(),
            reached,
            format!("{:.1} %", kept * 100.0),
            format!("{:.2}", domain.diversity),
            taken(&domain.seen),
        ]
    });
    std::iter::once(base).chain(domains).collect()
}

/// The same as lines.
fn table(found: &Outcomes) -> Vec<String> {
    let heads = HEADS.map(str::to_owned);
    let rows = std::iter::once(heads).chain(rows(found));
    let mut lines: Vec<String> = rows
        .map(|[name, reached, kept, diversity, taken]| {
            format!("{name:24} {reached:>8} {kept:>13} {diversity:>10}  {taken}")
        })
        .collect();
    if let Some(distance) = found.distance_to_source {
        lines.push(format!("distance of the base to the source: {distance:.4}"));
    }
    lines
}
