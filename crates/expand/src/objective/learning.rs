//! What methods train themselves: their steps, their measures, their part of a snapshot.

use candle_core::Tensor;
use domex_train::{Measures, State};

use super::{Objective, rows};
use crate::Result;
use crate::method::{Shown, Turn};

impl Objective {
    /// Gives the samples of a method that [wants it](crate::Method::wants_one_task) one task, that of the first of them.
    ///
    /// # Errors
    ///
    /// A task that is not there.
    pub fn gather(&self, tasks: &mut [usize]) -> Result<()> {
        self.check_tasks(tasks, &[tasks.len()], "tasks")?;
        for (index, method) in self.methods.iter().enumerate() {
            if !method.wants_one_task() {
                continue;
            }
            let mut first = None;
            for task in tasks.iter_mut() {
                if self.tasks[*task].method == index {
                    *task = *first.get_or_insert(*task);
                }
            }
        }
        Ok(())
    }

    /// Lets the methods take a step of what they train themselves, by the edited pictures of the generator's step: `shown` are
    /// those of each pass that this rank has made, without a graph, and `passes` how many samples each has.
    ///
    /// # Errors
    ///
    /// A wrong shape, a task that is not there, or a failing method.
    pub fn learn(
        &mut self,
        shown: &[Option<Tensor>],
        passes: &[usize],
        tasks: &[usize],
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        self.check_tasks(tasks, &[passes.iter().sum()], "tasks")?;
        for index in 0..self.methods.len() {
            let (mut own_passes, mut start) = (Vec::with_capacity(passes.len()), 0);
            for (edited, &count) in shown.iter().zip(passes) {
                let (own, numbers) = self.samples_of(index, &tasks[start..start + count]);
                let edited = edited.as_ref().filter(|_| !own.is_empty());
                own_passes.push(Shown {
                    tasks: numbers,
                    edited: edited.map(|all| rows(all, &own)).transpose()?,
                });
                start += count;
            }
            if own_passes.iter().any(|pass| !pass.tasks.is_empty()) {
                self.methods[index].learn(&own_passes, turn)?;
            }
        }
        Ok(())
    }

    /// Whether a method trains something itself, and needs the pictures of a step.
    #[must_use]
    pub fn learns(&self) -> bool {
        !self.is_comparable()
    }

    /// Whether losses of two steps compare.
    #[must_use]
    pub fn is_comparable(&self) -> bool {
        let mut methods = self.methods.iter();
        !methods.any(|method| method.is_measured_by_what_it_trains())
    }

    /// What a tick reports of the methods.
    pub fn measures(&self, measures: &mut Measures) {
        for method in &self.methods {
            method.measures(measures);
        }
    }

    /// Puts the methods' state into a snapshot.
    ///
    /// # Errors
    ///
    /// A name that is taken.
    pub fn save(&self, state: &mut State) -> Result<()> {
        let mut methods = self.methods.iter();
        methods.try_for_each(|method| method.save(state))
    }

    /// Takes it back.
    ///
    /// # Errors
    ///
    /// A snapshot of something else.
    pub fn restore(&mut self, state: &State) -> Result<()> {
        let mut methods = self.methods.iter_mut();
        methods.try_for_each(|method| method.restore(state))
    }
}
