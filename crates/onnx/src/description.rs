//! What a graph takes, gives and knows, for people and programs that use it.

use serde::Serialize;
use serde_json::Value as Json;

/// An input or the output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Port {
    /// As runtimes call it.
    pub name: String,
    /// Of float32 numbers.
    pub shape: Vec<Dim>,
    /// In a line.
    pub meaning: String,
}

impl Port {
    pub(crate) fn new(
        name: impl Into<String>,
        shape: Vec<Dim>,
        meaning: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            shape,
            meaning: meaning.into(),
        }
    }
}

/// The size of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Dim {
    /// Known.
    Size(usize),
    /// Chosen by who runs the graph.
    Named(&'static str),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size(size) => size.fmt(out),
            Self::Named(name) => out.write_str(name),
        }
    }
}

/// A domain, in the place that it has in `strengths`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Domain {
    /// What people call it.
    pub name: String,
    /// How far along its direction strength 1 lies.
    pub distance: f64,
    /// The task that made it.
    pub task: Json,
}

/// What a graph takes, gives and knows; serialised, what stands in the file beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// Name and version of the program that wrote the graph.
    pub program: String,
    /// Version of the operators.
    pub opset: i64,
    /// All are needed.
    pub inputs: Vec<Port>,
    /// The picture.
    pub output: Port,
    /// In the order of `strengths`.
    pub domains: Vec<Domain>,
    /// Where the weights come from.
    pub provenance: Json,
}
