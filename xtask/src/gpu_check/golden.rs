//! The reference cases that lie in the crates, with their tensors and networks on the device, within the tolerances that hold on
//! the CPU.

use std::path::Path;

use domex_error::Result;
use domex_golden::{CaseReport, Found as Case, Status, discover, run_on};
use serde_json::json;

use super::part::{Found, Task};
use crate::{cuda::root, golden::folders};

/// A task for each case of the workspace.
pub fn tasks() -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for folder in folders(&root())? {
        // Some cases lie in two crates, whose own tests read them.
        let owner = folder.ancestors().nth(2).and_then(Path::file_name);
        let owner = owner.unwrap_or_default().to_string_lossy();
        for case in discover(&folder)? {
            let name = format!("{owner}/{}", name(&case));
            tasks.push(Task::new(name, move |setup| {
                Ok(judged(&run_on(&case, &setup.device)))
            }));
        }
    }
    Ok(tasks)
}

/// The area's folder and the file.
fn name(case: &Case) -> String {
    let below = case
        .path
        .iter()
        .skip_while(|part| *part != "golden")
        .skip(1);
    let parts: Vec<_> = below.map(|part| part.to_string_lossy()).collect();
    parts.join("/").trim_end_matches(".safetensors").to_owned()
}

fn judged(report: &CaseReport) -> Found {
    let mut parts = Vec::new();
    for (what, group) in [
        ("values", &report.outputs),
        ("gradients", &report.gradients),
    ] {
        if let Some(group) = group {
            let (rel, worst) = (group.rel, &group.worst);
            let of = match worst.used > 1.0 {
                true => format!(" of {}", worst.name),
                false => String::new(),
            };
            parts.push(format!(
                "{what} off by {rel:.1e}, {:.0} % of the tolerance{of}",
                100.0 * worst.used
            ));
        }
    }
    parts.extend(report.message.clone());
    parts.extend((report.status == Status::NotCovered).then(|| "not covered".to_owned()));
    Found {
        ok: matches!(report.status, Status::Ok | Status::NotCovered),
        text: parts.join("; "),
        figures: json!({
            "values": report.outputs.as_ref().map(|group| group.rel),
            "gradients": report.gradients.as_ref().map(|group| group.rel),
            "seconds": report.seconds,
        }),
    }
}
