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
//! CLIP models are summed, methods are added, and the sum is divided once, by the batch of all
//! devices. Definition: adobe-research/domain-expansion, `training/loss.py`.
//!
//! With the placement [`Whole`](crate::Placement::Whole) nothing is projected: one domain takes the whole latent space, its
//! base pictures are the source's, and nothing is aligned.

mod config;
mod learning;
mod samples;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_latent::{ImageDistance, subspace::Subspaces};
use domex_ops::upload;
use domex_random::Stream;
use domex_replay::{Alignment, alignment, diversity};

pub use config::ObjectiveConfig;
pub use samples::{Latents, Pictures};

use crate::method::{Method, Samples, SourcePictures};
use crate::trainee::PictureGroups;
use crate::{Error, Result};

/// The task that learns a domain.
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

/// What each sample's edited picture should be, `[1, c, h, w]`, where its method knows it.
pub type Targets = Vec<Option<Tensor>>;

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
    /// `None` where the one task has the whole latent space.
    subspaces: Option<Subspaces>,
    tasks: Vec<Place>,
    methods: Vec<Box<dyn Method>>,
    distance: Option<Arc<dyn ImageDistance>>,
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
        for index in 0..tasks.len() {
            check_place(&tasks[..=index], methods.len(), subspaces.count())?;
        }
        Ok(Self {
            subspaces: Some(subspaces),
            tasks,
            methods,
            distance: None,
            config,
        })
    }

    /// One task that has the whole latent space, by the first method.
    ///
    /// # Errors
    ///
    /// No method, a weight out of range, or a weight of what cannot be compared then.
    pub fn whole(methods: Vec<Box<dyn Method>>, config: ObjectiveConfig) -> Result<Self> {
        config.validate()?;
        if methods.len() != 1 {
            return Err(Error::setting("methods", methods.len(), "1"));
        }
        let place = Place {
            method: 0,
            number: 0,
            column: 0,
            distance: 0.0,
        };
        Ok(Self {
            subspaces: None,
            tasks: vec![place],
            methods,
            distance: None,
            config,
        })
    }

    /// With the perceptual distance of alignment and diversity.
    #[must_use]
    pub fn with_distance(mut self, distance: Arc<dyn ImageDistance>) -> Self {
        self.distance = Some(distance);
        self
    }

    /// The tasks' places.
    #[must_use]
    pub fn tasks(&self) -> &[Place] {
        &self.tasks
    }

    /// The directions; `None` where the one task has the whole latent space.
    #[must_use]
    pub fn subspaces(&self) -> Option<&Subspaces> {
        self.subspaces.as_ref()
    }

    /// The weights.
    #[must_use]
    pub fn config(&self) -> &ObjectiveConfig {
        &self.config
    }

    /// Lets the methods make what they make ahead.
    ///
    /// # Errors
    ///
    /// A failing method.
    pub fn prepare(&mut self, source: &dyn SourcePictures) -> Result<()> {
        let mut methods = self.methods.iter_mut();
        methods.try_for_each(|method| method.prepare(source))
    }

    /// Lets the methods make anew what should not last, before a step with the number of steps done.
    ///
    /// # Errors
    ///
    /// A failing method.
    pub fn renew(&mut self, step: u64, source: &dyn SourcePictures) -> Result<()> {
        let mut methods = self.methods.iter_mut();
        methods.try_for_each(|method| method.renew(step, source))
    }

    /// What a step trains on, as the tasks' methods say: latents `[n, D]` that are not projected yet, and for each sample
    /// what its edited picture should be `[1, c, h, w]`, where its method knows that. `random: [n, D]` are some that the
    /// generator draws.
    ///
    /// # Errors
    ///
    /// A wrong shape, a task that is not there, or a failing method.
    pub fn sample(
        &self,
        tasks: &[usize],
        random: &Tensor,
        stream: &mut Stream,
    ) -> Result<(Tensor, Targets)> {
        self.check_tasks(tasks, random.dims(), "latents")?;
        let n = tasks.len();
        let mut latents = (0..n)
            .map(|i| random.narrow(0, i, 1))
            .collect::<candle_core::Result<Vec<_>>>()?;
        let mut targets = vec![None; n];
        for (method, own, numbers) in self.by_method(tasks) {
            let sampled = method.sample(&numbers, &rows(random, &own)?, stream)?;
            if sampled.latents.dims() != [own.len(), random.dim(1)?] {
                let expected = format!("[{}, {}]", own.len(), random.dim(1)?);
                return Err(Error::shape(
                    "latents of a method",
                    sampled.latents.dims(),
                    expected,
                ));
            }
            for (row, &i) in own.iter().enumerate() {
                latents[i] = sampled.latents.narrow(0, row, 1)?;
                if let Some(pictures) = &sampled.targets {
                    targets[i] = Some(pictures.narrow(0, row, 1)?);
                }
            }
        }
        Ok((Tensor::cat(&latents, 0)?, targets))
    }

    /// Latents of a step from `w: [n, D]`, the generator's `mean: [D]`, and each sample's task.
    ///
    /// # Errors
    ///
    /// A wrong shape, or a task that is not there.
    pub fn latents(&self, w: &Tensor, mean: &Tensor, tasks: &[usize]) -> Result<Latents> {
        self.check_tasks(tasks, w.dims(), "latents")?;
        let Some(subspaces) = &self.subspaces else {
            return Ok(Latents {
                base: w.clone(),
                edited: w.clone(),
            });
        };
        let directions = subspaces.count();
        let mut steps = vec![0.0; tasks.len() * directions];
        for (sample, &task) in tasks.iter().enumerate() {
            let place = &self.tasks[task];
            steps[sample * directions + place.column] = place.distance;
        }
        let steps = Tensor::from_vec(steps, (tasks.len(), directions), &Device::Cpu)?;
        let steps = upload(&steps, w.device())?;
        let base = subspaces.project(w, Some(mean))?;
        let edited = subspaces.shift(&base, &steps)?;
        Ok(Latents { base, edited })
    }

    /// Pictures of a step. `make` makes them: by the network that is trained those of the first groups of latents, by the
    /// source those of the second ones, which are asked for only where a term needs them.
    ///
    /// # Errors
    ///
    /// A failing network.
    pub fn pictures(
        &self,
        latents: &Latents,
        make: impl FnOnce(&[&Tensor], &[&Tensor]) -> Result<(PictureGroups, PictureGroups)>,
    ) -> Result<Pictures> {
        self.pictures_with(latents, !self.config.alignment.is_off(), make)
    }

    /// The same, `aligned` with those by the source or not.
    pub(crate) fn pictures_with(
        &self,
        latents: &Latents,
        aligned: bool,
        make: impl FnOnce(&[&Tensor], &[&Tensor]) -> Result<(PictureGroups, PictureGroups)>,
    ) -> Result<Pictures> {
        let Latents { base, edited } = latents;
        let base_source = base.detach();
        let missing = || {
            Error::setting(
                "pictures of a step",
                "too few",
                "one group for each of latents",
            )
        };
        if self.subspaces.is_none() {
            let (own, source) = make(&[edited], &[&base_source])?;
            return Ok(Pictures {
                base: source.into_iter().next().ok_or_else(missing)?.detach(),
                edited: own.into_iter().next().ok_or_else(missing)?,
                source: None,
            });
        }
        let wanted: &[&Tensor] = match aligned {
            true => &[&base_source],
            false => &[],
        };
        let (own, source) = make(&[base, edited], wanted)?;
        if source.len() != wanted.len() {
            return Err(missing());
        }
        let [base, edited] = <[Tensor; 2]>::try_from(own).map_err(|_| missing())?;
        Ok(Pictures {
            base,
            edited,
            source: source.into_iter().next().map(|pictures| pictures.detach()),
        })
    }

    /// The loss of a step. `batch` divides what the methods ask: the samples of the step over all
    /// devices. `targets` are what [`sample`](Self::sample) gave.
    ///
    /// # Errors
    ///
    /// A wrong shape, a task that is not there, a batch of 0, or a failing method.
    pub fn loss(
        &self,
        pictures: &Pictures,
        tasks: &[usize],
        targets: &[Option<Tensor>],
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
        targets: &[Option<Tensor>],
        stream: &mut Stream,
    ) -> Result<(Tensor, Vec<f64>)> {
        let mut per_sample = vec![0.0; tasks.len()];
        let mut sum: Option<Tensor> = None;
        let base = pictures.base.detach();
        for (method, own, numbers) in self.by_method(tasks) {
            let known = own.iter().map(|&i| targets.get(i).cloned().flatten());
            let known: Option<Vec<Tensor>> = known.collect();
            let known = known
                .map(|pictures| Tensor::cat(&pictures, 0))
                .transpose()?;
            let part = method.loss(
                &Samples {
                    tasks: &numbers,
                    base: &rows(&base, &own)?,
                    edited: &rows(&pictures.edited, &own)?,
                    targets: known.as_ref(),
                },
                stream,
            )?;
            let values = part.per_sample.to_dtype(DType::F64)?;
            for (i, value) in own.iter().zip(values.to_vec1::<f64>()?) {
                per_sample[*i] = value;
            }
            sum = Some(match sum {
                Some(sum) => (sum + part.total)?,
                None => part.total,
            });
        }
        let none = || Error::setting("samples", 0, "at least one");
        Ok((sum.ok_or_else(none)?, per_sample))
    }

    /// What adaptive layers descend: how far `pictures` are from the domains of `tasks`, summed over methods.
    ///
    /// # Errors
    ///
    /// A method that cannot say it, or that fails.
    pub fn distance_to_domains(&self, tasks: &[usize], pictures: &Tensor) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (method, own, numbers) in self.by_method(tasks) {
            let distance = method.distance_to_domain(&numbers, &rows(pictures, &own)?)?;
            let distance = distance.ok_or_else(|| {
                let expected = "none: only method \"nada\" can say which layers matter";
                Error::setting(
                    "adaptive_layers",
                    format!("a task of method {:?}", method.name()),
                    expected,
                )
            })?;
            sum = Some(match sum {
                Some(sum) => (sum + distance)?,
                None => distance,
            });
        }
        sum.ok_or_else(|| Error::setting("samples", 0, "at least one"))
    }

    /// Each method that has samples, with their places in the batch and its own numbers of their tasks.
    fn by_method<'a>(
        &'a self,
        tasks: &'a [usize],
    ) -> impl Iterator<Item = (&'a dyn Method, Vec<usize>, Vec<usize>)> {
        self.methods
            .iter()
            .enumerate()
            .filter_map(|(index, method)| {
                let (own, numbers) = self.samples_of(index, tasks);
                (!own.is_empty()).then_some((&**method, own, numbers))
            })
    }

    /// The places in the batch of a method's samples, and its own numbers of their tasks.
    fn samples_of(&self, method: usize, tasks: &[usize]) -> (Vec<usize>, Vec<usize>) {
        let own = (0..tasks.len()).filter(|&i| self.tasks[tasks[i]].method == method);
        own.map(|i| (i, self.tasks[tasks[i]].number)).unzip()
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

/// Checks the last of these places against the methods, the directions and the places before it.
fn check_place(tasks: &[Place], methods: usize, directions: usize) -> Result<()> {
    let Some((task, before)) = tasks.split_last() else {
        return Ok(());
    };
    let name = |part: &str| format!("{part} of task {}", before.len());
    if task.method >= methods {
        return Err(Error::setting(
            name("method"),
            task.method,
            format!("below {methods}"),
        ));
    }
    if task.column >= directions {
        let expected = format!("below {directions}");
        return Err(Error::setting(name("direction"), task.column, expected));
    }
    if !(task.distance.is_finite() && task.distance > 0.0) {
        return Err(Error::setting(name("distance"), task.distance, "above 0"));
    }
    match before.iter().position(|t| t.column == task.column) {
        Some(other) => {
            let expected = format!("one of its own; task {other} has this one");
            Err(Error::setting(name("direction"), task.column, expected))
        }
        None => Ok(()),
    }
}

/// Some rows of `x`, in this order. All of them are `x` itself.
pub(crate) fn rows(x: &Tensor, own: &[usize]) -> Result<Tensor> {
    if own.len() == x.dim(0)? {
        return Ok(x.clone());
    }
    let index: Vec<u32> = own.iter().map(|&i| i as u32).collect();
    let index = upload(&Tensor::new(index, &Device::Cpu)?, x.device())?;
    Ok(x.contiguous()?.index_select(&index, 0)?)
}
