//! Time and means of a tick.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::run::Clock;

/// Sums of named numbers since the last tick. They are part of a snapshot, so that the tick in which a run was stopped
/// is not told from its second half alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Means(BTreeMap<String, (f64, u64)>);

impl Means {
    pub fn add(&mut self, values: &[(String, f64)]) {
        for (name, value) in values {
            let (sum, count) = self.0.entry(name.clone()).or_default();
            *sum += value;
            *count += 1;
        }
    }

    /// The means; the sums begin anew.
    pub fn take(&mut self) -> BTreeMap<String, f64> {
        let sums = std::mem::take(&mut self.0);
        let mean = |(name, (sum, count))| (name, sum / f64::max(1.0, count as f64));
        sums.into_iter().map(mean).collect()
    }
}

/// Whether so many first steps in so many seconds say how long a run will take: the first of them has all lazy terms, which fall due
/// every few steps later, and nobody waits long for a first line.
pub(super) fn may_tell(steps: u64, seconds: f64) -> bool {
    steps >= 16 || (steps >= 4 && seconds >= 4.0) || seconds >= 60.0
}

/// Measures speed and adds up the time of all parts of a run.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    before: f64,
    images: u64,
    tick_start: Instant,
    tick_images: u64,
}

impl Pace {
    pub fn new(clock: Clock) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            before: clock.seconds,
            images: clock.images,
            tick_start: now,
            tick_images: clock.images,
        }
    }

    /// Steps of this part of the run, and its seconds.
    pub fn since_start(&self, clock: &Clock, batch: u64) -> (u64, f64) {
        let steps = clock.images.saturating_sub(self.images) / batch.max(1);
        (steps.max(1), self.start.elapsed().as_secs_f64())
    }

    /// Seconds of training in all parts of the run.
    pub fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Images per second since the last tick.
    pub fn speed(&self, clock: &Clock) -> f64 {
        let images = clock.images.saturating_sub(self.tick_images) as f64;
        images / self.tick_start.elapsed().as_secs_f64().max(1e-9)
    }

    /// The same, and a new tick begins.
    pub fn tick(&mut self, clock: &Clock) -> f64 {
        let speed = self.speed(clock);
        self.tick_start = Instant::now();
        self.tick_images = clock.images;
        speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_slow_steps_is_not_told_by_its_first_alone() {
        assert!(!may_tell(1, 9.0) && !may_tell(3, 27.0) && may_tell(4, 36.0));
        assert!(!may_tell(15, 1.0) && may_tell(16, 1.0));
        assert!(may_tell(1, 75.0), "nor is nothing told for long");
    }
}
