//! Which direction each new domain gets, and what the methods are told of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::probe::{ProbeConfig, probe};
use domex_latent::subspace::Layout;
use domex_latent::{Generator as _, ImageDistance, PixelRms};
use domex_nada::{Guide, Task};
use domex_random::Streams;
use domex_stylegan2::Model;
use serde_json::json;

use crate::config::Dimensions;
use crate::suggest::nearest;
use crate::{Config, Error, Place, Result, TaskSpec};

/// Latents that a direction is probed on.
const PROBED: usize = 4;

/// All domains of a run: first those that the model had, then the new ones.
pub(crate) struct Domains {
    pub layout: Layout,
    /// How many the model had.
    pub earlier: usize,
}

impl Domains {
    /// Places of the new domains, for the one method there is.
    pub fn places(&self) -> Vec<Place> {
        let new = self.layout.domains().iter().enumerate().skip(self.earlier);
        new.map(|(column, domain)| Place {
            method: 0,
            number: column - self.earlier,
            column,
            distance: domain.distance,
        })
        .collect()
    }
}

/// The basis, and the layout with the new domains in it. A model that was expanded before keeps
/// its basis and its domains: they are neither computed again nor forgotten.
pub(crate) fn place(
    model: &Model,
    config: &Config,
    tasks: &[TaskSpec],
    seed: u64,
) -> Result<(Basis, Domains)> {
    let (basis, mut layout) = match &model.expansion {
        Some(expansion) => (expansion.basis.clone(), expansion.layout.clone()),
        None => {
            let matrices = model.g_ema.acting_matrices()?;
            let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices)?;
            let layout = Layout::new(basis.count());
            (basis, layout)
        }
    };
    let earlier = layout.domains().len();
    // Those that ask for a dimension come first, so that no other is given it. The order of the
    // tasks is kept: a placeholder would be wrong, so the dimensions are chosen beforehand.
    let mut taken = layout.repurposed();
    taken.extend(tasks.iter().filter_map(|task| task.dimension));
    let order = if tasks.iter().all(|task| task.dimension.is_some()) {
        Vec::new()
    } else {
        order(model, &basis, config, seed)?
    };
    for task in tasks {
        let dimension = match task.dimension {
            Some(dimension) => dimension,
            None => {
                let found = order.iter().copied().find(|i| !taken.contains(i));
                let expected = format!("at most {} domains in all", layout.dimensions());
                let chosen = found.ok_or_else(|| {
                    Error::setting("number of domains", earlier + tasks.len(), expected)
                })?;
                taken.push(chosen);
                chosen
            }
        };
        let distance = task.distance.unwrap_or(config.distance);
        let record = record(task);
        layout.add(task.name(), record, Some(dimension), distance)?;
    }
    Ok((basis, Domains { layout, earlier }))
}

/// Columns of the basis in the order in which they are given away.
fn order(model: &Model, basis: &Basis, config: &Config, seed: u64) -> Result<Vec<usize>> {
    let columns = 0..basis.count();
    Ok(match config.dimensions {
        Dimensions::Dormant => columns.rev().collect(),
        Dimensions::Probed => {
            let settings = ProbeConfig {
                samples: PROBED,
                batch: PROBED,
                step: config.distance,
                ..ProbeConfig::default()
            };
            let mut stream = Streams::new(seed).stream("probe");
            let generator = &model.g_ema;
            let report = probe(
                generator,
                basis,
                &PixelRms,
                &settings,
                &mut stream,
                &mut |_| (),
            )?;
            report.ranked().iter().map(|effect| effect.index).collect()
        }
    })
}

/// What the model's file says of a domain.
fn record(task: &TaskSpec) -> serde_json::Value {
    if task.pictures.is_empty() {
        return json!({ "type": "nada", "source": task.source, "target": task.target });
    }
    let names = task.pictures.iter().filter_map(|path| path.file_name());
    let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
    json!({ "type": "nada", "pictures": names })
}

/// The task for CLIP: in words, or in pictures against `source`, some that the generator makes.
pub(crate) fn nada_task(
    task: &TaskSpec,
    guides: &[Guide],
    device: &Device,
    source: impl FnOnce() -> Result<Tensor>,
) -> Result<Task> {
    let mut nada = match task.pictures.is_empty() {
        true => Task::texts(&task.source, &task.target),
        false => Task::pictures("", source()?, read(&task.pictures, device)?),
    };
    nada.name = task.name().to_owned();
    nada.texture = read(&task.texture, device)?;
    nada.guides = numbers(task, guides)?;
    Ok(nada)
}

/// Pictures `[1, 3, h, w]`, each of its own size.
fn read(paths: &[PathBuf], device: &Device) -> Result<Vec<Tensor>> {
    let read = |path: &PathBuf| {
        let picture = [picture::read(path)?];
        Ok(picture::from_rgb(&picture, DType::F32, device)?)
    };
    paths.iter().map(read).collect()
}

/// The numbers of the networks that a task names: by their names, or by files that they are named after.
fn numbers(task: &TaskSpec, guides: &[Guide]) -> Result<Vec<usize>> {
    let mut numbers = Vec::with_capacity(task.clip.len());
    for wanted in &task.clip {
        let stem = Path::new(wanted).file_stem().unwrap_or_default();
        let fits = |guide: &Guide| guide.name == *wanted || stem == guide.name.as_str();
        let found: Vec<usize> = (0..guides.len()).filter(|&i| fits(&guides[i])).collect();
        let what = || format!("clip of task {:?}", task.name());
        match found[..] {
            [number] => numbers.push(number),
            [] => {
                let names = || guides.iter().map(|guide| guide.name.as_str());
                let hint = nearest(wanted, names())
                    .map_or(String::new(), |name| format!("; did you mean {name:?}?"));
                let names = names().collect::<Vec<_>>().join(", ");
                let expected = format!("one of the run's CLIP networks, {names}{hint}");
                return Err(Error::setting(what(), format!("{wanted:?}"), expected));
            }
            _ => {
                let expected = "the name of one network; several are called so";
                return Err(Error::setting(what(), format!("{wanted:?}"), expected));
            }
        }
    }
    Ok(numbers)
}

/// Names of a layout's domains, for messages.
pub(crate) fn names(layout: &Layout) -> String {
    let names: Vec<_> = layout
        .domains()
        .iter()
        .map(|domain| domain.name.as_str())
        .collect();
    names.join(", ")
}

/// One distance for several users.
pub(crate) struct Shared(pub Arc<dyn ImageDistance>);

impl ImageDistance for Shared {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> domex_latent::Result<Tensor> {
        self.0.distance(a, b)
    }
}
