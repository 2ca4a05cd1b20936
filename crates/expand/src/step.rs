//! The expansion's own phase of a step, from latents to parameters that have moved: new domains and replay alignment. What
//! the generator does for its source domain besides is the [trainee's](crate::Trainee::source_phases).
//!
//! A loss or gradient that is not finite leaves the parameters as they were.

use candle_core::{DType, Device, Tensor};
use domex_latent::Generator;
use domex_latent::sample::draw_labels;
use domex_ops::upload;
use domex_random::Stream;
use domex_replay::alignment;
use domex_train::Losses;
use domex_train::accumulate::Accumulator;

use crate::job::Expand;
use crate::method::Turn;
use crate::objective::Latents;
use crate::trainee::{Noise, Weights};
use crate::{Error, Result};

impl Expand {
    /// New domains, alignment with the source, and what else is weighted; then the step of what methods train themselves.
    /// `factor` is what learning rates are multiplied by.
    pub(crate) fn expand_phase(&mut self, factor: f64, losses: &mut Losses) -> Result<()> {
        let n = self.config.batch;
        let mut tasks = draw(&mut self.streams.tasks, self.objective.tasks().len(), n)?;
        self.objective.gather(&mut tasks)?;
        let labels = self.labels(n)?;
        let random = self
            .trainee
            .draw_latents(n, labels.as_ref(), &mut self.streams.latents)?;
        let sampled = self
            .objective
            .sample(&tasks, &random, &mut self.streams.samples)?;
        let (w, targets) = sampled;
        let mean = self.trainee.mean()?;
        let frozen = match &mut self.layers {
            None => Vec::new(),
            Some(layers) => layers.frozen(
                &tasks,
                &self.objective,
                (&*self.trainee, self.config.class),
                &*self.trained,
                losses,
            )?,
        };
        let latents = self.objective.latents(&w, &mean, &tasks)?;
        let passes = self.config.passes();
        let mut sum = Accumulator::shared(&self.team, passes.len()).of(&self.optimizer);
        let mut shown = vec![None; passes.len()];
        let mut start = 0;
        for (index, &count) in passes.iter().enumerate() {
            // Streams of its own, so that a pass which another rank computes need not be drawn for.
            let own = (passes.len() > 1).then(|| self.streams.of_pass());
            if sum.begin(index) {
                let pass = Pass {
                    tasks: &tasks[start..start + count],
                    targets: &targets[start..start + count],
                    latents: latents.narrow(start, count)?,
                    labels: labels
                        .as_ref()
                        .map(|labels| labels.narrow(0, start, count))
                        .transpose()?,
                };
                let outer = own.map(|own| std::mem::replace(&mut self.streams, own));
                let edited = self.expand_pass(pass, &mut sum)?;
                if let Some(outer) = outer {
                    self.streams = outer;
                }
                shown[index] = Some(edited).filter(|_| self.objective.learns());
            }
            start += count;
        }
        sum.apply(&mut self.optimizer, &frozen, losses)?;
        if !self.objective.learns() {
            return Ok(());
        }
        let mut turn = Turn {
            factor,
            team: &self.team,
            losses,
        };
        self.objective.learn(&shown, &passes, &tasks, &mut turn)
    }

    /// Adds the loss of some samples of a step; gives their edited pictures without a graph.
    fn expand_pass(&mut self, pass: Pass<'_>, sum: &mut Accumulator) -> Result<Tensor> {
        let Pass {
            tasks,
            targets,
            latents,
            labels,
        } = pass;
        let n = tasks.len();
        let share = n as f64 / self.config.batch as f64;
        let noise = Noise::Fresh {
            live: &mut self.streams.noise,
            source: &mut self.streams.source_noise,
        };
        let make = |latents: &[&_], source: &[&_]| {
            self.trainee.pictures(Weights::Live, latents, source, noise)
        };
        // What cannot move needs nothing that holds it.
        let moves = self.config.parametrisation.changes_base();
        let aligned = moves && !self.config.objective.alignment.is_off();
        let pictures = self.objective.pictures_with(&latents, aligned, make)?;
        let step = self
            .objective
            .loss(&pictures, tasks, targets, n, &mut self.streams.methods)?;
        sum.tell("loss/expand", share * number(&step.expand)?);
        if moves {
            sum.tell("loss/l2", share * number(&step.alignment.l2)?);
            sum.tell("loss/lpips", share * number(&step.alignment.perceptual)?);
        }
        // What is not finite is told of by the sum, and must not enter the means.
        let mut told = Losses::default();
        let finite = tasks.iter().zip(&step.per_sample);
        for (task, value) in finite.filter(|(_, value)| value.is_finite()) {
            let name = &self.names[*task];
            told.values.push((format!("domain/{name}"), *value));
        }
        let mut total = step.total;
        if let Some(diversity) = &step.diversity {
            sum.tell("loss/diversity", share * number(diversity)?);
        }
        if let Some(earlier) = self.earlier_domains().filter(|_| moves) {
            let domains = draw(&mut self.streams.earlier, earlier, n)?;
            let term = self.hold(&self.moved(&latents.base, &domains)?)?;
            sum.tell("loss/earlier", share * number(&term)?);
            total = (total + term)?;
        }
        if let Some(reserved) = self.domains.reserved.clone() {
            let moved = along(&latents.base, &reserved, &mut self.streams.earlier)?;
            let term = self.hold(&moved)?;
            sum.tell("loss/reserve", share * number(&term)?);
            total = (total + term)?;
        }
        let edited = &pictures.edited;
        let opinion = (self.trainee).judge_edited(Weights::Live, edited, labels.as_ref())?;
        if let Some(opinion) = opinion {
            sum.tell("loss/realism", share * number(&opinion.loss)?);
            total = (total + (opinion.loss * opinion.weight)?)?;
        }
        sum.report(told);
        sum.descend(&total, share)?;
        Ok(pictures.edited.detach())
    }

