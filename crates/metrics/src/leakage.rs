//! What domains do to each other: how much pictures of one show of another.
//!
//! `gain[i][j] = score of domain j on pictures of domain i − score of domain j on pictures of the base`. A good expansion has a
//! large diagonal (each domain shows itself) and nothing beside it. The score is any measure that grows with what is seen of a domain:
//! the share that a judge takes for it, or the cosine with its text.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How much of each domain other domains show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leakage {
    /// The domains' names.
    pub domains: Vec<String>,
    /// For each domain that pictures were moved to, how much more of each domain they show than the base does.
    pub gain: Vec<Vec<f64>>,
}

impl Leakage {
    /// Of scores: `base[j]` of domain j on the base, `scores[i][j]` of domain j on pictures of domain i.
    ///
    /// # Errors
    ///
    /// Numbers of rows or columns that differ, or a score that is not finite.
    pub fn new(domains: Vec<String>, base: &[f64], scores: &[Vec<f64>]) -> Result<Self> {
        let n = domains.len();
        let lengths = std::iter::once(base.len())
            .chain(std::iter::once(scores.len()))
            .chain(scores.iter().map(Vec::len));
        for length in lengths {
            if length != n {
                return Err(Error::unfit("scores of domains", length, n));
            }
        }
        let all = base.iter().chain(scores.iter().flatten());
        if let Some(bad) = all.copied().find(|x| !x.is_finite()) {
            return Err(Error::unfit("score of a domain", bad, "a finite number"));
        }
        let minus_base =
            |row: &Vec<f64>| row.iter().zip(base).map(|(x, y)| x - y).collect::<Vec<_>>();
        Ok(Self {
            domains,
            gain: scores.iter().map(minus_base).collect(),
        })
    }

    /// The largest gain of a domain by another: the domain that pictures were moved to, the one that they show, the gain.
    /// `None` with fewer than two domains.
    #[must_use]
    pub fn worst(&self) -> Option<(&str, &str, f64)> {
        let n = self.domains.len();
        let pairs = (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
        pairs
            .filter(|(i, j)| i != j)
            .max_by(|&(a, b), &(c, d)| self.gain[a][b].total_cmp(&self.gain[c][d]))
            .map(|(i, j)| {
                let name = |at: usize| self.domains[at].as_str();
                (name(i), name(j), self.gain[i][j])
            })
    }

    /// As a Markdown table: a row for each domain that pictures were moved to.
    #[must_use]
    pub fn markdown(&self) -> String {
        let names = self.domains.iter().map(|name| cell(name));
        let names: Vec<String> = names.collect();
        let mut text = format!("| moved to | {} |\n", names.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(names.len()));
        for (name, row) in names.iter().zip(&self.gain) {
            let row: Vec<String> = row.iter().map(|x| format!("{x:+.3}")).collect();
            let _ = writeln!(text, "| {name} | {} |", row.join(" | "));
        }
        text
    }
}

/// Text that does not end a cell.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Leakage {
        let domains = ["elf", "sketch|pencil", "robot"]
            .map(str::to_owned)
            .to_vec();
        let scores = [
            vec![0.9, 0.1, 0.0],
            vec![0.0, 0.8, 0.1],
            vec![0.3, 0.1, 0.7],
        ];
        Leakage::new(domains, &[0.1, 0.1, 0.0], &scores).unwrap()
    }

    #[test]
    fn gains_are_taken_over_the_base() {
        let found = three();
        assert!((found.gain[0][0] - 0.8).abs() < 1e-12);
        let (from, to, gain) = found.worst().unwrap();
        assert_eq!((from, to), ("robot", "elf"));
        assert!((gain - 0.2).abs() < 1e-12);
    }

    #[test]
    fn the_table_has_a_row_and_a_column_for_each_domain() {
        let text = three().markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0], "| moved to | elf | sketch\\|pencil | robot |");
        assert_eq!(lines[4], "| robot | +0.200 | +0.000 | +0.700 |");
    }

    #[test]
    fn scores_that_do_not_fit_are_refused() {
        let names = || vec!["a".to_owned(), "b".to_owned()];
        assert!(Leakage::new(names(), &[0.0], &[vec![0.0; 2], vec![0.0; 2]]).is_err());
        assert!(Leakage::new(names(), &[0.0; 2], &[vec![0.0; 2], vec![0.0]]).is_err());
        let bad = Leakage::new(names(), &[0.0; 2], &[vec![0.0; 2], vec![0.0, f64::NAN]]);
        assert!(bad.unwrap_err().to_string().contains("NaN"));
        let one = Leakage::new(vec!["a".to_owned()], &[0.0], &[vec![1.0]]).unwrap();
        assert_eq!(one.worst(), None);
    }
}
