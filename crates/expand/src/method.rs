//! Methods by which a domain is learnt: what each asks of an edited picture.
//!
//! A method has the two halves of the published task. [`sample`](Method::sample) says which latents a step trains on and
//! what belongs to them, such as the picture that an edited latent should give; [`loss`](Method::loss) says how far the
//! pictures are from what they should be. A method serves several tasks, which it numbers by itself, and gives the *sum*
//! over the samples of a step that are its tasks'; the objective adds the methods up and divides by the batch once.
//!
//! A method may train a network of its own, such as a discriminator. It then takes a step in [`learn`](Method::learn), after
//! the generator's, and its state is part of every snapshot.
//!
//! [`methods`](crate::methods) holds those that a file of tasks can name.

use candle_core::Tensor;
use domex_random::Stream;
use domex_train::{Losses, Measures, State, Team};

use crate::Result;

/// The samples of a step that belong to one method.
#[derive(Debug, Clone)]
pub struct Samples<'a> {
    /// The method's own number of each sample's task.
    pub tasks: &'a [usize],
    /// Pictures of the base latents `[m, c, h, w]`, without a graph.
    pub base: &'a Tensor,
    /// Pictures of the edited latents `[m, c, h, w]`.
    pub edited: &'a Tensor,
    /// What the edited pictures should be `[m, c, h, w]`, where the method's [samples](Method::sample) know it.
    pub targets: Option<&'a Tensor>,
}

/// Latents to train on, and what belongs to them.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// `[m, D]`, not yet projected on the base subspace.
    pub latents: Tensor,
    /// What their edited pictures should be, `[m, c, h, w]`.
    pub targets: Option<Tensor>,
}

/// A method's part of a step's loss.
#[derive(Debug, Clone)]
pub struct LossPart {
    /// The sum over its samples, a scalar with its graph.
    pub total: Tensor,
    /// What each sample adds `[m]`, for the log.
    pub per_sample: Tensor,
}

/// What a pass of a step has for a method that trains something itself.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The method's own number of each of its samples' tasks; it may have none here.
    pub tasks: Vec<usize>,
    /// Their edited pictures `[m, c, h, w]` without a graph; `None` where there are none, or another rank made them.
    pub edited: Option<Tensor>,
}

/// A step of what a method trains itself.
#[derive(Debug)]
pub struct Turn<'a> {
    /// What learning rates are multiplied by, as the run cools down.
    pub factor: f64,
    /// Who computes which pass.
    pub team: &'a Team,
    /// What is reported.
    pub losses: &'a mut Losses,
}

/// Pictures by the source generator, to make things of that do not depend on what was learnt.
pub trait SourcePictures {
    /// `n` latents on the base subspace `[n, D]` and their pictures `[n, c, h, w]`, the same for the same `purpose`.
    ///
    /// # Errors
    ///
    /// When the generator fails.
    fn draw(&self, purpose: &str, n: usize) -> Result<(Tensor, Tensor)>;
}

/// A way to learn a domain.
pub trait Method {
    /// Short name for messages, such as `nada`.
    fn name(&self) -> &str;

    /// What is made ahead, such as target pictures: called once before the first step, of a resumed run too.
    ///
    /// # Errors
    ///
    /// When a network fails.
    fn prepare(&mut self, source: &dyn SourcePictures) -> Result<()> {
        let _ = source;
        Ok(())
    }

    /// Makes anew what should not last for the whole run: called before each step with the number of steps done, and after
    /// [`prepare`](Self::prepare). What it leaves depends on that number alone, not on when it was called before.
    ///
    /// # Errors
    ///
    /// When a network fails.
    fn renew(&mut self, step: u64, source: &dyn SourcePictures) -> Result<()> {
        let _ = (step, source);
        Ok(())
    }

    /// Latents for samples of `tasks`. `random: [m, D]` are some that the generator draws; without more to say, these are
    /// taken. What is random comes from `stream`.
    ///
    /// # Errors
    ///
    /// A task that is not there.
    fn sample(&self, tasks: &[usize], random: &Tensor, stream: &mut Stream) -> Result<Sampled> {
        let _ = (tasks, stream);
        Ok(Sampled {
            latents: random.clone(),
            targets: None,
        })
    }

    /// The loss of `samples`, of which there is at least one. What is random comes from `stream`.
    ///
    /// # Errors
    ///
    /// When the pictures do not fit, or a network fails.
    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart>;

    /// How far `pictures: [m, c, h, w]` are from the domains of `tasks`, by themselves: what [adaptive
    /// layers](crate::layers) descend to see which layers matter. `None` for a method that knows no such thing.
    ///
    /// # Errors
    ///
    /// When the pictures do not fit, or a network fails.
    fn distance_to_domain(&self, tasks: &[usize], pictures: &Tensor) -> Result<Option<Tensor>> {
        let _ = (tasks, pictures);
        Ok(None)
    }

    /// Whether the samples that it has in a step should be of one task, that of the first of them: for a loss that compares
    /// them with one another.
    fn wants_one_task(&self) -> bool {
        false
    }

    /// Whether its loss is measured by a network that learns meanwhile, so that the losses of two steps do not compare and
    /// no model is the best by them.
    fn is_measured_by_what_it_trains(&self) -> bool {
        false
    }

    /// A step of what it trains itself, after the generator's step and in the same passes, whose gradients are added up. Not
    /// called where a step has no sample of it.
    ///
    /// # Errors
    ///
    /// When a network or a picture fails.
    fn learn(&mut self, passes: &[Shown], turn: &mut Turn<'_>) -> Result<()> {
        let _ = (passes, turn);
        Ok(())
    }

    /// What a tick reports of it.
    fn measures(&self, measures: &mut Measures) {
        let _ = measures;
    }

    /// Puts what later steps depend on into a snapshot, under names of its own.
    ///
    /// # Errors
    ///
    /// A name that is taken.
    fn save(&self, state: &mut State) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Takes it back.
    ///
    /// # Errors
    ///
    /// A snapshot of something else.
    fn restore(&mut self, state: &State) -> Result<()> {
        let _ = state;
        Ok(())
    }
}
