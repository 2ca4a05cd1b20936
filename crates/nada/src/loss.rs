//! The loss of a batch of edits.
//!
//! `Σ_k w_k Σ_i Σ_t λ_t ℓ_t(base_i, edited_i; task_i)` over networks `k`, pairs `i` and terms `t`. It is a
//! sum: the caller divides by the batch once, whatever groups of tasks the batch is made of. Terms over
//! pairs of pictures count as if each picture had their mean.
//!
//! Base pictures are seen without a graph and apart from the edited ones: a common batch would pay for
//! their backward pass too. The networks are frozen, so nothing is paid for weights either.

use std::path::Path;

use candle_core::{D, Tensor};
use domex_clip::unit_length;
use domex_random::Stream;

use crate::config::Config;
use crate::direction::{Guard, along};
use crate::guide::Guide;
use crate::pairs::{Pairs, in_domain_angle, target_direction};
use crate::part::Part;
use crate::patches::{cut, draw_centres};
use crate::sum::Sum;
use crate::task::{Prepared, Rows, Task, rows};
use crate::terms::{angle, contrastive, global, patch_direction, texture};
use crate::{Error, Result};

/// Networks and settings. See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Nada {
    guides: Vec<Guide>,
    texture: Option<Guide>,
    config: Config,
}

/// A loss, and what it is made of.
#[derive(Debug, Clone)]
pub struct Loss {
    /// The sum over all pairs, `[]`, with its graph.
    pub total: Tensor,
    /// Each pair's share, `[n]`, without a graph and without terms over pairs of pictures.
    pub per_sample: Tensor,
}

/// One batch as the networks see it.
struct Batch<'a> {
    base: Tensor,
    edited: Tensor,
    tasks: &'a [usize],
}

impl Nada {
    /// The loss by these networks.
    ///
    /// # Errors
    ///
    /// No network, a setting out of range, or a texture term: that takes
    /// [`with_texture`](Self::with_texture).
    pub fn new(guides: Vec<Guide>, config: Config) -> Result<Self> {
        if config.weights.texture > 0.0 {
            return Err(Error::config(
                "weights.texture",
                config.weights.texture,
                "0, or a network that sees textures",
            ));
        }
        Self::build(guides, None, config)
    }

    /// The same with a network for the texture term: a ResNet's, RN50 as published.
    ///
    /// # Errors
    ///
    /// No network, or a setting out of range.
    pub fn with_texture(guides: Vec<Guide>, texture: Guide, config: Config) -> Result<Self> {
        Self::build(guides, Some(texture), config)
    }

    fn build(guides: Vec<Guide>, texture: Option<Guide>, config: Config) -> Result<Self> {
        config.validate()?;
        if guides.is_empty() {
            return Err(Error::config("number of CLIP networks", 0, "at least 1"));
        }
        guides
            .iter()
            .chain(&texture)
            .try_for_each(Guide::validate)?;
        Ok(Self {
            guides,
            texture,
            config,
        })
    }

