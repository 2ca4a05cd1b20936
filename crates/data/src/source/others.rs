//! Files of a set that are no pictures by their names: counted by their endings, a few of each named.

use std::collections::BTreeMap;

/// Names of an ending that are kept.
const NAMED: usize = 2;

/// Files beside the pictures that are meant to be there.
const EXPECTED: [&str; 2] = ["dataset.json", "portraits.jsonl"];

/// See the [module docs](self).
#[derive(Default)]
pub(super) struct Others(BTreeMap<String, (usize, Vec<String>)>);

impl Others {
    /// Counts a file. Hidden files are nobody's pictures.
    pub fn add(&mut self, name: &str) {
        let file = name.rsplit('/').next().unwrap_or(name);
        if file.starts_with('.') || EXPECTED.contains(&name) {
            return;
        }
        let ending = match file.rsplit_once('.') {
            Some((_, ending)) => format!(".{}", ending.to_lowercase()),
            None => "without an ending".to_owned(),
        };
        let (count, names) = self.0.entry(ending).or_default();
        *count += 1;
        if names.len() < NAMED {
            names.push(name.escape_debug().to_string());
            names.sort();
        }
    }

    /// What was passed over, if anything was.
    pub fn notice(&self) -> Option<String> {
        let total: usize = self.0.values().map(|(count, _)| count).sum();
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(ending, (count, names))| {
                let more = if *count > names.len() { ", …" } else { "" };
                format!("{count} {ending} ({}{more})", names.join(", "))
            })
            .collect();
        let files = if total == 1 { "file" } else { "files" };
        (total > 0).then(|| {
            format!(
                "{total} {files} passed over, no pictures by their names: {}",
                parts.join("; ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_their_endings() {
        let mut others = Others::default();
        assert_eq!(others.notice(), None);
        for name in [
            "a.heic",
            "b/c.HEIC",
            "d.heic",
            "README",
            ".hidden",
            "dataset.json",
        ] {
            others.add(name);
        }
        assert_eq!(
            others.notice().unwrap(),
            "4 files passed over, no pictures by their names: 3 .heic (a.heic, b/c.HEIC, …); 1 without an ending (README)"
        );
    }
}
