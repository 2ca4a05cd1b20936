//! The lines of `events.jsonl` as curves.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::POINTS;

/// See the [module docs](self).
#[derive(Debug, Default)]
pub struct Events {
    lines: Vec<Map<String, Json>>,
}

impl Events {
    /// Of the run in this folder. No file, or a line that is none, counts as nothing: the report
    /// shows what there is.
    pub fn read(folder: &Path) -> Self {
        let text =
            std::fs::read_to_string(folder.join(domex_train::events::JSONL)).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        Self {
            lines: lines.collect(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// A number of the last line.
    pub fn last(&self, key: &str) -> Option<f64> {
        self.lines.last()?.get(key)?.as_f64()
    }

    /// First and last value of a key; no last one where there is but one.
    pub fn ends(&self, key: &str) -> Option<(f64, Option<f64>)> {
        let mut values = self.lines.iter().filter_map(|line| line.get(key)?.as_f64());
        Some((values.next()?, values.next_back()))
    }

    /// Curves (step, value) of the keys with this prefix, which is cut off, in the order of names.
    pub fn starting_with<'a>(
        &'a self,
        prefix: &str,
    ) -> impl Iterator<Item = (&'a str, Vec<(f64, f64)>)> {
        let mut curves: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for line in &self.lines {
            let Some(step) = line.get("step").and_then(Json::as_f64) else {
                continue;
            };
            for (key, value) in line {
                if let (Some(name), Some(value)) = (key.strip_prefix(prefix), value.as_f64()) {
                    curves.entry(name).or_default().push((step, value));
                }
            }
        }
        curves
            .into_iter()
            .map(|(name, points)| (name, thinned(points)))
    }
}

/// At most [`POINTS`] of the points, each the mean of its neighbours.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    if size == 1 {
        return points;
    }
    let mean = |chunk: &[(f64, f64)]| {
        let sum = chunk
            .iter()
            .fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
        (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_read_and_thinned() {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for step in 1..=1000 {
            text += &format!(
                "{{\"step\": {step}, \"loss/a\": {step}, \"loss/b\": null, \"other\": 1}}\n"
            );
        }
        text += "{\"step\": 10";
        std::fs::write(folder.path().join("events.jsonl"), text).unwrap();
        let events = Events::read(folder.path());
        let curves: Vec<_> = events.starting_with("loss/").collect();
        assert_eq!(curves.len(), 1);
        let (name, points) = &curves[0];
        assert_eq!((*name, points.len()), ("a", 334));
        assert_eq!(points[0], (2.0, 2.0));
        assert_eq!(events.ends("loss/a"), Some((1.0, Some(1000.0))));
        assert!(Events::read(Path::new("no such folder")).is_empty());
    }
}