    /// The networks, without that for textures.
    pub fn guides(&self) -> &[Guide] {
        &self.guides
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Gives up the text encoders, and their memory: the loss needs none once all tasks are [prepared](Self::prepare).
    #[must_use]
    pub fn without_texts(mut self) -> Self {
        for guide in self.guides.iter_mut().chain(&mut self.texture) {
            guide.clip.forget_texts();
        }
        self
    }

    /// All that is needed of the tasks, text features being kept in the folder `cache` where one is given.
    ///
    /// # Errors
    ///
    /// No task; an empty text or one that is too long; a source that is the same as its target; a cache
    /// that cannot be written; a texture term that no task has pictures for.
    pub fn prepare(&self, tasks: &[Task], cache: Option<&Path>) -> Result<Prepared> {
        if tasks.is_empty() {
            return Err(Error::config("number of tasks", 0, "at least 1"));
        }
        let weights = &self.config.weights;
        let networks = self.guides.len();
        for task in tasks {
            if let Some(number) = task.guides.iter().find(|number| **number >= networks) {
                let what = format!("CLIP network of task {:?}", task.name);
                return Err(Error::config(what, number, format!("below {networks}")));
            }
        }
        let guides = self.guides.iter().enumerate();
        let guides = guides
            .map(|(number, guide)| rows((number, guide), tasks, weights, cache))
            .collect::<Result<_>>()?;
        let textures = match &self.texture {
            Some(guide) if weights.texture > 0.0 => textures(guide, tasks)?,
            _ => vec![None; tasks.len()],
        };
        Ok(Prepared {
            names: tasks.iter().map(|task| task.name.clone()).collect(),
            guides,
            textures,
        })
    }

    /// The loss of `base, edited: [n, 3, h, w]` in `[-1, 1]`, pair `i` being of task `tasks[i]`. Draws
    /// what is random from `stream`. Gradients reach `edited` only.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or a task that was not prepared.
    pub fn loss(
        &self,
        prepared: &Prepared,
        base: &Tensor,
        edited: &Tensor,
        tasks: &[usize],
        stream: &mut Stream,
    ) -> Result<Loss> {
        let [n, h, w] = check(&self.guides, prepared, edited, tasks)?;
        if base.dims() != edited.dims() {
            return Err(Error::shape(
                "base pictures",
                base.dims(),
                format!("the edited ones', {:?}", edited.dims()),
            ));
        }
        let augment = &self.config.augment;
        let mut sum = Sum::new(edited)?;
        for _ in 0..augment.views {
            let view = augment.draw(stream, [n, h, w])?;
            let batch = Batch {
                base: view.apply(&base.detach())?,
                edited: view.apply(edited)?,
                tasks,
            };
            self.view(prepared, &batch, stream, &mut sum)?;
        }
        let (total, per_sample) = sum.finish(augment.views)?;
        Ok(Loss {
            total,
            per_sample: per_sample.detach(),
        })
    }

    /// One view of the batch by all networks.
    fn view(
        &self,
        prepared: &Prepared,
        batch: &Batch<'_>,
        stream: &mut Stream,
        sum: &mut Sum,
    ) -> Result<()> {
        let centres = match self.config.weights.patch > 0.0 {
            true => {
                let (n, _, h, w) = batch.edited.dims4()?;
                let size = self.config.patches.pixels(h, w);
                let count = self.config.patches.count;
                Some((draw_centres(stream, [n, h, w], count, size)?, size))
            }
            false => None,
        };
        for (guide, rows) in self.guides.iter().zip(&prepared.guides) {
            let Some(part) = Part::of(rows, batch.tasks, &batch.edited)? else {
                continue;
            };
            let pictures = [part.pick(&batch.base)?, part.pick(&batch.edited)?];
            self.whole(guide, rows, &pictures, &part, sum)?;
            if let Some((centres, size)) = &centres {
                let centres = part.items(centres, self.config.patches.count);
                let [base, edited] = &pictures;
                let patches = [cut(base, &centres, *size)?, cut(edited, &centres, *size)?];
                let lambda = guide.weight * self.config.weights.patch;
                let losses = self.patches(guide, rows, &patches, &part.tasks)?;
                sum.each(lambda, &part.spread(losses)?)?;
            }
        }
        self.texture(prepared, batch, sum)
    }

    /// The terms on whole pictures, `base` and `edited`, of a part of the batch.
    fn whole(
        &self,
        guide: &Guide,
        rows: &Rows,
        [base, edited]: &[Tensor; 2],
        part: &Part,
        sum: &mut Sum,
    ) -> Result<()> {
        let weights = &self.config.weights;
        let on = [
            weights.direction,
            weights.global,
            weights.manifold,
            weights.in_domain,
            weights.target_direction,
            weights.contrastive,
        ];
        if on.iter().all(|weight| *weight == 0.0) {
            return Ok(());
        }
        let of_tasks = |x: &Tensor| of(x, &part.numbers, edited);
        let base = unit_length(&guide.features(base)?.detach())?;
        let edited = unit_length(&guide.features(edited)?)?;
        let w = guide.weight;
        if weights.direction > 0.0 {
            let directions = of_tasks(&rows.directions)?;
            let loss = along(&(&edited - &base)?, &directions, Guard::default())?;
            sum.each(w * weights.direction, &part.spread(loss)?)?;
        }
        if weights.global > 0.0 {
            let cosines = (&edited * of_tasks(&rows.sides("global")?.prompts)?)?.sum(D::Minus1)?;
            let loss = global(&cosines, guide.clip.logit_scale())?;
            sum.each(w * weights.global, &part.spread(loss)?)?;
        }
        if weights.manifold > 0.0 {
            let loss = angle(&base, &edited, &of_tasks(&rows.sides("manifold")?.cosines)?)?;
            sum.each(w * weights.manifold, &part.spread(loss)?)?;
        }
        if weights.contrastive > 0.0 {
            let edits = (&edited - &base)?;
            let directions = rows.directions.to_dtype(edits.dtype())?;
            let loss = contrastive(&edits, &directions, &part.numbers, Guard::default())?;
            sum.each(w * weights.contrastive, &part.spread(loss)?)?;
        }
        let (n, tasks) = (part.tasks.len(), &part.tasks);
        if weights.in_domain > 0.0 {
            let alike = Pairs::new(n, |i, j| tasks[i] == tasks[j]);
            let loss = in_domain_angle(&base, &edited, &alike)?;
            sum.all(w * weights.in_domain * n as f64, &loss)?;
        }
        if weights.target_direction > 0.0 {
            let apart = Pairs::new(n, |i, j| tasks[i] != tasks[j]);
            let domains = of_tasks(&rows.sides("target_direction")?.targets)?;
            let loss = target_direction(&edited, &domains, &apart)?;
            sum.all(w * weights.target_direction * n as f64, &loss)?;
        }
        Ok(())
    }

    /// The patch term `[n]`, for patches `[n · count, 3, s, s]` before and after the edit.
    fn patches(
        &self,
        guide: &Guide,
        rows: &Rows,
        [base, edited]: &[Tensor; 2],
        tasks: &[usize],
    ) -> Result<Tensor> {
        let (base, edited) = (guide.features(base)?.detach(), guide.features(edited)?);
        let count = self.config.patches.count;
        let losses = tasks.iter().enumerate().map(|(i, task)| {
            let own = |x: &Tensor| x.narrow(0, i * count, count);
            let parts = rows.parts(*task)?.to_dtype(edited.dtype())?;
            let losses = patch_direction(&own(&base)?, &own(&edited)?, &parts, Guard::default())?;
            Ok(losses.mean_all()?)
        });
        Ok(Tensor::stack(&losses.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The texture term, for the pairs whose task has a texture.
    fn texture(&self, prepared: &Prepared, batch: &Batch<'_>, sum: &mut Sum) -> Result<()> {
        let weight = self.config.weights.texture;
        let Some(guide) = self.texture.as_ref().filter(|_| weight > 0.0) else {
            return Ok(());
        };
        if batch
            .tasks
            .iter()
            .all(|task| prepared.textures[*task].is_none())
        {
            return Ok(());
        }
        let edited = guide.features(&batch.edited)?;
        let losses = batch.tasks.iter().enumerate().map(|(i, task)| {
            let row = edited.narrow(0, i, 1)?;
            match &prepared.textures[*task] {
                Some(wanted) => texture(wanted, &row),
                None => Ok(row.sum(1)?.zeros_like()?),
            }
        });
        let losses = Tensor::cat(&losses.collect::<Result<Vec<_>>>()?, 0)?;
        sum.each(guide.weight * weight, &losses)
    }

    /// The global term of `pictures: [n, 3, h, w]` alone, `[]`: the weighted sum over networks of the mean
    /// over pictures. What [`choose_layers`](crate::layers::choose_layers) goes down, and as there published to the target text as
    /// it is: [`loss`](Self::loss) shows it in the sentence *a {}*.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or a task that was not prepared.
    pub fn global(
        &self,
        prepared: &Prepared,
        pictures: &Tensor,
        tasks: &[usize],
    ) -> Result<Tensor> {
        check(&self.guides, prepared, pictures, tasks)?;
        let mut sum = Sum::new(pictures)?;
        for (guide, rows) in self.guides.iter().zip(&prepared.guides) {
            let Some(part) = Part::of(rows, tasks, pictures)? else {
                continue;
            };
            let images = unit_length(&guide.features(&part.pick(pictures)?)?)?;
            let texts = of(&rows.sides("global")?.plain, &part.numbers, pictures)?;
            let cosines = (images * texts)?.sum(D::Minus1)?;
            let loss = global(&cosines, guide.clip.logit_scale())?.mean_all()?;
            sum.all(guide.weight, &loss)?;
        }
        Ok(sum.finish(1)?.0)
    }
}

/// Mean raw features `[1, d]` of the tasks' textures.
fn textures(guide: &Guide, tasks: &[Task]) -> Result<Vec<Option<Tensor>>> {
    if tasks.iter().all(|task| task.texture.is_empty()) {
        return Err(Error::config(
            "weights.texture",
            "above 0",
            "0, or a task with pictures of a texture",
        ));
    }
    let mean = |task: &Task| -> Result<Option<Tensor>> {
        if task.texture.is_empty() {
            return Ok(None);
        }
        let features = guide.features_of_many(&task.texture)?;
        Ok(Some(features.mean_keepdim(0)?))
    };
    tasks.iter().map(mean).collect()
}

/// `[n, h, w]` of the pictures.
fn check(
    guides: &[Guide],
    prepared: &Prepared,
    pictures: &Tensor,
    tasks: &[usize],
) -> Result<[usize; 3]> {
    if prepared.guides.len() != guides.len() {
        return Err(Error::config(
            "number of networks that the tasks were prepared for",
            prepared.guides.len(),
            format!("{}, those of the loss", guides.len()),
        ));
    }
    let size = match *pictures.dims() {
        [n, 3, h, w] if n > 0 && n == tasks.len() && h > 0 && w > 0 => [n, h, w],
        _ => {
            return Err(Error::shape(
                "pictures",
                pictures.dims(),
                format!("[{}, 3, h, w], one for each task number", tasks.len()),
            ));
        }
    };
    match tasks.iter().find(|task| **task >= prepared.len()) {
        Some(task) => Err(Error::config(
            "task number",
            task,
            format!("one of {} that were prepared", prepared.len()),
        )),
        None => Ok(size),
    }
}

/// Rows `at` of what was prepared, in the type of the pictures.
fn of(prepared: &Tensor, at: &Tensor, like: &Tensor) -> Result<Tensor> {
    Ok(prepared.index_select(at, 0)?.to_dtype(like.dtype())?)
}
