//! What a run trains, and what it reports to the loop.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::RunFolder;
use crate::memory::Held;
use crate::state::State;
use crate::{JobResult, Team};

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Steps done: in [`Job::step`] the number of this one, from 0 on.
    pub step: u64,
    /// Images seen.
    pub images: u64,
    /// Ticks done.
    pub tick: u64,
    /// Seconds of training, over all parts of the run.
    pub seconds: f64,
    /// Images of the whole run, which a schedule may span. A snapshot does not hold it: a run may be made longer.
    #[serde(skip)]
    pub length: u64,
}

impl Clock {
    /// The factor of a learning rate that falls linearly over the last `fraction` of the run: 1 until then, 0 at the end;
    /// always 1 for a fraction of 0 and for a run of unknown length (0).
    ///
    /// The last steps leave noise in the weights in proportion to their size, so they should be small (Hägele et al. 2024,
    /// arXiv 2405.18392).
    pub fn cooled(&self, fraction: f64) -> f64 {
        let last = fraction * self.length as f64;
        if last <= 0.0 {
            return 1.0;
        }
        (self.length.saturating_sub(self.images) as f64 / last).min(1.0)
    }

    /// Thousands of images seen.
    pub fn kimg(&self) -> f64 {
        self.images as f64 / 1000.0
    }

    /// What files of this moment are named by: `000012` where the last step passed 12 000 images, else `000012345`. No two
    /// steps share a name, and names are in the order of time.
    pub fn stamp(&self, batch: usize) -> String {
        let thousands = self.images / 1000;
        match self.images.saturating_sub(batch as u64) / 1000 == thousands {
            true => format!("{:09}", self.images),
            false => format!("{thousands:06}"),
        }
    }
}

/// What a step reports.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Losses {
    /// Named numbers. Those that a step does not compute are left out, and averaged over the steps that do.
    pub values: Vec<(String, f64)>,
    /// What was not finite: these parts of the step were not applied.
    pub not_finite: Vec<String>,
}

impl Losses {
    /// Adds a number. One that is not finite is noted as such and must not have been applied.
    pub fn put(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.values.push((name.to_string(), value));
        } else {
            self.not_finite.push(name.to_string());
        }
    }

    /// Adds what became of an optimizer's step.
    pub fn applied(&mut self, step: crate::adam::Step) {
        if let crate::adam::Step::Skipped(what) = step {
            self.not_finite.push(what);
        }
    }
}

/// What a tick measures, by name. `score`, where there is one, decides which model is the best (lower is better).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measures {
    /// Named numbers.
    pub values: Vec<(String, f64)>,
    /// The number by which models are compared.
    pub score: Option<f64>,
}

/// What a run trains.
pub trait Job {
    /// Images per step.
    fn batch(&self) -> usize;

    /// One step. Its randomness comes from streams that [`save`](Self::save) saves.
    ///
    /// # Errors
    ///
    /// Anything that ends the run. Numbers that are not finite do not: see [`Losses`].
    fn step(&mut self, at: &Clock) -> JobResult<Losses>;

    /// What decides the steps, but for the length: the engine keeps it in snapshots and refuses to resume a run with
    /// anything else.
    ///
    /// # Errors
    ///
    /// What JSON cannot hold.
    fn settings(&self) -> JobResult<Json> {
        Ok(Json::Null)
    }

    /// The processes that share its steps. A job that says nothing runs alone.
    fn team(&self) -> Team {
        Team::default()
    }

    /// What the user could change so that a step needs less memory, in words.
    fn needs_less(&self) -> String {
        match self.batch() {
            1 => "smaller pictures or a smaller network need less".to_owned(),
            batch => format!("a run with --batch {} needs less", batch / 2),
        }
    }

    /// What a step certainly holds at once, where that is known: a run that could never fit is refused before its first step.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Puts into `state` what steps depend on besides, and every process computes by itself at the beginning, such as a basis:
    /// the ranks of a run compare it.
    ///
    /// # Errors
    ///
    /// Anything that ends the run.
    fn computed(&self, _: &mut State) -> JobResult<()> {
        Ok(())
    }

    /// Puts everything that later steps depend on into `state`.
    ///
    /// # Errors
    ///
    /// Anything that ends the run.
    fn save(&self, state: &mut State) -> JobResult<()>;

    /// Restores it, to the bit.
    ///
    /// # Errors
    ///
    /// A state of another kind of job.
    fn restore(&mut self, state: &State) -> JobResult<()>;

    /// Before the first step of a new run, not of a resumed one.
    ///
    /// # Errors
    ///
    /// Anything that ends the run.
    fn start(&mut self, _: &RunFolder) -> JobResult<()> {
        Ok(())
    }

    /// What steps need and no snapshot holds, made once before the first step of a new run or a resumed one. It does not
    /// count as a step's time.
    ///
    /// # Errors
    ///
    /// Anything that ends the run.
    fn prepare(&mut self) -> JobResult<()> {
        Ok(())
    }

    /// At the end of a tick: pictures and measures. Must not change what later steps compute.
    ///
    /// # Errors
    ///
    /// Anything that ends the run.
    fn tick(&mut self, at: &Clock, folder: &RunFolder) -> JobResult<Measures>;

    /// Whether a file of this name in the run's folder is one that this kind of job writes. A run that is forced into the
    /// folder of another removes them first.
    fn writes(&self, _name: &str) -> bool {
        false
    }

    /// Writes the model as a file that other verbs read, in place of an older one.
    ///
    /// # Errors
    ///
    /// Anything that ends the run.
    fn export(&self, at: &Clock, path: &Path) -> JobResult<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_falls_over_the_last_part_of_a_run() {
        let at = |images, length| Clock {
            images,
            length,
            ..Clock::default()
        };
        let factors = [0, 60, 80, 100].map(|images| at(images, 100).cooled(0.4));
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.0]);
        assert_eq!(at(25, 100).cooled(1.0), 0.75);
        assert_eq!(at(99, 100).cooled(0.0), 1.0);
        assert_eq!(at(99, 0).cooled(0.4), 1.0);
        // A run beyond its length.
        assert_eq!(at(120, 100).cooled(0.4), 0.0);
    }

    #[test]
    fn every_step_has_a_name_of_its_own_and_names_are_in_order() {
        let stamps = |batch: usize| -> Vec<String> {
            let at = |images| Clock {
                images,
                ..Clock::default()
            };
            (1..=600)
                .map(|step| at(step * batch as u64).stamp(batch))
                .collect()
        };
        for batch in [1, 4, 7, 32, 1500] {
            let names = stamps(batch);
            assert!(names.is_sorted_by(|a, b| a < b), "{batch}");
        }
        assert_eq!(stamps(4)[2], "000000012");
        // The first step that has passed a thousand, as others name it.
        assert_eq!(stamps(7)[142], "000001");
        assert_eq!(stamps(7)[143], "000001008");
    }
}
