//! Watches for losses and gradients that are not finite.
//!
//! A step that has one is not applied, and counted. After a limit of such steps in a row the run stops:
//! more steps would not help.

use serde::{Deserialize, Serialize};

/// See the [module docs](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    limit: u64,
    total: u64,
    in_a_row: u64,
    last: Option<String>,
}

impl Guard {
    /// Stops after `limit` steps in a row (at least one).
    pub fn new(limit: u64) -> Self {
        Self {
            limit: limit.max(1),
            total: 0,
            in_a_row: 0,
            last: None,
        }
    }

    /// Notes a step and what in it was not finite. Returns whether the run may continue.
    #[must_use]
    pub fn note(&mut self, not_finite: &[String]) -> bool {
        match not_finite.first() {
            None => self.in_a_row = 0,
            Some(what) => {
                self.total += 1;
                self.in_a_row += 1;
                self.last = Some(what.clone());
            }
        }
        self.in_a_row < self.limit
    }

    /// Steps that were not applied, in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Steps in a row that were not applied, up to now.
    pub fn in_a_row(&self) -> u64 {
        self.in_a_row
    }

    /// What was not finite the last time.
    pub fn last(&self) -> &str {
        self.last.as_deref().unwrap_or("nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_of_bad_steps_stops_the_run() {
        let bad = ["loss G".to_string()];
        let mut guard = Guard::new(3);
        for _ in 0..5 {
            assert!(guard.note(&bad) && guard.note(&bad) && guard.note(&[]));
        }
        assert!(guard.note(&bad) && guard.note(&bad) && !guard.note(&bad));
        assert_eq!((guard.total(), guard.in_a_row()), (13, 3));
        assert_eq!(guard.last(), "loss G");
    }
}
