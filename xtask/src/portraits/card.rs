//! The card of what ships: a row for each network, a table for each measure. What was not made anew keeps its place.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use domex_error::Result;
use serde_json::Value as Json;

use super::ship::json;

/// What stands above the rows.
const HEAD: &str = "# The networks of the portrait world\n\n\
    Trained by this project from its own renderings, in half precision. `cargo xtask portraits` makes them again from\n\
    nothing; every file holds the settings of its run, as `provenance` in the metadata of its header. Licence: that of the project.\n\n\
    Times are of the machine that trained them, two cores shared with other work; a run that began from an earlier one tells its\n\
    own part. The generator's unused directions were damped when it was written (docs/portraits.md).\n\n\
    | file | what | size | seed | pictures | time | pictures a second | memory | SHA-256 |\n\
    |---|---|---|---|---|---|---|---|---|\n";

/// Names and values of a measure, as a table has them.
type Rows = BTreeMap<String, String>;

/// A card: rows by file, tables by title, both in the order of their first writing.
#[derive(Debug, Default, PartialEq)]
pub struct Card {
    rows: Vec<(String, String)>,
    tables: Vec<(String, Rows)>,
}

impl Card {
    /// The card in a file; an empty one where there is none.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let (rows, tables) = text.split_once("## Measured").unwrap_or((&text, ""));
        let row = |line: &str| {
            let file = line.strip_prefix("| `")?.split_once('`')?.0;
            Some((file.to_owned(), line.to_owned()))
        };
        let mut card = Self {
            rows: rows.lines().filter_map(row).collect(),
            tables: Vec::new(),
        };
        for line in tables.lines() {
            let cells = line
                .strip_prefix("| ")
                .and_then(|line| line.strip_suffix(" |"));
            let cells = cells.and_then(|line| line.split_once(" | "));
            match (cells, card.tables.last_mut()) {
                (Some((name, value)), Some((_, rows))) if !name.is_empty() => {
                    rows.insert(name.to_owned(), value.to_owned());
                }
                _ if line.ends_with(':') => card.tables.push((line.to_owned(), Rows::new())),
                _ => {}
            }
        }
        card
    }

    /// Puts a network's row in the place of the one before.
    pub fn put_row(&mut self, file: &str, row: String) {
        put(&mut self.rows, file, row);
    }

    /// The same with a measure's table.
    pub fn put_table(&mut self, title: &str, rows: Rows) {
        put(&mut self.tables, title, rows);
    }

    /// As Markdown.
    pub fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (_, row) in &self.rows {
            text.push_str(row);
            text.push('\n');
        }
        text.push_str("\n## Measured\n");
        for (title, rows) in &self.tables {
            let _ = write!(text, "\n{title}\n\n| | |\n|---|---|\n");
            for (name, value) in rows {
                let _ = writeln!(text, "| {name} | {value} |");
            }
        }
        text
    }

    /// Takes over what was measured in the runs' folder, as far as it was.
    pub fn measured(&mut self, out: &Path) -> Result<()> {
        let mut table = |title: &str, file: &str, of: &dyn Fn(&Json) -> Rows| -> Result<()> {
            let path = out.join(file);
            if path.is_file() {
                self.put_table(title, of(&json(&path)?));
            }
            Ok(())
        };
        table(
            "Generator, against fresh renderings, by judge and perceptual network:",
            "measure/fidelity.json",
            &|json| numbers(json, ""),
        )?;
        table(
            "Inversion of fresh renderings, for a picture: perceptual distance, share of the judge's answers that stay, PSNR in decibels, seconds:",
            "inversion/scores.json",
            &|json| numbers(json, ""),
        )?;
        table(
            "Diffusion autoencoder: fresh renderings encoded and decoded, in the same figures; samples of its latent prior:",
            "reconstruction/scores.json",
            &|json| numbers(json, ""),
        )?;
        table(
            "CLIP, right answers on fresh renderings:",
            "retrieval/scores.json",
            &|json| numbers(json, ""),
        )?;
        table(
            "The attacked CLIP models at once: photographs whose pixels follow a domain's text, the share judged to be of that domain:",
            "steer/scores.json",
            &|json| {
                let mut rows = numbers(&json["reached"], "");
                let mean = json["mean"].as_f64().unwrap_or(f64::NAN);
                rows.insert("**mean**".to_owned(), format!("{mean:.3}"));
                rows.insert(
                    "**photographs for each**".to_owned(),
                    json["pictures"].to_string(),
                );
                rows
            },
        )?;
        for (title, part) in [
            (
                "Judge, right answers on fresh renderings of all domains:",
                "all",
            ),
            ("Judge, right answers on fresh photographs:", "source"),
            (
                "Judge, how often it finds none of its domains in pictures that show none:",
                "none",
            ),
        ] {
            table(title, "measure/judge.json", &|json| {
                numbers(&json[part], "")
            })?;
        }
        self.tables.retain(|(_, rows)| !rows.is_empty());
        Ok(())
    }
}

fn put<T>(places: &mut Vec<(String, T)>, name: &str, value: T) {
    match places.iter_mut().find(|(known, _)| known == name) {
        Some((_, place)) => *place = value,
        None => places.push((name.to_owned(), value)),
    }
}

/// The numbers of a JSON object, those of objects in it under both names.
fn numbers(json: &Json, above: &str) -> Rows {
    let mut all = Rows::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let name = format!("{above}{name}");
        match value {
            Json::Number(number) => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                let text = if value.fract() == 0.0 && value.abs() > 1.0 {
                    format!("{value}")
                } else {
                    format!("{value:.3}")
                };
                all.insert(name, text);
            }
            Json::Object(_) => all.extend(numbers(value, &format!("{name}: "))),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_made_anew_stays_on_the_card() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        let mut card = Card::default();
        card.put_row(
            "a.safetensors",
            "| `a.safetensors` | before | 1 MB |".into(),
        );
        card.put_row(
            "b.safetensors",
            "| `b.safetensors` | another | 2 MB |".into(),
        );
        card.put_table(
            "Of a:",
            numbers(&serde_json::json!({ "x": 1.5, "of": { "y": 2 } }), ""),
        );
        std::fs::write(&path, card.text()).unwrap();

        let mut again = Card::read(&path);
        assert_eq!(again, card);
        again.put_row(
            "a.safetensors",
            "| `a.safetensors` | anew made | 3 MB |".into(),
        );
        let text = again.text();
        let at = |part: &str| text.find(part);
        assert!(at("| before |").is_none() && at("| anew made |") < at("| another |"));
        assert!(at("| anew made |").is_some() && at("| of: y | 2 |").is_some());
    }
}
