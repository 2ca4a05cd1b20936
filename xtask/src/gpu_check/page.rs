//! The table, the JSON, and the section of `bench/GPU.md` that keeps both.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use domex_cuda::device::Card;
use domex_data::folder::write_atomic;
use domex_error::{Context, Result, bail};
use serde::Serialize;

use super::part::Row;
use crate::{bench::report::date, cuda::root};

/// Of the table.
pub const HEAD: &str = "| | part | what | found |\n| --- | --- | --- | --- |";

const PAGE: &str = "bench/GPU.md";

/// The heading of the section that is replaced.
const SECTION: &str = "## Measured\n";

/// What `--json` holds.
#[derive(Debug, Serialize)]
pub struct Report {
    /// None for a rehearsal on the CPU.
    card: Option<CardJson>,
    date: String,
    /// The program's version.
    version: &'static str,
    /// Of all parts, without the build.
    seconds: f64,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct CardJson {
    name: String,
    memory: u64,
    compute_capability: String,
    /// The version of CUDA that the driver supports.
    driver: String,
}

impl Report {
    pub fn new(card: Option<Card>, rows: Vec<Row>, took: Duration) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            card: card.map(|card| CardJson {
                compute_capability: format!("{}.{}", card.capability.0, card.capability.1),
                driver: card.driver_version(),
                name: card.name,
                memory: card.memory,
            }),
            date: date(now.map_or(0, |since| since.as_secs())),
            version: env!("CARGO_PKG_VERSION"),
            seconds: took.as_secs_f64(),
            rows,
        }
    }

    /// Whether every row is right.
    pub fn ok(&self) -> bool {
        self.rows.iter().all(|row| row.ok)
    }

    /// The last line.
    pub fn summary(&self) -> String {
        let wrong = self.rows.iter().filter(|row| !row.ok).count();
        let card = match &self.card {
            None => "the CPU (a rehearsal)".to_owned(),
            Some(card) => format!(
                "{}, {:.0} GiB, compute capability {}, driver for CUDA {}",
                card.name,
                card.memory as f64 / f64::from(1 << 30),
                card.compute_capability,
                card.driver
            ),
        };
        format!(
            "{}: {} rows, {wrong} wrong, in {:.0} s; {}, domex {}",
            card,
            self.rows.len(),
            self.seconds,
            self.date,
            self.version
        )
    }

    fn section(&self) -> Result<String> {
        let mut text = format!("{SECTION}\n{}\n\n{HEAD}\n", self.summary());
        for row in &self.rows {
            text += &line(row);
            text.push('\n');
        }
        let json = serde_json::to_string(self)?;
        text += &format!("\nThe same for programs:\n\n```json\n{json}\n```\n");
        Ok(text)
    }
}

/// A row of the table.
pub fn line(row: &Row) -> String {
    let mark = if row.ok { "ok" } else { "WRONG" };
    let cell = |text: &str| text.replace('|', "\\|");
    format!(
        "| {mark} | {} | {} | {} |",
        row.part.name(),
        cell(&row.name),
        cell(&row.text)
    )
}

/// Replaces the section of the page.
pub fn write(report: &Report) -> Result<()> {
    let path = root().join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| path.display())?;
    let Some(new) = replaced(&page, &report.section()?) else {
        bail!("{}: no heading {:?}", path.display(), SECTION.trim());
    };
    Ok(write_atomic(Path::new(&path), new.as_bytes())?)
}

/// The page with this section in place of the old one, which ends where the next one begins.
fn replaced(page: &str, section: &str) -> Option<String> {
    let (before, old) = page.split_once(SECTION)?;
    let after = old.find("\n## ").map_or("", |at| &old[at..]);
    Some(format!("{before}{section}{after}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gpu_check::Part;

    fn report(ok: bool) -> Report {
        let card = Card {
            index: 0,
            name: "A card".into(),
            memory: 80 << 30,
            capability: (9, 0),
            driver: 12080,
        };
        let row = Row {
            part: Part::Times,
            name: "conv | forward".into(),
            ok,
            text: "1 ms".into(),
            figures: json!({ "ms": 1.0 }),
        };
        Report::new(Some(card), vec![row], Duration::from_secs(9))
    }

    #[test]
    fn one_row_that_is_wrong_is_enough() {
        assert!(report(true).ok());
        assert!(!report(false).ok());
        assert!(report(false).summary().contains("1 rows, 1 wrong"));
    }

    #[test]
    fn the_section_is_replaced_and_the_rest_of_the_page_stays() {
        let section = report(true).section().unwrap();
        for part in [
            "A card, 80 GiB, compute capability 9.0, driver for CUDA 12.8",
            "| ok | times | conv \\| forward | 1 ms |",
            "\"compute_capability\":\"9.0\"",
        ] {
            assert!(section.contains(part), "{part} is not in {section}");
        }
        let page = "# Costs\n\n## Measured\n\nNothing yet.\n\n## On paper\n\n| a |\n";
        let once = replaced(page, &section).unwrap();
        assert!(once.starts_with("# Costs\n\n## Measured\n\nA card"));
        assert!(once.ends_with("\n\n## On paper\n\n| a |\n"));
        assert_eq!(replaced(&once, &section).unwrap(), once);
        assert!(replaced("# Costs\n", &section).is_none());
    }

    #[test]
    fn the_page_of_the_repository_has_the_section() {
        let page = std::fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(replaced(&page, "").is_some());
    }
}
