//! The loss of one step of an expansion.
//!
//! ```text
//! base   = B Bᵀ w + R Rᵀ w̄                           the base subspace, through the mean
//! edited = base + s_t r_t                            t the task of the sample
//! L      = expand · (Σ over methods Σ over their samples) / batch
//!        + l2 · mean (G(base) − G_src(base))² + lpips · mean d(G(base), G_src(base))
//!        − diversity · mean d(G(edited_i), G(edited_j)) over pairs of one task
//! ```
//!
//! Base and edited pictures are made in one batch, the source's only where a term compares with
//! them. The base pictures serve both terms: the methods see them without a graph, so what is
//! learnt in a domain never pulls on the base, and the alignment holds them. Weights of several
//! CLIP networks are summed, methods are added, and the sum is divided once, by the batch of all
//! devices. Definition: adobe-research/domain-expansion, `training/loss.py`.

use candle_core::Tensor;
use domex_latent::{ImageDistance, subspace::Subspaces};
use domex_random::Stream;
use domex_replay::{Alignment, AlignmentConfig, alignment, diversity};
use domex_stylegan2::{Generator, Noise, mapping::broadcast};

use crate::method::{Method, Samples};
use crate::{Error, Result};

/// Weights of the terms. The published ones are the default.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// Of what the methods ask.
    pub expand: f64,
    /// Of replay alignment.
    pub alignment: AlignmentConfig,
    /// Of the perceptual distance between the pictures of one domain.
    pub diversity: f64,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            expand: 1.0,
            alignment: AlignmentConfig::default(),
            diversity: 0.0,
        }
    }
}

impl ObjectiveConfig {
    /// # Errors
    ///
    /// A weight that is negative or not finite.
    pub fn validate(&self) -> Result<()> {
        let weights = [("expand", self.expand), ("diversity", self.diversity)];
        for (name, weight) in weights {
            if !(weight.is_finite() && weight >= 0.0) {
                let what = format!("weight of `{name}`");
                return Err(Error::setting(what, weight, "0 or more"));
            }
        }
        Ok(self.alignment.validate()?)
    }
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Its method, by the order in which [`Objective::new`] got them.
    pub method: usize,
    /// Its number in that method.
    pub number: usize,
    /// Its direction, by the order of the repurposed ones. Domains of an earlier expansion have
    /// directions too, which no task need move along.
    pub column: usize,
    /// How far along it the domain lies.
    pub distance: f64,
}

/// The latents of a step `[n, D]`.
#[derive(Debug, Clone)]
pub struct Latents {
    /// On the base subspace.
    pub base: Tensor,
    /// Moved along each sample's direction.
    pub edited: Tensor,
}

/// The pictures of a step `[n, c, h, w]`.
#[derive(Debug, Clone)]
pub struct Pictures {
    /// Of the base latents.
    pub base: Tensor,
    /// Of the edited ones.
    pub edited: Tensor,
    /// Of the base latents, by the source generator; `None` where nothing is compared with it.
    pub source: Option<Tensor>,
}

/// What a step costs; scalars, but for the last.
#[derive(Debug, Clone)]
pub struct Losses {
    /// The weighted sum of all terms.
    pub total: Tensor,
    /// What the methods ask, without its weight.
    pub expand: Tensor,
    /// Replay alignment; zeros where it is off.
    pub alignment: Alignment,
    /// Mean distance within a domain, without its weight; `None` where it does not count or no two
    /// samples have one task.
    pub diversity: Option<Tensor>,
    /// What the methods ask of each sample.
    pub per_sample: Vec<f64>,
}

/// Tasks, methods and weights. See the [module docs](self).
pub struct Objective {
    subspaces: Subspaces,
    tasks: Vec<Place>,
    methods: Vec<Box<dyn Method>>,
    distance: Option<Box<dyn ImageDistance>>,
    config: ObjectiveConfig,
}

