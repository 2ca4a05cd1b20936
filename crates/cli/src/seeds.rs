//! Lists of whole numbers as people type them: `0,3,10-19`.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// More entries than this are a typing error.
const MOST: usize = 100_000;

/// A list such as `0,3,10-19`, each once, in the order typed. Used for seeds, classes' rows and style layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List(Vec<u32>);

impl List {
    /// The numbers, in the order typed.
    pub fn values(&self) -> &[u32] {
        &self.0
    }

    /// The same numbers as indices.
    pub fn indices(&self) -> Vec<usize> {
        self.0.iter().map(|&value| value as usize).collect()
    }
}

impl FromStr for List {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut values = Vec::new();
        for part in text.split(',') {
            let (first, last) = bounds(part.trim()).ok_or_else(|| {
                let within = match part == text {
                    true => String::new(),
                    false => format!(" in '{text}'"),
                };
                format!(
                    "'{part}'{within} is neither a number nor a range such as 10-19 (0 to {})",
                    u32::MAX
                )
            })?;
            if last < first {
                return Err(format!(
                    "the range '{part}' runs backwards: write {last}-{first}"
                ));
            }
            if (last - first) as usize >= MOST - values.len().min(MOST) {
                return Err(format!("'{text}' asks for more than {MOST} entries"));
            }
            values.extend(first..=last);
        }
        let mut seen = HashSet::new();
        match values.iter().find(|value| !seen.insert(**value)) {
            // Results are called after their seeds.
            Some(twice) => Err(format!("'{text}' has {twice} twice")),
            None => Ok(Self(values)),
        }
    }
}

fn bounds(part: &str) -> Option<(u32, u32)> {
    match part.split_once('-') {
        Some((first, last)) => Some((first.trim().parse().ok()?, last.trim().parse().ok()?)),
        None => part.parse().ok().map(|value| (value, value)),
    }
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// Rising indices in the form in which people type them: `0-6,9`.
pub fn ranges(indices: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &index in indices {
        match parts.last_mut() {
            Some((_, last)) if index == *last + 1 => *last = index,
            _ => parts.push((index, index)),
        }
    }
    let texts: Vec<String> = parts
        .iter()
        .map(|&(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_and_ranges_in_order() {
        let list: List = "0, 3,10-12,1".parse().unwrap();
        assert_eq!(list.values(), [0, 3, 10, 11, 12, 1]);
        assert_eq!("4294967295".parse::<List>().unwrap().values(), [u32::MAX]);
    }

    #[test]
    fn writes_ranges_as_they_are_typed() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn says_what_is_wrong() {
        assert!("".parse::<List>().unwrap_err().contains("neither"));
        assert!("1,x".parse::<List>().unwrap_err().contains("'x'"));
        assert!("9-3".parse::<List>().unwrap_err().contains("3-9"));
        assert!("-1".parse::<List>().is_err());
        assert!(
            "0-4294967295"
                .parse::<List>()
                .unwrap_err()
                .contains("more than")
        );
        assert!("4294967296".parse::<List>().is_err());
        assert!("3,1,2-4".parse::<List>().unwrap_err().contains("3 twice"));
    }
}
