//! The trainings of a study.

use domex_data::portraits::{Domain, Family, phrases};
use domex_error::Result;
use domex_expand::{Config, Placement, TaskSpec};
use domex_stylegan2::Model;
use domex_train::Job;
use serde_json::{Value as Json, json};

use super::Study;
use crate::{
    expansion::trained,
    portraits::{directions::Directions, last_event},
};

/// A domain that is learnt.
#[derive(Clone)]
pub struct Goal {
    pub task: TaskSpec,
    /// What the judge may see: one of the world's domains, or two that were to meet.
    pub seen_as: Vec<Domain>,
}

/// What a training made.
pub struct Made {
    /// What the page calls it.
    pub name: String,
    pub goals: Vec<Goal>,
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
pub fn all(study: &Study<'_>, directions: &Directions) -> Result<Option<Runs>> {
    let domains = &study.args.domains;
    let goals: Vec<Goal> = domains.iter().map(|&domain| goal(domain)).collect();
    let mut made = Runs {
        adapted: Vec::new(),
        expanded: Vec::new(),
        many: Vec::new(),
        halves: Vec::new(),
    };
    let (config, source, steps) = (&study.config, &study.source, study.args.steps);
    for goal in &goals {
        let Some(run) = adapt(study, goal)? else {
            return Ok(None);
        };
        made.adapted.push(run);
    }
    let mut unheld = config.clone();
    unheld.source.insert("src".to_owned(), json!(0.0));
    unheld.objective.alignment.lpips = 0.0;
    unheld.objective.alignment.l2 = 0.0;
    let mut used = goals.clone();
    for (goal, &dimension) in used.iter_mut().zip(directions.some_used(goals.len())?) {
        goal.task.dimension = Some(dimension);
    }
    for (name, config, goals) in [
        ("expanded", config, &goals),
        ("unheld", &unheld, &goals),
        ("used", config, &used),
    ] {
        let Some(run) = expand(study, name, source, config, goals, steps)? else {
            return Ok(None);
        };
        made.expanded.push(run);
    }
    let (first, second) = goals.split_at(goals.len() / 2);
    let Some(half) = expand(study, "half", source, config, first, steps)? else {
        return Ok(None);
    };
    let Some(whole) = expand(study, "other-half", &half.model, config, second, steps)? else {
        return Ok(None);
    };
    made.halves = vec![half, whole];
    for &n in study.args.many.iter().filter(|&&n| n > 0) {
        let goals = made_up(domains, n);
        let steps = study.args.steps_of(n);
        let Some(run) = expand(study, &format!("many-{n}"), source, config, &goals, steps)? else {
            return Ok(None);
        };
        made.many.push(run);
    }
    Ok(Some(made))
}

/// A domain in its plainest words.
fn goal(domain: Domain) -> Goal {
    let mut task = TaskSpec::texts("photo", phrases(domain)[0]);
    task.name = Some(domain.name().to_owned());
    let seen_as = vec![domain];
    Goal { task, seen_as }
}

/// `n` domains: those of the comparison, then all others, then characters in techniques.
fn made_up(first: &[Domain], n: usize) -> Vec<Goal> {
    let others = Domain::ALL.iter().copied();
    let others = others.filter(|domain| *domain != Domain::Photo && !first.contains(domain));
    let single = first.iter().copied().chain(others).map(goal);
    let of = |family: Family| {
        Domain::ALL
            .iter()
            .filter(move |domain| domain.family() == family)
    };
    let pairs = of(Family::Rendering).flat_map(|rendering| {
        of(Family::Character).map(move |character| {
            let text = format!("{} of a {}", phrases(*rendering)[0], phrases(*character)[0]);
            Goal {
                task: TaskSpec::texts("photo", text),
                seen_as: vec![*rendering, *character],
            }
        })
    });
    single.chain(pairs).take(n).collect()
}

fn expand(
    study: &Study<'_>,
    name: &str,
    model: &Model,
    config: &Config,
    goals: &[Goal],
    steps: u64,
) -> Result<Option<Made>> {
    let tasks: Vec<TaskSpec> = goals.iter().map(|goal| goal.task.clone()).collect();
    let job = || study.expansion().job(model, config, &tasks);
    let settings = json!({ "config": config, "tasks": tasks });
    go(study, name, goals, steps, &settings, job)
}

/// The whole generator for one domain, held by nothing.
fn adapt(study: &Study<'_>, goal: &Goal) -> Result<Option<Made>> {
    let mut config = study.config.clone();
    config.placement = Placement::Whole;
    config.source.insert("src".to_owned(), json!(0.0));
    let tasks = [goal.task.clone()];
    let job = || study.expansion().job(&study.source, &config, &tasks);
    let settings = json!({ "config": config, "tasks": tasks });
    let name = format!("adapted-{}", goal.task.name());
    let goals = std::slice::from_ref(goal);
    go(study, &name, goals, study.args.steps, &settings, job)
}

/// A training of this study.
fn go(
    study: &Study<'_>,
    name: &str,
    goals: &[Goal],
    steps: u64,
    settings: &Json,
    job: impl Fn() -> Result<Box<dyn Job>>,
) -> Result<Option<Made>> {
    let folder = study.args.out.join(name);
    let images = steps * study.config.batch as u64 * goals.len() as u64;
    let settings = json!({ "networks": study.hashes, "settings": settings });
    let Some(model) = trained(&folder, images, study.args.seed, settings, job)? else {
        return Ok(None);
    };
    let last = last_event(&folder.join("events.jsonl"))?;
    Ok(Some(Made {
        name: name.to_owned(),
        goals: goals.to_vec(),
        model,
        seconds: last["seconds"].as_f64().unwrap_or(f64::NAN) / (steps * goals.len() as u64) as f64,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn made_up_domains_begin_with_the_given_ones_and_differ() {
        let first = [Domain::Oil, Domain::Zombie];
        let goals = made_up(&first, 100);
        assert_eq!(goals.len(), 100);
        assert_eq!(goals[0].seen_as, [Domain::Oil]);
        assert_eq!(goals[1].seen_as, [Domain::Zombie]);
        let names: BTreeSet<String> = goals.iter().map(|goal| goal.task.name()).collect();
        assert_eq!(names.len(), 100);
        // Every domain of the world before the first pair, and never the photograph.
        let single = goals.iter().take_while(|goal| goal.seen_as.len() == 1);
        assert_eq!(single.count(), Domain::ALL.len() - 1);
        let seen = goals.iter().flat_map(|goal| &goal.seen_as);
        assert!(seen.clone().all(|domain| *domain != Domain::Photo));
        let target = goals[99].task.keys()["target"].to_string();
        assert!(target.contains(" of a "), "{target}");
        assert_eq!(made_up(&first, 1).len(), 1);
    }
}