impl Objective {
    /// # Errors
    ///
    /// No task; one whose method or direction is not there, or whose distance is not a positive
    /// number; two on one direction; a weight out of range.
    pub fn new(
        subspaces: Subspaces,
        tasks: Vec<Place>,
        methods: Vec<Box<dyn Method>>,
        config: ObjectiveConfig,
    ) -> Result<Self> {
        config.validate()?;
        if tasks.is_empty() {
            return Err(Error::setting("tasks", "none", "at least one"));
        }
        for (index, task) in tasks.iter().enumerate() {
            let name = |part: &str| format!("{part} of task {index}");
            if task.method >= methods.len() {
                let expected = format!("below {}", methods.len());
                return Err(Error::setting(name("method"), task.method, expected));
            }
            if task.column >= subspaces.count() {
                let expected = format!("below {}", subspaces.count());
                return Err(Error::setting(name("direction"), task.column, expected));
            }
            if !(task.distance.is_finite() && task.distance > 0.0) {
                return Err(Error::setting(name("distance"), task.distance, "above 0"));
            }
            let before = &tasks[..index];
            if let Some(other) = before.iter().position(|t| t.column == task.column) {
                let expected = format!("one of its own; task {other} has this one");
                return Err(Error::setting(name("direction"), task.column, expected));
            }
        }
        Ok(Self {
            subspaces,
            tasks,
            methods,
            distance: None,
            config,
        })
    }

    /// With the perceptual distance of alignment and diversity.
    #[must_use]
    pub fn with_distance(mut self, distance: Box<dyn ImageDistance>) -> Self {
        self.distance = Some(distance);
        self
    }

    /// The tasks' places.
    #[must_use]
    pub fn tasks(&self) -> &[Place] {
        &self.tasks
    }

    /// The directions.
    #[must_use]
    pub fn subspaces(&self) -> &Subspaces {
        &self.subspaces
    }

    /// The weights.
    #[must_use]
    pub fn config(&self) -> &ObjectiveConfig {
        &self.config
    }

    /// Latents of a step from `w: [n, D]`, the generator's `mean: [D]`, and each sample's task.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a task that is not there.
    pub fn latents(&self, w: &Tensor, mean: &Tensor, tasks: &[usize]) -> Result<Latents> {
        self.check_tasks(tasks, w.dims(), "latents")?;
        let directions = self.subspaces.count();
        let mut steps = vec![0.0; tasks.len() * directions];
        for (sample, &task) in tasks.iter().enumerate() {
            let place = &self.tasks[task];
            steps[sample * directions + place.column] = place.distance;
        }
        let steps = Tensor::from_vec(steps, (tasks.len(), directions), w.device())?;
        let base = self.subspaces.project(w, Some(mean))?;
        let edited = self.subspaces.shift(&base, &steps)?;
        Ok(Latents { base, edited })
    }

    /// Pictures of a step. `noise` is for base and edited pictures, in this order in one batch of
    /// 2n; `source_noise` for the source's, which are made only where a term asks for them.
    ///
    /// # Errors
    ///
    /// A failing network, or no source where one is needed.
    pub fn pictures(
        &self,
        generator: &Generator,
        source: Option<&Generator>,
        latents: &Latents,
        noise: Noise<'_>,
        source_noise: Noise<'_>,
    ) -> Result<Pictures> {
        let n = latents.base.dim(0)?;
        let both = Tensor::cat(&[&latents.base, &latents.edited], 0)?;
        let ws = broadcast(&both, generator.config().num_ws())?;
        let both = generator.synthesis().forward(&ws, noise)?;
        let source = match (self.config.alignment.is_off(), source) {
            (true, _) => None,
            (false, Some(source)) => {
                let ws = broadcast(&latents.base.detach(), source.config().num_ws())?;
                let pictures = source.synthesis().forward(&ws, source_noise)?;
                Some(pictures.detach())
            }
            (false, None) => {
                let expected = "the generator before the expansion, or alignment weights of 0";
                return Err(Error::setting("source generator", "none", expected));
            }
        };
        Ok(Pictures {
            base: both.narrow(0, 0, n)?,
            edited: both.narrow(0, n, n)?,
            source,
        })
    }

