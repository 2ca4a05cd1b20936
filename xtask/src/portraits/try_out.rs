//! What contrastive models make of photographs, and what a generator makes.

use std::{path::PathBuf, process::ExitCode};

use candle_core::{DType, Device};
use domex_clip::Bundle;
use domex_data::{folder::OutputFolder, picture};
use domex_error::{Context, Result, user_error};
use domex_eval::{Evaluators, fidelity};
use domex_judge::Judge;
use domex_pretrain::{
    clip::Steer,
    portraits::{self, World, steering},
    scenes::Scenes,
};
use domex_random::Streams;
use domex_stylegan2::Model;
use serde_json::json;

use super::{Args, What, beside, directions::probed, settings};
use crate::out::{say, write_json};

/// Steers, prints what the judge says, and writes a grid.
pub fn steer(args: &Args) -> Result<ExitCode> {
    let models = models(args, &["robust", "fine"])?.into_iter();
    let models: Vec<Bundle> = models.map(|(_, model)| model).collect();
    let judge = Judge::load(args.network("judge"), &Device::Cpu)?;
    let world = World::new();
    let domains = &world.factors()[0].classes;
    let targets = args.targets.iter().map(|name| {
        let place = domains.iter().position(|domain| domain == name);
        place.ok_or_else(|| {
            user_error(format!(
                "--targets {name}: known are {}",
                domains.join(", ")
            ))
        })
    });
    let targets = targets.collect::<Result<Vec<_>>>()?;
    let how = settings::changed(&Steer::default(), &args.set)?;
    let (report, grid) = steering(
        &world,
        models,
        &judge,
        args.pictures.unwrap_or(16),
        &how,
        &targets,
        args.seed,
    )?;
    let folder = OutputFolder::create(args.folder(What::Steer)?, args.force)?;
    picture::write_png(&folder.file("grid.png"), &grid)?;
    let json = serde_json::to_value(&report)?;
    write_json(&folder.file("scores.json"), &json)?;
    if args.json {
        say!("{json}");
    } else {
        for (name, rate) in &report.reached {
            let seen = report
                .seen
                .get(name)
                .map_or(String::new(), |seen| format!("  seen as {seen}"));
            say!("{name:16} {rate:.2}  ({:.2}){seen}", report.believed[name]);
        }
        say!("{:16} {:.3}", "mean", report.mean);
    }
    Ok(ExitCode::SUCCESS)
}

/// The contrastive models to try, by name; those of `runs` if none are given.
fn models(args: &Args, runs: &[&str]) -> Result<Vec<(String, Bundle)>> {
    let load = |(name, file): (String, PathBuf)| {
        let model = Bundle::load(&file, DType::F32, &Device::Cpu);
        Ok((name, model.with_context(|| file.display().to_string())?))
    };
    let shipped = runs.iter();
    let shipped = shipped.map(|run| ((*run).to_owned(), args.made(run)));
    let given = args.models.iter();
    let given = given.map(|file| (file.display().to_string(), file.clone()));
    if args.models.is_empty() {
        shipped.map(load).collect()
    } else {
        given.map(load).collect()
    }
}

/// Asks each model for domain and traits of fresh renderings.
pub fn retrieval(args: &Args) -> Result<ExitCode> {
    let world = World::new();
    let folder = OutputFolder::create(args.folder(What::Retrieval)?, args.force)?;
    let mut all = serde_json::Map::new();
    for (name, model) in models(args, &["plain", "robust", "fine"])? {
        let right = portraits::retrieval(&world, &model, args.pictures.unwrap_or(2000), args.seed)?;
        if !args.json {
            for (question, share) in &right {
                say!("{name} {question:16} {share:.3}");
            }
        }
        all.insert(name, serde_json::to_value(&right)?);
    }
    let json = serde_json::Value::Object(all);
    write_json(&folder.file("scores.json"), &json)?;
    if args.json {
        say!("{json}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures a generator and the judge, prints the figures and writes them with a grid of samples.
pub fn measure(args: &Args) -> Result<ExitCode> {
    let model = args.generator()?;
    let half = args
        .half
        .as_ref()
        .map(|file| Model::load(file, &Device::Cpu));
    let half = half.transpose()?;
    let judge = Judge::load(args.network("judge"), &Device::Cpu)?;
    let perceptual = args.perceptual()?;
    let folder = OutputFolder::create(args.folder(What::Measure)?, args.force)?;
    let pictures = args.pictures.unwrap_or(50_000);
    let (judge, perceptual, world) = (&judge, &perceptual, World::new());
    let fidelity = |model: &Model| -> Result<_> {
        let bar = indicatif::ProgressBar::new(3 * pictures as u64);
        let by = Evaluators { judge, perceptual };
        let size = judge.config().size as u32;
        let photo = |seed| world.scene(0, seed, size).picture;
        let done = |n| bar.inc(n as u64);
        let found = fidelity(model.into(), by, &photo, pictures, args.seed, done);
        bar.finish_and_clear();
        Ok(found?)
    };
    let figures = fidelity(&model)?;
    let half = half.as_ref().map(fidelity).transpose()?;
    let step = domex_expand_stylegan2::DISTANCE;
    let directions = probed(model.generator(), step, args.seed)?;
    let mut stream = Streams::new(args.seed).stream("judge measurement");
    let each = (pictures / world.domains()).max(1);
    let scores = domex_pretrain::judge::measure(judge, &world, each, &mut stream, &Device::Cpu)?;

    let grid = beside::grid(model.generator(), args.seed)?;
    picture::write_png(&folder.file("beside.png"), &grid)?;
    let mut json = serde_json::to_value(&figures)?;
    json["directions"] = serde_json::to_value(&directions)?;
    if let Some(half) = &half {
        json["trained half as long"] = json!({ "frechet": half.frechet });
    }
    write_json(&folder.file("fidelity.json"), &json)?;
    write_json(&folder.file("judge.json"), &serde_json::to_value(&scores)?)?;
    if args.json {
        say!("{json}");
        return Ok(ExitCode::SUCCESS);
    }
    say!("judged the source domain  {:.4}", figures.source);
    for (name, variation) in &figures.marginals {
        say!("total variation, {name:16} {variation:.3}");
    }
    say!("diversity, of renderings' {:.3}", figures.diversity);
    say!(
        "Fréchet distance          {:.4} (two sets of renderings: {:.4})",
        figures.frechet,
        figures.frechet_of_renderings
    );
    say!(
        "dormant directions        {} of {}",
        directions.dormant,
        directions.all
    );
    Ok(ExitCode::SUCCESS)
}
