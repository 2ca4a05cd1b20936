//! Figures of a row, and how they are printed and saved.

use std::path::Path;

use domex_error::{Context, Result, user_error};
use serde::Serialize;

use super::{rows::Row, worker::Answer};
use crate::out::say;

/// One side's figures: medians over the turns, for one run of the work.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figures {
    /// Seconds by the wall.
    pub wall: f64,
    /// Seconds of the processor.
    pub cpu: f64,
    /// The most bytes that the row took.
    pub memory: Option<u64>,
}

/// A measured row.
#[derive(Debug, Serialize)]
pub struct Measured {
    name: String,
    target: f64,
    flops: f64,
    runs: usize,
    ours: Figures,
    peer: Option<Figures>,
    /// The peer's time over ours by the wall, the median over pairs of turns.
    ratio: Option<f64>,
    /// The same of processor time.
    ratio_cpu: Option<f64>,
}

/// The turns of one row: ours and, where there is one, the peer's right after it.
pub type Turns = Vec<(Answer, Option<Answer>)>;

impl Measured {
    /// From the answers of all turns of `runs` runs each.
    pub fn new(row: &Row, runs: [usize; 2], turns: &Turns) -> Self {
        let figures = |answers: Vec<Answer>, runs: usize| {
            let per_run = |get: fn(&Answer) -> f64| {
                median(answers.iter().map(get).collect()).map(|all| all / runs as f64)
            };
            Some(Figures {
                wall: per_run(|a| a.wall)?,
                cpu: per_run(|a| a.cpu)?,
                memory: answers.iter().filter_map(|a| a.memory).max(),
            })
        };
        let scale = runs[0] as f64 / runs[1].max(1) as f64;
        let ratio = |get: fn(&Answer) -> f64| {
            let pairs = turns
                .iter()
                .filter_map(|(ours, peer)| peer.as_ref().map(|peer| get(peer) / get(ours) * scale));
            median(pairs.collect())
        };
        let none = Figures {
            wall: f64::NAN,
            cpu: f64::NAN,
            memory: None,
        };
        Self {
            name: row.name.clone(),
            target: row.target,
            flops: row.flops,
            runs: runs[0],
            ours: figures(turns.iter().map(|(ours, _)| *ours).collect(), runs[0]).unwrap_or(none),
            peer: figures(
                turns.iter().filter_map(|(_, peer)| *peer).collect(),
                runs[1],
            ),
            ratio: ratio(|a| a.wall),
            ratio_cpu: ratio(|a| a.cpu),
        }
    }

    /// The line of the table.
    pub fn line(&self) -> String {
        let mib = |f: &Figures| f.memory.map_or("–".into(), |b| format!("{}", b >> 20));
        let speed = |f: &Figures| match self.flops {
            0.0 => "–".into(),
            flops => format!("{:.0}", flops / f.wall / 1e9),
        };
        let side = |f: &Figures| format!("{} | {} | {}", time(f.wall), speed(f), mib(f));
        let number = |r: Option<f64>| r.map_or("–".into(), |r| format!("{r:.2}"));
        format!(
            "| {} | {} | {} | {} | {} | {:.1}{} |",
            self.name,
            side(&self.ours),
            self.peer.as_ref().map_or("– | – | –".into(), side),
            number(self.ratio),
            number(self.ratio_cpu),
            self.target,
            match self.ratio {
                Some(ratio) if ratio < self.target => " short",
                _ => "",
            }
        )
    }
}

/// The table's head.
pub const HEAD: &str = "\
| row | ours ms | GFLOP/s | MiB | peer ms | GFLOP/s | MiB | ratio | of processor time | target |
|---|---|---|---|---|---|---|---|---|---|";

fn time(seconds: f64) -> String {
    let ms = seconds * 1e3;
    match ms {
        ..10.0 => format!("{ms:.2}"),
        ..100.0 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// The middle one; of an even number, the mean of the middle two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

/// Prints geometric means of the ratios, by the first word of the names.
pub fn means(rows: &[Measured]) {
    let mut groups: Vec<(String, Vec<&Measured>)> = Vec::new();
    for row in rows.iter().filter(|row| row.ratio.is_some()) {
        let mut words = row.name.split(' ');
        let kind = words.next().unwrap_or_default();
        let pass = match kind {
            "conv" | "attention" => words.next_back().unwrap_or_default(),
            _ => "",
        };
        let group = format!("{kind} {pass}").trim().to_owned();
        match groups.iter_mut().find(|(name, _)| *name == group) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((group, vec![row])),
        }
    }
    for (name, rows) in groups {
        let mean = |get: fn(&Measured) -> Option<f64>| {
            let logs: f64 = rows.iter().filter_map(|row| get(row)).map(f64::ln).sum();
            (logs / rows.len() as f64).exp()
        };
        say!(
            "{name}: geometric mean of {} rows {:.2}, of processor time {:.2}",
            rows.len(),
            mean(|row| row.ratio),
            mean(|row| row.ratio_cpu)
        );
    }
}

/// The machine's processor, as the system names it.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |key: &str| {
        let line = info.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!("{name} (family {family}, model {model})"),
        _ => name,
    }
}

/// Days since 1970 as a date, by Howard Hinnant's `civil_from_days`.
pub fn date(seconds: u64) -> String {
    let z = (seconds / 86_400) as i64 + 719_468;
    let (era, day) = (z / 146_097, z % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (d, m) = (
        of_year - (153 * shifted + 2) / 5 + 1,
        (shifted + 2) % 12 + 1,
    );
    let year = year + era * 400 + i64::from(m <= 2);
    format!("{year:04}-{m:02}-{d:02}")
}

/// What `--json` holds.
#[derive(Serialize)]
pub struct Json<'a> {
    pub date: String,
    pub processor: String,
    pub threads: usize,
    pub release: bool,
    pub peer: Option<String>,
    pub rows: &'a [Measured],
}

/// Writes the result.
pub fn save(path: &Path, json: &Json<'_>) -> Result<()> {
    let text = serde_json::to_string_pretty(json).context("writing the result as JSON")?;
    std::fs::write(path, text + "\n")
        .map_err(|e| user_error(format!("--json {}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_pairs() {
        let answer = |wall| Answer {
            wall,
            cpu: 2.0 * wall,
            memory: Some(1 << 20),
        };
        let row = &super::super::rows::all()[0];
        let pair = |ours, peer| (answer(ours), Some(answer(peer)));
        // The machine was twice as slow in the second turn.
        let turns = vec![pair(1.0, 3.0), pair(2.0, 6.0), pair(1.0, 3.0)];
        let measured = Measured::new(row, [2, 4], &turns);
        assert_eq!(measured.ratio, Some(1.5));
        assert_eq!(measured.ours.wall, 0.5);
        assert_eq!(measured.peer.unwrap().cpu, 1.5);
        assert!(measured.line().contains("| 1.50 | 1.50 | 1.0 |"));
        let alone = Measured::new(row, [1, 1], &vec![(answer(1.0), None)]);
        assert!(alone.line().contains("– | – | –"));
    }

    #[test]
    fn known_dates_and_medians() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(951_782_400), "2000-02-29");
        assert_eq!(date(1_767_225_599), "2025-12-31");
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
