//! What a domain is to CLIP: from here to there, in words or in pictures.
//!
//! [`Prepared`] holds, for each network, one row for each task: computed once before a run, looked up at
//! each step. In words, a side is the mean over the published templates ([`domex_clip::prompts`]); in
//! pictures, the mean over them. The direction is the unit difference of the two.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_clip::{Prompts, TextMeans, direction, mean_of_units, templates, unit_length};
use image::RgbImage;

use crate::config::Weights;
use crate::guide::Guide;
use crate::{Error, Result};

/// The sentence in which the global term shows the target.
const TARGET: &str = "a {}";

/// A domain.
#[derive(Debug, Clone)]
pub struct Task {
    /// For messages and records.
    pub name: String,
    /// From where to where.
    pub goal: Goal,
    /// Pictures in `[-1, 1]` whose texture the texture term wants, each `[1, 3, h, w]` of its own size, or several of one
    /// size; their mean feature counts.
    pub texture: Vec<Tensor>,
    /// The networks that look at it, by their numbers; all of them where none is given.
    pub guides: Vec<usize>,
}

/// From where to where.
#[derive(Debug, Clone)]
pub enum Goal {
    /// In words.
    Texts {
        /// What the generator makes.
        source: String,
        /// What it should make.
        target: String,
    },
    /// In pictures.
    Pictures {
        /// Some that the generator makes, `[k, 3, h, w]` in `[-1, 1]`; 16 as published.
        source: Tensor,
        /// A few of what it should make, as files hold them, each of its own size.
        target: Vec<RgbImage>,
    },
}

impl Task {
    /// From a word to a word, called after the target.
    pub fn texts(source: impl Into<String>, target: impl Into<String>) -> Self {
        let target = target.into();
        Self {
            name: target.clone(),
            goal: Goal::Texts {
                source: source.into(),
                target,
            },
            texture: Vec::new(),
            guides: Vec::new(),
        }
    }

    /// From pictures to pictures.
    pub fn pictures(name: impl Into<String>, source: Tensor, target: Vec<RgbImage>) -> Self {
        Self {
            name: name.into(),
            goal: Goal::Pictures { source, target },
            texture: Vec::new(),
            guides: Vec::new(),
        }
    }
}

/// What every step needs of the tasks. See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) names: Vec<String>,
    pub(crate) guides: Vec<Rows>,
    /// By the network for textures, where the term is on: `[1, d]` for tasks that have one.
    pub(crate) textures: Vec<Option<Tensor>>,
}

/// One network's share, in `f64` on its device.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    /// The row of each task, where the network looks at it.
    at: Vec<Option<usize>>,
    /// `[rows, d]`, unit.
    pub directions: Tensor,
    /// `None` where only directions are known.
    sides: Option<Sides>,
    /// Directions of parts for each row, `[p, d]`; empty where the patch term is off.
    parts: Vec<Tensor>,
}

/// What some terms need beyond the directions.
#[derive(Debug, Clone)]
pub(crate) struct Sides {
    /// The target sides at length 1, `[rows, d]`.
    pub targets: Tensor,
    /// Cosines of the two sides, `[rows]`.
    pub cosines: Tensor,
    /// What the global term is drawn to, `[rows, d]`, unit.
    pub prompts: Tensor,
    /// The target text as it is, or the target side of pictures, `[rows, d]`, unit.
    pub plain: Tensor,
}

impl Rows {
    /// The row of a task; `None` where the network does not look at it.
    pub fn number(&self, task: usize) -> Option<usize> {
        self.at.get(task).copied().flatten()
    }

    /// What the term called `name` needs.
    pub fn sides(&self, name: &str) -> Result<&Sides> {
        self.sides.as_ref().ok_or_else(|| only_directions(name))
    }

    /// Directions of parts `[p, d]` of a row.
    pub fn parts(&self, row: usize) -> Result<&Tensor> {
        self.parts.get(row).ok_or_else(|| only_directions("patch"))
    }
}

fn only_directions(term: &str) -> Error {
    Error::config(
        format!("weights.{term}"),
        "above 0",
        "0, because the tasks were prepared without it",
    )
}

impl Prepared {
    /// Tasks by directions from elsewhere, `[tasks, d]` of any length for each network, which is all that the
    /// directional and the in-domain term need.
    ///
    /// # Errors
    ///
    /// No task, or directions of another number.
    pub fn from_directions(names: Vec<String>, directions: &[Tensor]) -> Result<Self> {
        let tasks = names.len();
        if tasks == 0 {
            return Err(Error::config("number of tasks", 0, "at least 1"));
        }
        let rows = |directions: &Tensor| match *directions.dims() {
            [n, _] if n == tasks => Ok(Rows {
                at: (0..tasks).map(Some).collect(),
                directions: unit_length(&directions.to_dtype(DType::F64)?)?,
                sides: None,
                parts: Vec::new(),
            }),
            _ => Err(Error::shape(
                "directions of tasks",
                directions.dims(),
                format!("[{tasks}, d]"),
            )),
        };
        Ok(Self {
            names,
            guides: directions.iter().map(rows).collect::<Result<_>>()?,
            textures: vec![None; tasks],
        })
    }

