//! The reference cases that lie in the crates, with their tensors and networks on the device, within the tolerances that hold on
//! the CPU.

use std::path::Path;

use domex_error::Result;
use domex_golden::{CaseReport, Found as Case, Group, Status, discover, run_on};
use serde_json::json;

use super::part::{Found, Task};
use crate::{cuda::root, golden::folders};

/// Cases with a picture beside a kink: two values of a pooling window, or a value and zero, so near that rounding in another order takes
/// the other side. Values do not show it, gradients of that place do, by up to so much. In `vgg_losses` 3.5532565 and 3.5532556 share a
/// window of the third pooling.
const BESIDE_A_KINK: [(&str, f64); 1] = [("degan/degan/vgg_losses", 2e-2)];

/// A task for each case of the workspace.
pub fn tasks() -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for folder in folders(&root())? {
        // Some cases lie in two crates, whose own tests read them.
        let owner = folder.ancestors().nth(2).and_then(Path::file_name);
        let owner = owner.unwrap_or_default().to_string_lossy();
        for case in discover(&folder)? {
            let name = format!("{owner}/{}", name(&case));
            let kink = BESIDE_A_KINK.iter().find(|(case, _)| *case == name);
            tasks.push(Task::new(name, move |setup| {
                Ok(judged(
                    &run_on(&case, &setup.device),
                    kink.map(|(_, most)| *most),
                ))
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

/// `kink`: by how much gradients may be off all the same.
fn judged(report: &CaseReport, kink: Option<f64>) -> Found {
    let turned = kink.is_some_and(|most| {
        let within = |group: &Group| group.worst.used <= 1.0;
        report.status == Status::Failed
            && report.outputs.as_ref().is_some_and(within)
            && report
                .gradients
                .as_ref()
                .is_some_and(|group| group.rel <= most)
    });
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
    parts.extend(turned.then(|| "beside a kink".to_owned()));
    Found {
        ok: turned || matches!(report.status, Status::Ok | Status::NotCovered),
        text: parts.join("; "),
        figures: json!({
            "values": report.outputs.as_ref().map(|group| group.rel),
            "gradients": report.gradients.as_ref().map(|group| group.rel),
            "seconds": report.seconds,
        }),
    }
}
