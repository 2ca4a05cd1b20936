//! What a run found, for people (a table) and for programs (JSON through serde).

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::compare::{Bound, Deviation};

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything expected was computed and is within its tolerance.
    Ok,
    /// A tensor is out of tolerance or was not computed.
    Failed,
    /// No runner knows this case yet.
    NotCovered,
    /// The file could not be read, or the computation stopped.
    Error,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Failed => "FAILED",
            Self::NotCovered => "not covered",
            Self::Error => "ERROR",
        })
    }
}

/// The tensor of a group that uses up most of its tolerance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Worst {
    /// Its full name.
    pub name: String,
    /// Its largest absolute error; null stands for infinity (a missing tensor, a wrong shape).
    pub abs: f64,
    /// Its largest relative error.
    pub rel: f64,
    /// The bound of its absolute error; null where there is none.
    pub abs_tolerance: Option<f64>,
    /// The bound of its relative error; null where there is none.
    pub rel_tolerance: Option<f64>,
    /// The share of the tolerance that is used up; up to 1 is within.
    pub used: f64,
}

/// The errors of all outputs, or of all gradients, of a case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// How many tensors were expected.
    pub tensors: usize,
    /// The largest absolute error among them.
    pub abs: f64,
    /// The largest relative error among them.
    pub rel: f64,
    /// The one that is closest to its tolerance, or furthest beyond it.
    pub worst: Worst,
}

impl Group {
    /// Adds a tensor's errors to the group, or begins it.
    pub(crate) fn add(group: &mut Option<Self>, name: &str, error: Deviation, bound: Bound) {
        let finite = |x: f64| x.is_finite().then_some(x);
        let worst = Worst {
            name: name.to_owned(),
            abs: error.abs,
            rel: error.rel,
            abs_tolerance: finite(bound.abs),
            rel_tolerance: finite(bound.rel),
            used: bound.used(error),
        };
        match group {
            None => {
                *group = Some(Self {
                    tensors: 1,
                    abs: error.abs,
                    rel: error.rel,
                    worst,
                });
            }
            Some(group) => {
                group.tensors += 1;
                group.abs = group.abs.max(error.abs);
                group.rel = group.rel.max(error.rel);
                if worst.used > group.worst.used {
                    group.worst = worst;
                }
            }
        }
    }

    /// Whether every tensor is within its tolerance.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.worst.used <= 1.0
    }
}

/// One case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// The file.
    pub path: PathBuf,
    /// `area/name`, the name with its extension where the case is a checkpoint.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Why, where it did not end well: missing tensors, the error, what is not covered.
    pub message: Option<String>,
    /// Errors of the outputs, in single and double precision.
    pub outputs: Option<Group>,
    /// Errors of the gradients.
    pub gradients: Option<Group>,
    /// Tensors of a checkpoint compared bit by bit.
    pub contents: Option<usize>,
    /// How long it took.
    pub seconds: f64,
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<11} {:<50}", self.status, self.name)?;
        for (label, group) in [("out", &self.outputs), ("grad", &self.gradients)] {
            if let Some(group) = group {
                write!(f, " {label} abs {:.1e} rel {:.1e}", group.abs, group.rel)?;
                write_tolerance(f, &group.worst)?;
            }
        }
        if let Some(count) = self.contents {
            write!(f, " contents {count} exact")?;
        }
        if self.status != Status::NotCovered {
            write!(f, " {:.2}s", self.seconds)?;
        }
        if let Some(message) = &self.message {
            write!(f, "  {message}")?;
        }
        Ok(())
    }
}

fn write_tolerance(f: &mut fmt::Formatter<'_>, worst: &Worst) -> fmt::Result {
    match (worst.abs_tolerance, worst.rel_tolerance) {
        (Some(a), Some(r)) if a == 0.0 && r == 0.0 => write!(f, " (exact")?,
        (Some(a), Some(r)) => write!(f, " (tol {a:.0e}, {r:.0e}")?,
        (Some(a), None) => write!(f, " (tol abs {a:.0e}")?,
        (None, Some(r)) => write!(f, " (tol rel {r:.0e}")?,
        (None, None) => write!(f, " (no tolerance")?,
    }
    if worst.used.is_finite() {
        write!(f, ", {:.0}% used by {})", worst.used * 100.0, worst.name)
    } else {
        write!(f, ", far out: {})", worst.name)
    }
}

/// All cases of a folder.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Case by case, in the order of their paths.
    pub cases: Vec<CaseReport>,
}

impl Report {
    /// How many cases ended so.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.cases
            .iter()
            .filter(|case| case.status == status)
            .count()
    }

    /// The last line of the table.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} cases: {} ok, {} failed, {} errors, {} not covered",
            self.cases.len(),
            self.count(Status::Ok),
            self.count(Status::Failed),
            self.count(Status::Error),
            self.count(Status::NotCovered),
        )
    }

    /// Whether no case failed or stopped. Cases that are not covered do not count.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.count(Status::Failed) + self.count(Status::Error) == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            writeln!(f, "{case}")?;
        }
        write!(f, "{}", self.summary())
    }
}