    /// The tasks' names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of tasks.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no task; [`Nada::prepare`](crate::Nada::prepare) does not make such.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Unit directions `[tasks, d]` by the network of this number, of the tasks that it looks at.
    pub fn directions(&self, guide: usize) -> Option<&Tensor> {
        self.guides.get(guide).map(|rows| &rows.directions)
    }
}

/// One task by one network.
struct Row {
    direction: Tensor,
    target: Tensor,
    cosine: Tensor,
    prompt: Tensor,
    plain: Tensor,
    parts: Option<Tensor>,
}

/// All tasks that one network looks at.
pub(crate) fn rows(
    (number, guide): (usize, &Guide),
    tasks: &[Task],
    weights: &Weights,
    cache: Option<&Path>,
) -> Result<Rows> {
    let texts = TextMeans::new(&guide.clip, &guide.tokenizer, cache)?;
    let (mut at, mut rows) = (Vec::new(), Vec::new());
    for task in tasks {
        if !(task.guides.is_empty() || task.guides.contains(&number)) {
            at.push(None);
            continue;
        }
        at.push(Some(rows.len()));
        let row = match &task.goal {
            Goal::Texts { source, target } => in_words(&texts, source, target, weights),
            Goal::Pictures { source, target } => in_pictures(guide, source, target, weights),
        };
        rows.push(row.map_err(|error| Error::Task {
            name: task.name.clone(),
            guide: guide.name.clone(),
            source: Box::new(error),
        })?);
    }
    let stack = |of: fn(&Row) -> &Tensor| -> Result<Tensor> {
        let rows: Vec<&Tensor> = rows.iter().map(of).collect();
        if rows.is_empty() {
            return Ok(Tensor::zeros(0, DType::F64, &Device::Cpu)?);
        }
        guide.bring(&Tensor::stack(&rows, 0)?)
    };
    let parts = rows.iter().filter_map(|row| row.parts.as_ref());
    Ok(Rows {
        at,
        directions: stack(|row| &row.direction)?,
        sides: Some(Sides {
            targets: stack(|row| &row.target)?,
            cosines: stack(|row| &row.cosine)?,
            prompts: stack(|row| &row.prompt)?,
            plain: stack(|row| &row.plain)?,
        }),
        parts: parts
            .map(|parts| guide.bring(parts))
            .collect::<Result<_>>()?,
    })
}

fn in_words(texts: &TextMeans<'_>, source: &str, target: &str, weights: &Weights) -> Result<Row> {
    let templates = Prompts::imagenet();
    let sides = [
        texts.mean(&templates, source)?,
        texts.mean(&templates, target)?,
    ];
    let mut row = between(&sides)?;
    row.plain = unit_length(&texts.mean(&Prompts::plain(), target)?)?;
    if weights.global > 0.0 {
        row.prompt = unit_length(&texts.mean(&Prompts::new(&[TARGET])?, target)?)?;
    }
    if weights.patch > 0.0 {
        let parts = Prompts::new(&templates::FACE_PARTS)?;
        let (source, target) = (parts.fill(source)?, parts.fill(target)?);
        let directions = source
            .iter()
            .zip(&target)
            .map(|(source, target)| Ok(texts.direction(&templates, source, target)?))
            .collect::<Result<Vec<_>>>()?;
        row.parts = Some(Tensor::stack(&directions, 0)?);
    }
    Ok(row)
}

/// Pictures have no named parts: every patch goes the way of the whole.
fn in_pictures(
    guide: &Guide,
    source: &Tensor,
    target: &[RgbImage],
    weights: &Weights,
) -> Result<Row> {
    let mean = |features: Tensor| -> Result<Tensor> {
        let features = features.to_device(&Device::Cpu)?;
        Ok(mean_of_units(&features.to_dtype(DType::F64)?)?)
    };
    let sides = [
        mean(guide.features_of_many(std::slice::from_ref(source))?)?,
        mean(guide.features_of_files(target)?)?,
    ];
    let mut row = between(&sides)?;
    if weights.patch > 0.0 {
        row.parts = Some(row.direction.unsqueeze(0)?);
    }
    Ok(row)
}

fn between([source, target]: &[Tensor; 2]) -> Result<Row> {
    let unit = [unit_length(source)?, unit_length(target)?];
    Ok(Row {
        direction: direction(source, target)?,
        cosine: (&unit[0] * &unit[1])?.sum_all()?,
        target: unit[1].clone(),
        prompt: unit[1].clone(),
        plain: unit[1].clone(),
        parts: None,
    })
}
