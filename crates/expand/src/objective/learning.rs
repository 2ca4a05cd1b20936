//! What methods train themselves: their steps, their measures, their part of a snapshot.

use domex_train::{Measures, State};

use super::{Objective, Pictures, rows};
use crate::Result;
use crate::method::{Samples, Turn};

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

    /// Lets the methods take a step of what they train themselves, by the pictures of the generator's step.
    ///
    /// # Errors
    ///
    /// A wrong shape, a task that is not there, or a failing method.
    pub fn learn(
        &mut self,
        pictures: &Pictures,
        tasks: &[usize],
        turn: &mut Turn<'_>,
    ) -> Result<()> {
        self.check_tasks(tasks, pictures.edited.dims(), "edited pictures")?;
        let (base, edited) = (pictures.base.detach(), pictures.edited.detach());
        for index in 0..self.methods.len() {
            let (own, numbers) = self.samples_of(index, tasks);
            if own.is_empty() {
                continue;
            }
            let samples = Samples {
                tasks: &numbers,
                base: &rows(&base, &own)?,
                edited: &rows(&edited, &own)?,
                targets: None,
            };
            self.methods[index].learn(&samples, turn)?;
        }
        Ok(())
    }

    /// Whether a method trains something itself, and needs the pictures of the whole step.
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
