//! The models that the page can show: those that the studio was told of, and those that expansions of its workspace made.

use crate::learn::Learner;
use crate::workspace::{Name, Workspace};

/// A model under the name by which the page calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What the page shows.
    pub name: String,
    /// What [`Models`](crate::Models) opens.
    pub model: String,
}

/// The models of finished expansions, by the names of their folders.
pub fn learnt(workspace: &Workspace, learner: &dyn Learner) -> Vec<Named> {
    let runs = workspace.runs().into_iter();
    let named = runs.filter_map(|run| {
        let folder = workspace.run(&Name::new(&run).ok()?).ok()?;
        let model = learner.model(&folder)?.to_str()?.to_owned();
        Some(Named {
            name: of_run(&run),
            model,
        })
    });
    named.collect()
}

/// What the model of an expansion is called.
pub fn of_run(run: &str) -> String {
    format!("runs/{run}")
}
