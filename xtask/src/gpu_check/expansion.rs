//! A short expansion of the portrait world's generator by its own recipe, the job that `domex expand` runs: two steps against the
//! CPU, and a run that was stopped and resumed against one that was not.

use std::{collections::BTreeMap, path::Path, time::Instant};

use candle_core::Device;
use domex_checkpoint::{TensorData, container::Container};
use domex_error::{Context, Result, bail};
use domex_expand::{Config, Recipe, TaskFile, TaskSpec};
use domex_expand_stylegan2::SETTINGS;
use domex_stylegan2::Model;
use serde_json::{Value as Json, json};

use super::part::{Found, Setup, Task};
use crate::{
    expansion::{Expansion, trained},
    portraits::last_event,
};

/// The domains that are learnt.
const DOMAINS: [&str; 2] = ["zombie", "oil painting"];

/// Samples of a step.
const BATCH: usize = 4;

/// Steps of the whole run, and of the part before it is stopped.
const STEPS: [u64; 2] = [6, 3];

/// The largest difference of a loss from the CPU's, relative to it, over two steps. The second one is after an update, in which
/// rounding decides where gradients are next to nothing.
const TOLERANCE: f64 = 1e-3;

pub fn tasks() -> Vec<Task> {
    vec![
        Task::new("two steps against the CPU", beside_the_cpu),
        Task::new("six steps, and three resumed to six", resumed),
    ]
}

/// One expansion, which runs are made of.
struct Short<'a> {
    setup: &'a Setup,
    device: &'a Device,
    recipe: TaskFile,
    config: Config,
}

impl<'a> Short<'a> {
    fn new(setup: &'a Setup, device: &'a Device) -> Result<Self> {
        let recipe = Recipe::read(&setup.assets.join("expand.toml"), SETTINGS)?;
        let recipe = recipe.file().clone();
        let mut config = recipe.settings.clone();
        config.batch = BATCH;
        // A rate that falls over the run's length would tell the part from the whole.
        config.cooldown = 0.0;
        Ok(Self {
            setup,
            device,
            recipe,
            config,
        })
    }

    /// Trains up to so many steps, or resumes what is in the folder; returns the seconds that it took.
    fn run(&self, folder: &Path, steps: u64) -> Result<f64> {
        let start = Instant::now();
        let model = Model::load(self.setup.assets.join("generator.safetensors"), self.device)?;
        let tasks = DOMAINS.map(|domain| TaskSpec::texts("photo", domain));
        let expansion = Expansion {
            assets: &self.setup.assets,
            recipe: &self.recipe,
            seed: 0,
            device: self.device,
        };
        let job = || expansion.job(&model, &self.config, &tasks);
        let settings = json!({ "config": self.config, "tasks": tasks });
        let made = trained(folder, steps * BATCH as u64, 0, settings, job)?;
        made.context("a signal came")?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn beside_the_cpu(setup: &Setup) -> Result<Found> {
    let folder = tempfile::tempdir()?;
    let losses = |device: &Device, name: &str| -> Result<BTreeMap<String, f64>> {
        let folder = folder.path().join(name);
        Short::new(setup, device)?.run(&folder, 2)?;
        losses(&last_event(&folder.join("events.jsonl"))?)
    };
    let (cpu, ours) = (
        losses(&Device::Cpu, "cpu")?,
        losses(&setup.device, "device")?,
    );
    let (name, worst) = furthest(&cpu, &ours)?;
    Ok(Found {
        ok: worst <= TOLERANCE,
        text: format!(
            "{} losses off by up to {worst:.1e} of {TOLERANCE:.0e} ({name})",
            cpu.len()
        ),
        figures: json!({ "worst": worst, "losses": ours }),
    })
}

/// The losses of an event, and what else is not a time or a count.
fn losses(event: &Json) -> Result<BTreeMap<String, f64>> {
    let values = event.as_object().into_iter().flatten();
    let losses: BTreeMap<String, f64> = values
        .filter(|(name, _)| name.contains('/'))
        .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
        .collect();
    if losses.is_empty() {
        bail!("the run wrote no loss: {event}");
    }
    Ok(losses)
}

/// The loss that differs most, and by how much of it.
fn furthest(cpu: &BTreeMap<String, f64>, ours: &BTreeMap<String, f64>) -> Result<(String, f64)> {
    let mut worst = (String::new(), 0.0);
    for (name, &expected) in cpu {
        let found = *ours.get(name).with_context(|| format!("no loss {name}"))?;
        let off = (found - expected).abs() / expected.abs().max(1e-3);
        // NaN counts as infinitely far.
        let off = if off.is_nan() { f64::INFINITY } else { off };
        if off >= worst.1 {
            worst = (name.clone(), off);
        }
    }
    Ok(worst)
}

fn resumed(setup: &Setup) -> Result<Found> {
    let folder = tempfile::tempdir()?;
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let short = Short::new(setup, &setup.device)?;
    let [steps, first] = STEPS;
    let seconds = short.run(&whole, steps)?;
    short.run(&parts, first)?;
    short.run(&parts, steps)?;
    let open = |folder: &Path| Container::open(folder.join("model.safetensors"));
    let (whole, parts) = (open(&whole)?, open(&parts)?);
    let (whole, parts) = (whole.tensors(), parts.tensors());
    let differ = differing(whole, parts)?;
    let step = seconds / steps as f64;
    Ok(Found {
        ok: differ.is_empty(),
        text: match differ.first() {
            None => format!(
                "{} tensors, the same bits; {step:.2} s a step with all around it",
                whole.len()
            ),
            Some(name) => format!(
                "{} of {} tensors differ, {name} first",
                differ.len(),
                whole.len()
            ),
        },
        figures: json!({ "tensors": whole.len(), "differing": differ.len(), "seconds_a_step": step }),
    })
}

/// The names of the tensors that do not have the same bits.
fn differing(
    a: &BTreeMap<String, TensorData>,
    b: &BTreeMap<String, TensorData>,
) -> Result<Vec<String>> {
    if a.keys().ne(b.keys()) {
        bail!("the two models have tensors of other names");
    }
    let differ = a.iter().filter(|&(name, tensor)| b[name] != *tensor);
    Ok(differ.map(|(name, _)| name.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_differs_is_named() {
        let of =
            |a: f64, b: f64| BTreeMap::from([("loss/a".to_owned(), a), ("loss/b".to_owned(), b)]);
        let (name, off) = furthest(&of(1.0, 2.0), &of(1.0, 2.5)).unwrap();
        assert_eq!((name.as_str(), off), ("loss/b", 0.25));
        assert_eq!(
            furthest(&of(1.0, 2.0), &of(f64::NAN, 2.0)).unwrap().1,
            f64::INFINITY
        );
        assert!(furthest(&of(1.0, 2.0), &BTreeMap::new()).is_err());
    }

    #[test]
    fn one_bit_is_enough() {
        let of = |value: f32| {
            let tensor = TensorData::from_f32(vec![2], &[1.0, value]).unwrap();
            BTreeMap::from([("w".to_owned(), tensor)])
        };
        assert!(differing(&of(2.0), &of(2.0)).unwrap().is_empty());
        assert_eq!(differing(&of(2.0), &of(2.0f32.next_up())).unwrap(), ["w"]);
        assert_eq!(differing(&of(0.0), &of(-0.0)).unwrap(), ["w"]);
    }
}
