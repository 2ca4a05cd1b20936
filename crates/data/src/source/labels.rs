//! Labels as stylegan2-ada's data sets hold them: `dataset.json` with
//! `{"labels": [["00000/img00000000.png", 6], ...]}`.
//!
//! A label is a class number, which becomes a one-hot vector, or a list of numbers; all are of one kind.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::files::Files;
use crate::error::{Error, Result};

const FILE: &str = "dataset.json";

/// Classes beyond which a number is taken for a mistake.
const MOST: usize = 1 << 17;

#[derive(Deserialize)]
struct Document {
    labels: Option<Vec<(String, Label)>>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Label {
    Class(u32),
    Vector(Vec<f32>),
}

/// One label a picture, or none at all.
pub(super) struct Labels {
    dim: usize,
    values: Vec<Label>,
}

impl Labels {
    pub fn none() -> Self {
        Self {
            dim: 0,
            values: Vec::new(),
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
                "is absent, and labels were asked for; train without --cond, or add it".into(),
            ));
        }
        let document: Document = serde_json::from_slice(&files.read(FILE)?)
            .map_err(|error| refuse(format!("is not as expected: {error}")))?;
        let labels = document
            .labels
            .filter(|labels| !labels.is_empty())
            .ok_or_else(|| refuse("holds no labels".into()))?;
        let by_name: HashMap<String, Label> = labels
            .into_iter()
            .map(|(name, label)| (name.replace('\\', "/"), label))
            .collect();
        let find = |name: &String| {
            by_name
                .get(name)
                .cloned()
                .ok_or_else(|| refuse(format!("has no label for {name}")))
        };
        let values: Vec<Label> = names.iter().map(find).collect::<Result<_>>()?;
        let dim = dim(&values).map_err(refuse)?;
        Ok(Self { dim, values })
    }

    pub fn dim(&self) -> usize {
        self.dim
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

/// The size that all labels share.
fn dim(values: &[Label]) -> std::result::Result<usize, String> {
    let mut classes = 0;
    let mut lengths = std::collections::BTreeSet::new();
    for value in values {
        match value {
            Label::Class(class) => classes = classes.max(*class as usize + 1),
            Label::Vector(vector) if vector.iter().all(|x| x.is_finite()) => {
                lengths.insert(vector.len());
            }
            Label::Vector(_) => return Err("holds a label that is not finite".into()),
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
