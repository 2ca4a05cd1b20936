//! Reference cases of the published implementations, and the comparison with them.
//!
//! A *case* is a safetensors file with inputs, weights, expected outputs and expected gradients
//! (see [`case`]), computed by the published code. This crate finds the cases of a folder
//! ([`discover()`]), tells from their content what they are ([`kind`]), computes every expected
//! tensor with the crates of this workspace ([`run_dir`]), and measures how far it is off
//! ([`compare`]) against the tolerance that the area's page states ([`tolerance`]).
//!
//! Deliberately not here: any maths of its own. Each runner only builds what the case describes
//! and calls the crate under test. Nor does it know how a case was made.
//!
//! # In tests
//!
//! The cases a crate needs lie in its `tests/golden/<area>/`. A crate's test may call
//!
//! ```no_run
//! let report = domex_golden::run_dir("tests/golden")?;
//! assert!(report.ok(), "{report}");
//! # Ok::<(), domex_golden::Error>(())
//! ```
//!
//! `tests/crates.rs` here does so for every crate of the workspace; `cargo xtask golden DIR` for
//! any folder, with a line per case.
//!
//! # Example
//!
//! A case made on the spot: leaky ReLU of two numbers.
//!
//! ```
//! use std::collections::HashMap;
//! use candle_core::{Device, Tensor};
//!
//! let tensor = |values: [f32; 2]| Tensor::new(&[values], &Device::Cpu);
//! let tensors = HashMap::from([
//!     ("in.0.x".to_owned(), tensor([2.0, -5.0])?),
//!     ("in.0.R".to_owned(), tensor([1.0, 1.0])?),
//!     ("out.0.y".to_owned(), tensor([2.0, -1.0])?),
//! ]);
//! let config = r#"{"cases": [{"act": "lrelu", "alpha": null, "gain": 1, "clamp": null, "dim": 1}]}"#;
//! let metadata = HashMap::from([("config".to_owned(), config.to_owned())]);
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("lrelu.safetensors");
//! safetensors::serialize_to_file(&tensors, Some(metadata), &path)?;
//!
//! let report = domex_golden::run_dir(dir.path())?;
//! println!("{report}");
//! assert_eq!(report.count(domex_golden::Status::Ok), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod case;
pub mod compare;
mod computed;
pub mod discover;
mod formula;
pub mod kind;
mod pooled;
pub mod report;
mod runners;
pub mod tolerance;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Instant,
};

use candle_core::{Device, Tensor};

pub use case::{Case, Kind};
pub use discover::{Found, discover};
pub use domex_error::{AnyError as Error, Result};
pub use kind::CaseKind;
pub use report::{CaseReport, Group, Report, Status};

use compare::Deviation;
use computed::Computed;
use tolerance::Tolerance;

/// Areas that have a page of tolerances. A case in a folder of another name is shown under the
/// area of its kind.
const AREAS: &[&str] = &[
    "clip",
    "degan",
    "diffae",
    "expansion",
    "hyperdomain",
    "latent",
    "lpips",
    "metrics",
    "mystyle",
    "stylegan2",
    "stylegan3",
];

/// Runs every case under `dir`, which may be the root of all areas, one area, a crate's
/// `tests/golden`, any folder that holds cases, or one file.
///
/// A case that fails, cannot be read or stops with an error is so marked in the report.
///
/// # Errors
///
/// Only when `dir` cannot be read or holds no case.
pub fn run_dir(dir: impl AsRef<Path>) -> Result<Report> {
    run_dir_with(dir, |_| {})
}

/// As [`run_dir`], and calls `each` after every case.
///
/// # Errors
///
/// As [`run_dir`].
pub fn run_dir_with(dir: impl AsRef<Path>, mut each: impl FnMut(&CaseReport)) -> Result<Report> {
    let mut cases = Vec::new();
    for found in discover(dir.as_ref())? {
        let report = run(&found);
        each(&report);
        cases.push(report);
    }
    Ok(Report { cases })
}

/// Runs one case on the CPU.
#[must_use]
pub fn run(found: &Found) -> CaseReport {
    run_on(found, &Device::Cpu)
}

/// Runs one case with its tensors and networks on `device`. What is no work for a device (decompositions, sums in double
/// precision over a set) stays on the CPU, as it does elsewhere.
#[must_use]
pub fn run_on(found: &Found, device: &Device) -> CaseReport {
    let start = Instant::now();
    let mut report = CaseReport {
        path: found.path.clone(),
        name: String::new(),
        status: Status::Error,
        message: None,
        outputs: None,
        gradients: None,
        contents: None,
        seconds: 0.0,
    };
    let mut area = folder_area(&found.path);
    // A damaged file must not stop the other cases, whatever a library makes of it.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        fill(found, device, &mut report, &mut area)
    }));
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            report.status = Status::Error;
            report.message = Some(one_line(&error.message()));
        }
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            report.status = Status::Error;
            report.message = Some(one_line(&format!("panicked: {text}")));
        }
    }
    report.name = display_name(found, area.as_deref());
    report.seconds = start.elapsed().as_secs_f64();
    report
}

