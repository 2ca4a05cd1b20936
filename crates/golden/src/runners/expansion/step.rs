//! A step of the expansion: latents, pictures, losses, and the gradients of the whole and of its
//! parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, backprop::GradStore};
use domex_expand::methods::{mystyle::ByPictures, nada::ByClip};
use domex_expand::{Latents, Losses, Method, Objective, ObjectiveConfig, Pictures, Place};
use domex_nada::{Nada, Prepared};
use domex_random::Streams;
use domex_replay::AlignmentConfig;
use domex_stylegan2::{Generator, Noise, Vars, mapping::broadcast};
use serde::Deserialize;
use serde_json::Value;

use super::{clip_models, gained, generator, number, perceptual::StandIn, source, subspaces};
use crate::{Case, Result, compare::values, computed::Computed};

#[derive(Deserialize)]
struct Config {
    expansion_cfg: Expansion,
}

#[derive(Deserialize)]
struct Expansion {
    tasks: Vec<Task>,
    #[serde(default)]
    tasks_losses: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(rename = "type")]
    kind: String,
    args: BTreeMap<String, Value>,
}

impl Task {
    fn text(&self, case: &Case, name: &str) -> Result<&str> {
        let text = self.args.get(name).and_then(Value::as_str);
        text.ok_or_else(|| case.malformed(format!("a task has no `{name}`")))
    }
}

/// What all steps of a case share.
pub(super) struct Setting {
    pub objective: Objective,
    pub source: Generator,
    batch: usize,
    nada: Nada,
    /// Directions `[tasks, d]` of the text tasks for each network.
    directions: Vec<(String, Tensor)>,
}

impl Setting {
    pub(super) fn new(case: &Case) -> Result<Self> {
        let Expansion {
            tasks,
            tasks_losses,
        } = case.config::<Config>()?.expansion_cfg;
        let nada = clip_models::nada(case)?;
        let mut places = Vec::new();
        let mut texts = Vec::new();
        for (column, task) in tasks.iter().enumerate() {
            let is_text = task.kind == "NADA";
            places.push(Place {
                method: usize::from(!is_text),
                number: texts.len(),
                column,
                distance: number(case, "subspace_distance")?,
            });
            if is_text {
                texts.push((
                    task.text(case, "source_text")?,
                    task.text(case, "target_text")?,
                ));
            }
        }
        let mut directions = Vec::new();
        for guide in nada.guides() {
            let rows = texts
                .iter()
                .map(|(from, to)| clip_models::between(case, &guide.name, from, to));
            let rows = rows.collect::<Result<Vec<_>>>()?;
            directions.push((guide.name.clone(), Tensor::cat(&rows, 0)?));
        }
        let names = texts
            .iter()
            .map(|(from, to)| format!("{from}|{to}"))
            .collect();
        let rows: Vec<Tensor> = directions.iter().map(|(_, rows)| rows.clone()).collect();
        let by_clip = ByClip {
            nada: nada.clone(),
            tasks: Prepared::from_directions(names, &rows)?,
        };
        let l2 = tasks_losses
            .get("MyStyle")
            .and_then(|losses| losses.get("l2_weight")?.as_f64());
        let by_picture = ByPictures::known(Arc::new(StandIn::new(case)?), l2.unwrap_or(1.0));
        let methods: Vec<Box<dyn Method>> = vec![Box::new(by_clip), Box::new(by_picture)];
        let config = ObjectiveConfig {
            expand: number(case, "lambda_expand")?,
            alignment: AlignmentConfig {
                l2: number(case, "lambda_recon_l2")?,
                lpips: number(case, "lambda_recon_lpips")?,
            },
            diversity: 0.0,
        };
        let objective = Objective::new(subspaces(case)?, places, methods, config)?
            .with_distance(Arc::new(StandIn::new(case)?));
        Ok(Self {
            objective,
            source: source(case)?,
            batch: number(case, "batch_size")? as usize,
            nada,
            directions,
        })
    }