    /// Labels of a step's samples, where the generator has classes.
    fn labels(&mut self, n: usize) -> Result<Option<Tensor>> {
        let generator = self.trainee.generator(Weights::Source);
        let stream = &mut self.streams.classes;
        Ok(draw_labels(generator, self.config.class, n, stream)?)
    }

    /// How many domains the model had, where they are held as they were.
    pub(crate) fn earlier_domains(&self) -> Option<usize> {
        let held =
            self.objective.subspaces().is_some() && !self.config.objective.alignment.is_off();
        Some(self.domains.earlier).filter(|&earlier| held && earlier > 0)
    }

    /// Alignment with the source's pictures of latents `[n, D]`.
    fn hold(&mut self, latents: &Tensor) -> Result<Tensor> {
        let noise = Noise::Fresh {
            live: &mut self.streams.noise,
            source: &mut self.streams.source_noise,
        };
        let (now, before) = self
            .trainee
            .pictures(Weights::Live, &[latents], &[latents], noise)?;
        self.aligned(&now[0], &before[0])
    }

    /// Base latents `[n, D]`, each moved into one of all domains.
    pub(crate) fn moved(&self, base: &Tensor, domains: &[usize]) -> Result<Tensor> {
        let none = || Error::setting("subspaces", "none", "those of the domains");
        let subspaces = self.objective.subspaces().ok_or_else(none)?;
        let columns = subspaces.count();
        let mut steps = vec![0.0; domains.len() * columns];
        for (sample, &domain) in domains.iter().enumerate() {
            steps[sample * columns + domain] = self.domains.layout.domains()[domain].distance;
        }
        let steps = Tensor::from_vec(steps, (domains.len(), columns), &Device::Cpu)?;
        let steps = upload(&steps, base.device())?;
        Ok(subspaces.shift(base, &steps)?)
    }

    /// The weighted difference of pictures from what the source makes of the same latents.
    pub(crate) fn aligned(&self, now: &Tensor, before: &Tensor) -> Result<Tensor> {
        let weights = &self.config.objective.alignment;
        Ok(alignment(now, before, self.distance.as_deref(), weights)?.loss)
    }
}

/// Some samples of a step, which are in memory at once.
struct Pass<'a> {
    tasks: &'a [usize],
    targets: &'a [Option<Tensor>],
    latents: Latents,
    labels: Option<Tensor>,
}

/// `n` numbers below `count`.
fn draw(stream: &mut Stream, count: usize, n: usize) -> Result<Vec<usize>> {
    let drawn = (0..n).map(|_| stream.index(count));
    let drawn: std::result::Result<_, _> = drawn.collect();
    drawn.map_err(|error| Error::setting("tasks", error, "at least one"))
}

/// Base latents `[n, D]`, each moved along one of the `reserved` steps `[k, D]` in directions that no domain has.
pub(crate) fn along(base: &Tensor, reserved: &Tensor, stream: &mut Stream) -> Result<Tensor> {
    let rows = draw(stream, reserved.dim(0)?, base.dim(0)?)?;
    let rows: Vec<u32> = rows.into_iter().map(|row| row as u32).collect();
    let rows = upload(&Tensor::new(rows, &Device::Cpu)?, reserved.device())?;
    let steps = reserved.index_select(&rows, 0)?;
    let steps = steps.to_device(base.device())?.to_dtype(base.dtype())?;
    Ok((base + steps)?)
}

/// Latents `[n, D]` of noise from a stream, and of a class or of classes at random where there are some.
pub(crate) fn latents(
    generator: &dyn Generator,
    class: Option<usize>,
    n: usize,
    stream: &mut Stream,
) -> Result<Tensor> {
    Ok(labelled(generator, class, n, stream)?.0)
}

/// The same with their labels.
pub(crate) fn labelled(
    generator: &dyn Generator,
    class: Option<usize>,
    n: usize,
    stream: &mut Stream,
) -> Result<(Tensor, Option<Tensor>)> {
    let z = normal(stream, &[n, generator.noise_dim()], generator.device())?;
    let labels = draw_labels(generator, class, n, stream)?;
    Ok((generator.map(&z, labels.as_ref())?.detach(), labels))
}

/// Standard normal numbers.
pub(crate) fn normal(stream: &mut Stream, dims: &[usize], device: &Device) -> Result<Tensor> {
    let mut values = vec![0f32; dims.iter().product()];
    stream.fill_normal(&mut values);
    Ok(upload(
        &Tensor::from_vec(values, dims, &Device::Cpu)?,
        device,
    )?)
}

pub(crate) fn number(x: &Tensor) -> Result<f64> {
    Ok(x.detach().to_dtype(DType::F64)?.to_scalar::<f64>()?)
}