fn fill(
    found: &Found,
    device: &Device,
    report: &mut CaseReport,
    area: &mut Option<String>,
) -> Result<()> {
    let is_case = is_case(&found.path);
    let case = match &found.expected {
        Some(expected) => Case::load(expected, device)?,
        None if is_case => Case::load(&found.path, device)?,
        None => {
            report.status = Status::NotCovered;
            report.message =
                Some("no .safetensors file with its expected contents beside it".to_owned());
            return Ok(());
        }
    };
    let checkpoint = (!is_case).then_some(found.path.as_path());
    let kind = CaseKind::of(&case)
        .filter(|kind| checkpoint.is_none() || runners::reads_checkpoints(*kind));
    let Some(kind) = kind else {
        report.status = Status::NotCovered;
        return Ok(());
    };
    area.get_or_insert_with(|| kind.area().to_owned());
    if Kind::ALL
        .iter()
        .all(|kind| case.expected(*kind).next().is_none())
    {
        return Err(case.malformed("no `out.`, `out64.` or `grad.` tensor to compare with"));
    }
    let computed = runners::run(kind, &case, checkpoint)?;
    compare_all(&case, kind, &computed, report)
}

/// Compares every expected tensor with the computed one and fills in the report.
fn compare_all(
    case: &Case,
    kind: CaseKind,
    computed: &Computed,
    report: &mut CaseReport,
) -> Result<()> {
    let tolerance = Tolerance::of(kind, &case.stem);
    let pooled = pooled::bound(case, kind, computed)?;
    let mut complaints = Vec::new();
    for group in Kind::ALL {
        let least = compare::floor(case, group)?;
        let largest = least / compare::FLOOR;
        let slot = if group.is_gradient() {
            &mut report.gradients
        } else {
            &mut report.outputs
        };
        for (name, want) in case.expected(group) {
            let bound = match pooled {
                Some(bound) if pooled::holds(name) => bound,
                _ => tolerance.bound(name, largest),
            };
            let error = match computed.tensor(name) {
                Some(got) => {
                    if got.dims() != want.dims() {
                        complaints.push(format!(
                            "{name}: shape {:?}, expected {:?}",
                            got.dims(),
                            want.dims()
                        ));
                    }
                    Deviation::between(got, want, if kind.floored() { least } else { 0.0 })?
                }
                None => {
                    complaints.push(format!("{name}: not computed"));
                    Deviation::INFINITE
                }
            };
            Group::add(slot, name, error, bound);
        }
    }
    if let Some(contents) = computed.contents() {
        let mut count = 0;
        for (name, want) in case.with_prefix("param.") {
            count += 1;
            match contents.get(name) {
                Some(got) if same_bits(got, want)? => {}
                Some(got) if got.dims() == want.dims() && got.dtype() == want.dtype() => {
                    complaints.push(format!("contents `{name}` differ"));
                }
                Some(got) => complaints.push(format!(
                    "contents `{name}`: {:?} {:?}, expected {:?} {:?}",
                    got.dtype(),
                    got.dims(),
                    want.dtype(),
                    want.dims()
                )),
                None => complaints.push(format!("contents `{name}` missing")),
            }
        }
        report.contents = Some(count);
    }
    let within = [&report.outputs, &report.gradients]
        .into_iter()
        .flatten()
        .all(Group::ok);
    report.status = if within && complaints.is_empty() {
        Status::Ok
    } else {
        Status::Failed
    };
    if !complaints.is_empty() {
        const SHOWN: usize = 3;
        let more = complaints.len().saturating_sub(SHOWN);
        let mut text = complaints
            .into_iter()
            .take(SHOWN)
            .collect::<Vec<_>>()
            .join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        report.message = Some(text);
    }
    Ok(())
}

/// Same type, shape and numbers, where a NaN equals itself.
fn same_bits(got: &Tensor, want: &Tensor) -> Result<bool> {
    if got.dtype() != want.dtype() || got.dims() != want.dims() {
        return Ok(false);
    }
    let (got, want) = (compare::values(got)?, compare::values(want)?);
    Ok(got
        .iter()
        .zip(&want)
        .all(|(g, w)| g.to_bits() == w.to_bits()))
}

/// The nearest folder above the file whose name is an area's.
fn folder_area(path: &Path) -> Option<String> {
    path.ancestors()
        .skip(1)
        .filter_map(|dir| dir.file_name()?.to_str())
        .find(|name| AREAS.contains(name))
        .map(str::to_owned)
}

/// The area, the folders below it, and the file: without `.safetensors`, but with a checkpoint's
/// extension.
fn display_name(found: &Found, area: Option<&str>) -> String {
    let path = &found.path;
    let file = if is_case(path) {
        path.file_stem()
    } else {
        path.file_name()
    };
    let mut parts = vec![
        file.map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    ];
    let Some(area) = area else {
        return parts.remove(0);
    };
    let folders: Vec<_> = path
        .ancestors()
        .skip(1)
        .filter_map(|dir| dir.file_name())
        .collect();
    if let Some(at) = folders.iter().position(|name| *name == area) {
        parts.extend(
            folders[..at]
                .iter()
                .map(|name| name.to_string_lossy().into_owned()),
        );
    }
    parts.push(area.to_owned());
    parts.reverse();
    parts.join("/")
}

fn is_case(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("safetensors"))
}

fn one_line(text: &str) -> String {
    text.split('\n')
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}