    /// Latents, pictures and losses at `w: [n, D]`.
    pub(super) fn step(
        &self,
        case: &Case,
        generator: &Generator,
        w: &Tensor,
        tasks: &[usize],
    ) -> Result<(Latents, Pictures, Losses)> {
        let latents = self.objective.latents(w, &generator.mean_w()?, tasks)?;
        let names = noise_names(generator);
        let own = noise(case, &names, &["base", "edit"])?;
        let frozen = noise(case, &names, &["frozen"])?;
        let make = |network: &Generator, groups: &[&Tensor], maps: Option<&[Tensor]>| {
            let ws = broadcast(&Tensor::cat(groups, 0)?, network.config().num_ws())?;
            let noise = maps.map_or(Noise::Const, Noise::Maps);
            let pictures = network.synthesis().forward(&ws, noise)?;
            pictures.chunk(groups.len(), 0).map_err(crate::Error::from)
        };
        let pictures = self.objective.pictures(&latents, |trained, source| {
            let wrong = |error: crate::Error| domex_expand::Error::trainee(error);
            let trained = make(generator, trained, own.as_deref()).map_err(wrong)?;
            let source = make(&self.source, source, frozen.as_deref()).map_err(wrong)?;
            Ok((trained, source))
        })?;
        let mut stream = Streams::new(0).stream("nothing is drawn");
        let targets = case.get("in.gt_img");
        let target = |i| targets.map(|pictures| pictures.narrow(0, i, 1)).transpose();
        let targets = (0..tasks.len())
            .map(target)
            .collect::<candle_core::Result<Vec<_>>>()?;
        let losses = self
            .objective
            .loss(&pictures, tasks, &targets, self.batch, &mut stream)?;
        Ok((latents, pictures, losses))
    }
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let setting = Setting::new(case)?;
    let trained = generator(case)?;
    let tasks = indices(case.input("indices")?)?;
    let w = case.input("w")?;
    let (latents, pictures, losses) = setting.step(case, &trained.network, w, &tasks)?;

    let weighted = (&losses.expand * setting.objective.config().expand)?;
    for (prefix, loss) in [
        ("grad.", &losses.total),
        ("grad_expand.", &weighted),
        ("grad_recon.", &losses.alignment.loss),
    ] {
        if case.any(prefix) {
            let grads = gained(case, loss)?.backward()?;
            answer(prefix, &trained.vars, &grads, case, &mut computed)?;
        }
    }
    for guide in setting.nada.guides() {
        let name = &guide.name;
        for (side, pictures) in [("base", &pictures.base), ("edit", &pictures.edited)] {
            if case.wants(&format!("clip_image_features.{name}.{side}")) {
                let features = domex_clip::unit_length(&guide.features(pictures)?)?;
                computed.out(format_args!("clip_image_features.{name}.{side}"), features);
            }
        }
    }
    let texts = case.config::<Config>()?.expansion_cfg.tasks;
    let texts = texts.iter().filter(|task| task.kind == "NADA");
    for (row, task) in texts.enumerate() {
        let (from, to) = (
            task.text(case, "source_text")?,
            task.text(case, "target_text")?,
        );
        for (model, rows) in &setting.directions {
            let name = format!("text_direction.{model}.{from}|{to}");
            computed.out(name, rows.narrow(0, row, 1)?);
        }
    }
    computed.out("base_w", latents.base);
    computed.out("edit_w", latents.edited);
    computed.out("base_img", pictures.base);
    computed.out("edit_img", pictures.edited);
    if let Some(source) = pictures.source {
        computed.out("frozen_base_img", source);
    }
    computed.out("loss_expand", losses.expand);
    computed.out("loss_recon_l2", losses.alignment.l2);
    computed.out("loss_recon_lpips", losses.alignment.perceptual);
    computed.out("loss_total", losses.total);
    Ok(computed)
}

/// Answers `{prefix}{name}` for each parameter whose gradient the case holds under that name.
fn answer(
    prefix: &str,
    vars: &Vars,
    grads: &GradStore,
    case: &Case,
    computed: &mut Computed,
) -> Result<()> {
    for (name, var) in vars {
        let full = format!("{prefix}{name}");
        if case.get(&full).is_some() {
            let grad = match grads.get(var) {
                Some(grad) => grad.clone(),
                None => var.zeros_like()?,
            };
            computed.answer(full, grad);
        }
    }
    Ok(())
}

/// Task numbers.
pub(super) fn indices(tensor: &Tensor) -> Result<Vec<usize>> {
    Ok(values(tensor)?.iter().map(|&i| i as usize).collect())
}

/// Layers with noise, in the order of the network: `b4.conv1`, `b8.conv0`, ...
fn noise_names(generator: &Generator) -> Vec<String> {
    let names = generator.synthesis().style_names();
    let convolutions = names.into_iter().filter(|name| !name.ends_with("torgb"));
    convolutions.collect()
}

/// Stored noise maps of each layer, those of several batches in a row; `None` for a case without.
fn noise(case: &Case, layers: &[String], batches: &[&str]) -> Result<Option<Vec<Tensor>>> {
    if !case.any("in.noise.") {
        return Ok(None);
    }
    let layer = |name: &String| -> Result<Tensor> {
        let parts = batches
            .iter()
            .map(|batch| case.input(&format!("noise.{batch}.{name}")));
        Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
    };
    layers.iter().map(layer).collect::<Result<_>>().map(Some)
}
