//! Labels as stylegan2-ada's data sets hold them: `dataset.json` with
//! `{"labels": [["00000/img00000000.png", 6], ...]}`; or the folders that pictures lie in.
//!
//! A label is a class number, which becomes a one-hot vector, or a list of numbers; all are of one kind.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value as Json;

use super::files::Files;
use crate::error::{Error, Result};

const FILE: &str = "dataset.json";

/// Classes beyond which a number is taken for a mistake.
const MOST: usize = 1 << 17;

/// What the file holds.
const SHAPE: &str = "expected {\"labels\": [[\"00000/img00000000.png\", 6], ...]}";

#[derive(Deserialize)]
struct Document {
    labels: Option<Json>,
}

#[derive(Clone, PartialEq)]
enum Label {
    Class(u32),
    Vector(Vec<f32>),
}

/// One label a picture, or none at all.
pub(super) struct Labels {
    dim: usize,
    values: Vec<Label>,
    classes: Vec<String>,
}

impl Labels {
    pub fn none() -> Self {
        Self {
            dim: 0,
            values: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// Reads the labels of these pictures.
    pub fn read(files: &dyn Files, path: &Path, names: &[String]) -> Result<Self> {
        let refuse = |problem: String| Error::DataSet {
            path: path.join(FILE),
            problem,
        };
        if !files.has(FILE) {
            return Err(refuse(
                "is absent, and labels were asked for; make it from folders with `domex data prepare --labels folders`, or train without --cond".into(),
            ));
        }
        let by_name = parse(&files.read(FILE)?).map_err(refuse)?;
        let find = |name: &String| {
            by_name
                .get(name)
                .cloned()
                .ok_or_else(|| refuse(format!("has no label for {name}")))
        };
        let values: Vec<Label> = names.iter().map(find).collect::<Result<_>>()?;
        let dim = dim(&values).map_err(refuse)?;
        Ok(Self {
            dim,
            values,
            classes: Vec::new(),
        })
    }

    /// A class for each outermost folder.
    pub fn of_folders(path: &Path, names: &[String]) -> Result<Self> {
        let folder = |name: &String| name.split_once('/').map(|(folder, _)| folder.to_owned());
        let of = |name: &String| {
            folder(name).ok_or_else(|| Error::DataSet {
                path: path.join(name),
                problem: "lies in no folder that could be its label".into(),
            })
        };
        let folders: Vec<String> = names.iter().map(of).collect::<Result<_>>()?;
        let classes: BTreeSet<&String> = folders.iter().collect();
        let classes: Vec<String> = classes.into_iter().cloned().collect();
        let class = |folder: &String| Label::Class(classes.partition_point(|c| c < folder) as u32);
        Ok(Self {
            dim: classes.len(),
            values: folders.iter().map(class).collect(),
            classes,
        })
    }

    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Names of the classes, where they come from folders.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The label of picture `index`, empty where there is none.
    pub fn get(&self, index: usize) -> Vec<f32> {
        match self.values.get(index) {
            None => Vec::new(),
            Some(Label::Vector(values)) => values.clone(),
            Some(Label::Class(class)) => {
                let mut values = vec![0.0; self.dim];
                if let Some(value) = values.get_mut(*class as usize) {
                    *value = 1.0;
                }
                values
            }
        }
    }
}

/// Labels by the names of their pictures.
fn parse(bytes: &[u8]) -> std::result::Result<HashMap<String, Label>, String> {
    // Some editors put a mark before UTF-8 text.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err("is UTF-16 text; save it as UTF-8".into());
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| format!("is not as expected: {error}; {SHAPE}"))?;
    let entries = match document.labels {
        None => Vec::new(),
        Some(Json::Array(entries)) => entries,
        Some(_) => return Err(format!("its \"labels\" are no list; {SHAPE}")),
    };
    if entries.is_empty() {
        return Err("holds no labels".into());
    }
    let mut by_name = HashMap::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let pair = entry.as_array().map(Vec::as_slice);
        let Some([Json::String(name), value]) = pair else {
            let entry = short(entry);
            return Err(format!(
                "entry {number} of its \"labels\" is {entry}; {SHAPE}"
            ));
        };
        let label = label(value).ok_or_else(|| {
            let (name, value) = (name.escape_debug(), short(value));
            format!(
                "the label of \"{name}\" is {value}; a label is the number of a class (0, 1, ...) or a list of numbers"
            )
        })?;
        let name = name.replace('\\', "/");
        match by_name.get(&name) {
            Some(other) if *other != label => {
                let name = name.escape_debug();
                return Err(format!("has two labels for \"{name}\"; leave one of them"));
            }
            _ => by_name.insert(name, label),
        };
    }
    Ok(by_name)
}

/// A class may be written as a whole float, as in `1.0`.
fn label(value: &Json) -> Option<Label> {
    if let Some(number) = value.as_f64() {
        let class = number as u32;
        return (f64::from(class) == number).then_some(Label::Class(class));
    }
    let numbers = value.as_array()?.iter().map(|x| Some(x.as_f64()? as f32));
    let numbers: Vec<f32> = numbers.collect::<Option<_>>()?;
    numbers
        .iter()
        .all(|x| x.is_finite())
        .then_some(Label::Vector(numbers))
}

/// A value for a message.
fn short(value: &Json) -> String {
    const LONGEST: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The size that all labels share.
fn dim(values: &[Label]) -> std::result::Result<usize, String> {
    let mut classes = 0;
    let mut lengths = BTreeSet::new();
    for value in values {
        match value {
            Label::Class(class) => classes = classes.max(*class as usize + 1),
            Label::Vector(vector) => {
                lengths.insert(vector.len());
            }
        }
    }
    let dim = match (classes, lengths.len()) {
        (classes, 0) => classes,
        (0, 1) => lengths.into_iter().next().unwrap_or(0),
        (0, _) => return Err(format!("holds labels of different lengths: {lengths:?}")),
        _ => return Err("mixes class numbers and vectors".into()),
    };
    if (1..=MOST).contains(&dim) {
        return Ok(dim);
    }
    Err(format!("has labels of size {dim}, expected 1 to {MOST}"))
}