    /// The loss of a step. `batch` divides what the methods ask: the samples of the step over all
    /// devices. `targets: [n, c, h, w]` are for methods that know what a sample should be; rows of
    /// other samples are not looked at.
    ///
    /// # Errors
    ///
    /// A wrong shape, a task that is not there, a batch of 0, or a failing method.
    pub fn loss(
        &self,
        pictures: &Pictures,
        tasks: &[usize],
        targets: Option<&Tensor>,
        batch: usize,
        stream: &mut Stream,
    ) -> Result<Losses> {
        self.check_tasks(tasks, pictures.edited.dims(), "edited pictures")?;
        if batch == 0 {
            return Err(Error::setting("batch", 0, "1 or more"));
        }
        let (sum, per_sample) = self.methods(pictures, tasks, targets, stream)?;
        let expand = (sum / batch as f64)?;
        let distance = self.distance.as_deref();
        let alignment = match &pictures.source {
            Some(source) => alignment(&pictures.base, source, distance, &self.config.alignment)?,
            None => {
                let zero = expand.zeros_like()?.detach();
                Alignment {
                    loss: zero.clone(),
                    l2: zero.clone(),
                    perceptual: zero,
                }
            }
        };
        let mut total = ((&expand * self.config.expand)? + &alignment.loss)?;
        let diversity = match (self.config.diversity > 0.0, distance) {
            (false, _) => None,
            (true, Some(distance)) => diversity(&pictures.edited, tasks, distance)?,
            (true, None) => {
                let expected = "0, or a perceptual network";
                let found = self.config.diversity;
                return Err(Error::setting("weight of `diversity`", found, expected));
            }
        };
        if let Some(diversity) = &diversity {
            total = (total - (diversity * self.config.diversity)?)?;
        }
        Ok(Losses {
            total,
            expand,
            alignment,
            diversity,
            per_sample,
        })
    }

    /// The sum over all methods, and each sample's part.
    fn methods(
        &self,
        pictures: &Pictures,
        tasks: &[usize],
        targets: Option<&Tensor>,
        stream: &mut Stream,
    ) -> Result<(Tensor, Vec<f64>)> {
        let mut per_sample = vec![0.0; tasks.len()];
        let mut sum: Option<Tensor> = None;
        let base = pictures.base.detach();
        for (index, method) in self.methods.iter().enumerate() {
            let own = (0..tasks.len()).filter(|&i| self.tasks[tasks[i]].method == index);
            let own: Vec<usize> = own.collect();
            if own.is_empty() {
                continue;
            }
            let numbers: Vec<usize> = own.iter().map(|&i| self.tasks[tasks[i]].number).collect();
            let share = method.loss(
                &Samples {
                    tasks: &numbers,
                    base: &rows(&base, &own)?,
                    edited: &rows(&pictures.edited, &own)?,
                    targets: targets.map(|t| rows(t, &own)).transpose()?.as_ref(),
                },
                stream,
            )?;
            let values = share.per_sample.to_dtype(candle_core::DType::F64)?;
            for (i, value) in own.iter().zip(values.to_vec1::<f64>()?) {
                per_sample[*i] = value;
            }
            sum = Some(match sum {
                Some(sum) => (sum + share.total)?,
                None => share.total,
            });
        }
        let none = || Error::setting("samples", 0, "at least one");
        Ok((sum.ok_or_else(none)?, per_sample))
    }

    fn check_tasks(&self, tasks: &[usize], found: &[usize], what: &'static str) -> Result<()> {
        if found.first() != Some(&tasks.len()) {
            let expected = format!("[{}, ..], one for each task number", tasks.len());
            return Err(Error::shape(what, found, expected));
        }
        match tasks.iter().find(|&&task| task >= self.tasks.len()) {
            Some(task) => {
                let expected = format!("below {}", self.tasks.len());
                Err(Error::setting("task number", task, expected))
            }
            None => Ok(()),
        }
    }
}

/// Some rows of `x`, in this order. All of them are `x` itself.
fn rows(x: &Tensor, own: &[usize]) -> Result<Tensor> {
    if own.len() == x.dim(0)? {
        return Ok(x.clone());
    }
    let index: Vec<u32> = own.iter().map(|&i| i as u32).collect();
    Ok(x.contiguous()?
        .index_select(&Tensor::new(index, x.device())?, 0)?)
}
