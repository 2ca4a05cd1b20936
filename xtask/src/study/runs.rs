//! The trainings of a study.

use std::path::PathBuf;

use anyhow::{Context, Result};
use candle_core::Device;
use domex_data::{
    portraits::{Domain, Family, phrases},
    source::Portraits,
};
use domex_expand::{Adapt, Config, Dimensions, Expand, Parts, TaskSpec, files};
use domex_nada::Guide;
use domex_stylegan2::Model;
use domex_train::{Job, Resume, RunConfig, run};

use super::Study;
use crate::{out::say, portraits::last_event};

/// What a training made.
pub struct Made {
    /// What the page calls it.
    pub name: String,
    /// The domains it was given, by the names that the model has.
    pub tasks: Vec<TaskSpec>,
    pub model: Model,
    /// Of a step, on the machine of the run.
    pub seconds: f64,
}

/// All trainings.
pub struct Runs {
    /// One generator for each domain of the comparison.
    pub adapted: Vec<Made>,
    /// Expansions with the domains of the comparison: as it should be, without what holds the base, along used directions.
    pub expanded: Vec<Made>,
    /// With other numbers of domains.
    pub many: Vec<Made>,
    /// With one half of the domains, and then with the other.
    pub halves: Vec<Made>,
}

/// Makes what is not there yet; nothing if a signal came.
pub fn all(study: &Study<'_>) -> Result<Option<Runs>> {
    let domains = &study.args.domains;
    let tasks: Vec<TaskSpec> = domains.iter().map(|&domain| task(domain)).collect();
    let mut made = Runs {
        adapted: Vec::new(),
        expanded: Vec::new(),
        many: Vec::new(),
        halves: Vec::new(),
    };
    let (config, source) = (&study.config, &study.source);
    for task in &tasks {
        let name = format!("adapted-{}", task.name());
        let Some(run) = adapt(study, &name, task)? else {
            return Ok(None);
        };
        made.adapted.push(run);
    }
    let mut unheld = config.clone();
    unheld.src = 0.0;
    unheld.objective.alignment.lpips = 0.0;
    unheld.objective.alignment.l2 = 0.0;
    let mut used = config.clone();
    used.dimensions = Dimensions::Used;
    for (name, config) in [("expanded", config), ("unheld", &unheld), ("used", &used)] {
        let Some(run) = expand(study, name, source, config, &tasks)? else {
            return Ok(None);
        };
        made.expanded.push(run);
    }
    for &n in study.args.many.iter().filter(|&&n| n > 0) {
        let tasks = made_up(domains, n);
        let Some(run) = expand(study, &format!("many-{n}"), source, config, &tasks)? else {
            return Ok(None);
        };
        made.many.push(run);
    }
    let (first, second) = tasks.split_at(tasks.len() / 2);
    let Some(half) = expand(study, "half", source, config, first)? else {
        return Ok(None);
    };
    let Some(whole) = expand(study, "other-half", &half.model, config, second)? else {
        return Ok(None);
    };
    made.halves = vec![half, whole];
    Ok(Some(made))
}

/// A domain in its plainest words.
fn task(domain: Domain) -> TaskSpec {
    let mut task = TaskSpec::texts("photo", phrases(domain)[0]);
    task.name = Some(domain.name().to_owned());
    task
}

/// `n` domains: those of the comparison, then all others, then characters in techniques.
fn made_up(first: &[Domain], n: usize) -> Vec<TaskSpec> {
    let others = Domain::ALL.iter().copied();
    let others = others.filter(|domain| *domain != Domain::Photo && !first.contains(domain));
    let single = first.iter().copied().chain(others).map(task);
    let of = |family: Family| {
        Domain::ALL
            .iter()
            .filter(move |domain| domain.family() == family)
    };
    let pairs = of(Family::Rendering).flat_map(|rendering| {
        of(Family::Character).map(move |character| {
            let text = format!("{} of a {}", phrases(*rendering)[0], phrases(*character)[0]);
            TaskSpec::texts("photo", text)
        })
    });
    single.chain(pairs).take(n).collect()
}

fn expand(
    study: &Study<'_>,
    name: &str,
    model: &Model,
    config: &Config,
    tasks: &[TaskSpec],
) -> Result<Option<Made>> {
    let side = model.config().synthesis.img_resolution as u32;
    let job = || -> Result<Box<dyn Job>> {
        Ok(Box::new(Expand::new(
            config.clone(),
            Parts {
                model,
                tasks,
                guides: guides(study)?,
                distance: Some(files::perceptual(
                    &study.asset("perceptual.safetensors"),
                    &Device::Cpu,
                )?),
                pictures: Some(Box::new(Portraits::new(
                    study.args.seed,
                    Domain::Photo,
                    side,
                )?)),
                cache: None,
                seed: study.args.seed,
            },
        )?))
    };
    go(study, name, tasks, job)
}

fn adapt(study: &Study<'_>, name: &str, task: &TaskSpec) -> Result<Option<Made>> {
    let job = || -> Result<Box<dyn Job>> {
        Ok(Box::new(Adapt::new(
            study.config.clone(),
            &study.source,
            task,
            guides(study)?,
            None,
            study.args.seed,
        )?))
    };
    go(study, name, std::slice::from_ref(task), job)
}

/// All CLIP networks that ship.
fn guides(study: &Study<'_>) -> Result<Vec<Guide>> {
    let folder = &study.args.assets;
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("clip-") && name.ends_with(".safetensors")
        })
        .collect();
    paths.sort();
    let guide = |path: &PathBuf| Ok(files::guide(path, 1.0, &Device::Cpu)?);
    paths.iter().map(guide).collect()
}

/// Trains, or reads what was trained.
fn go(
    study: &Study<'_>,
    name: &str,
    tasks: &[TaskSpec],
    job: impl Fn() -> Result<Box<dyn Job>>,
) -> Result<Option<Made>> {
    let folder = study.args.out.join(name);
    let images = study.args.steps * study.config.batch as u64 * tasks.len() as u64;
    let events = folder.join("events.jsonl");
    let seen = |last: &serde_json::Value| last["images"].as_u64().unwrap_or(0);
    let before = last_event(&events).map_or(0, |last| seen(&last));
    if before < images {
        say!("{name}: {images} pictures");
        let config = RunConfig {
            images,
            tick_images: (images / 4).max(1),
            seed: study.args.seed,
            resume: if before > 0 {
                Resume::From(folder.clone())
            } else {
                Resume::No
            },
            force: true,
            settings: serde_json::to_value((&study.config, tasks))?,
            ..RunConfig::new(&folder)
        };
        let outcome =
            run(job()?.as_mut(), &config).with_context(|| folder.display().to_string())?;
        if outcome.signal.is_some() {
            return Ok(None);
        }
    }
    let last = last_event(&events)?;
    let steps = images as f64 / study.config.batch as f64;
    Ok(Some(Made {
        name: name.to_owned(),
        tasks: tasks.to_vec(),
        model: Model::load(folder.join("model.safetensors"), &Device::Cpu)?,
        seconds: last["seconds"].as_f64().unwrap_or(f64::NAN) / steps,
    }))
}
