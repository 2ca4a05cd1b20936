//! What the judge says of every generator of a study.

use std::collections::BTreeMap;

use domex_data::portraits::{Domain, Family};
use domex_error::Result;
use domex_eval::{
    Evaluators, Fidelity, Outcome, Outcomes, adapted, blended, composed, fidelity, outcomes,
    rendered,
};
use domex_pretrain::{portraits::World, scenes::Scenes};
use domex_stylegan2::{Generator, Model};
use serde::Serialize;

use super::{
    Study,
    runs::{Made, Runs},
};
use crate::{out::say, portraits::directions::Directions};

/// All figures.
#[derive(Debug, Serialize)]
pub struct Found {
    pub directions: Directions,
    /// The source generator against fresh renderings.
    pub source: Fidelity,
    /// One for each domain.
    pub adapted: Vec<Outcome>,
    /// Every expanded generator.
    pub expanded: Vec<Expanded>,
    pub composed: Vec<Composed>,
}

/// An expanded generator.
#[derive(Debug, Serialize)]
pub struct Expanded {
    pub name: String,
    pub domains: usize,
    /// Of a step.
    pub seconds: f64,
    /// Its base subspace against fresh renderings.
    pub base: Fidelity,
    /// Domain by domain, the share of pictures that are seen as it; of a domain made of two, as either.
    pub reached: Vec<f64>,
    pub outcomes: Outcomes,
}

/// Two domains in one picture.
#[derive(Debug, Serialize)]
pub struct Composed {
    pub character: String,
    pub rendering: String,
    /// By moving along both directions.
    pub expanded: f64,
    /// By the mean of two adapted generators' weights.
    pub blended: f64,
    /// Renderings of both.
    pub rendered: f64,
}

impl Expanded {
    /// Mean share of factors that are judged the same as in the base.
    pub fn kept(&self) -> f64 {
        mean(self.outcomes.domains.iter().map(kept))
    }
}

/// Mean over factors.
pub fn kept(domain: &Outcome) -> f64 {
    mean(domain.kept.values().copied())
}

pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    sum / f64::from(n.max(1))
}

/// Measures everything.
pub fn all(study: &Study<'_>, runs: &Runs, directions: Directions) -> Result<Found> {
    let source = study.source.generator();
    let (pictures, seed) = (study.args.pictures, study.args.seed);
    let mut adapted_found = Vec::new();
    for made in &runs.adapted {
        say!("judged: {}", made.name);
        let name = made.goals[0].task.name();
        let by = evaluators(study);
        adapted_found.push(adapted(&made.model, source, &name, by, pictures, seed)?);
    }
    let mut expanded = Vec::new();
    for made in runs.expanded.iter().chain(&runs.halves).chain(&runs.many) {
        say!("judged: {}", made.name);
        expanded.push(judged(study, made)?);
    }
    Ok(Found {
        directions,
        source: against_renderings(study, &study.source)?,
        adapted: adapted_found,
        expanded,
        composed: pairs(study, runs)?,
    })
}

fn evaluators<'a>(study: &'a Study<'_>) -> Evaluators<'a> {
    Evaluators {
        judge: &study.judge,
        perceptual: &study.perceptual,
    }
}

fn judged(study: &Study<'_>, made: &Made) -> Result<Expanded> {
    let source = Some(study.source.generator() as &dyn domex_latent::Generator);
    // With many domains each gets fewer pictures.
    let pictures = (study.args.pictures * 8 / made.goals.len().max(8)).max(16);
    let outcomes = outcomes(
        &made.model,
        source,
        evaluators(study),
        pictures,
        study.args.seed,
        |_| (),
    )?;
    // The domains that the model had before come first.
    let earlier = outcomes.domains.len() - made.goals.len();
    let before = study.args.domains.iter().map(std::slice::from_ref);
    let goals = made.goals.iter().map(|goal| goal.seen_as.as_slice());
    let seen_as = before.take(earlier).chain(goals);
    Ok(Expanded {
        name: made.name.clone(),
        domains: outcomes.domains.len(),
        seconds: made.seconds,
        base: against_renderings(study, &made.model)?,
        reached: outcomes
            .domains
            .iter()
            .zip(seen_as)
            .map(|(found, goal)| reached(found, goal))
            .collect(),
        outcomes,
    })
}

/// The share of pictures that are seen as one of these.
fn reached(found: &Outcome, goal: &[Domain]) -> f64 {
    let share = |domain: &Domain| found.seen.get(domain.name()).copied().unwrap_or(0.0);
    goal.iter().map(share).sum()
}

fn against_renderings(study: &Study<'_>, model: &Model) -> Result<Fidelity> {
    let n = 4 * study.args.pictures;
    let (world, size) = (World::new(), study.judge.config().size as u32);
    let photo = |seed| world.scene(0, seed, size).picture;
    Ok(fidelity(
        model,
        evaluators(study),
        &photo,
        n,
        study.args.seed,
        |_| (),
    )?)
}

/// Every character with every technique of the comparison.
fn pairs(study: &Study<'_>, runs: &Runs) -> Result<Vec<Composed>> {
    let (pictures, seed) = (study.args.pictures / 4, study.args.seed);
    let of = |family: Family| {
        let domains = study.args.domains.iter().enumerate();
        domains.filter(move |(_, domain)| domain.family() == family)
    };
    let mut found = Vec::new();
    for (i, &character) in of(Family::Character) {
        for (j, &rendering) in of(Family::Rendering) {
            let pair = [character, rendering];
            let names = pair.map(Domain::name);
            let expanded = &runs.expanded[0].model;
            let mean = halfway(
                runs.adapted[i].model.generator(),
                runs.adapted[j].model.generator(),
            )?;
            found.push(Composed {
                character: names[0].to_owned(),
                rendering: names[1].to_owned(),
                expanded: composed(expanded, &study.judge, pair, names, pictures, seed)?,
                blended: blended(&mean, &study.judge, pair, pictures, seed)?,
                rendered: rendered(&study.judge, pair, pictures, seed)?,
            });
        }
    }
    Ok(found)
}

/// The mean of two generators' weights.
fn halfway(a: &Generator, b: &Generator) -> Result<Model> {
    let others: BTreeMap<_, _> = b.tensors().into_iter().collect();
    let mut tensors = a.tensors();
    for (name, tensor) in &mut tensors {
        if let Some(other) = others.get(name) {
            *tensor = ((&*tensor + other)? * 0.5)?;
        }
    }
    Ok(Model::new(Generator::from_tensors(&tensors, a.config())?))
}
