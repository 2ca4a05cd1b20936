//! Runs inside a test's own process.

use std::path::Path;

use domex_train::{Job, Resume, RunConfig, run};

/// Runs `images` images at once, and in two halves with a resume between them: both must write the same model, to the
/// bit. `settings` gives those of a run in a folder.
pub fn assert_resume_is_exact<J: Job>(
    job: impl Fn() -> J,
    settings: impl Fn(&Path, u64) -> RunConfig,
    images: u64,
) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let whole = run(&mut job(), &settings(&whole, images)).unwrap();
    run(&mut job(), &settings(&parts, images / 2)).unwrap();
    let resumed = RunConfig {
        resume: Resume::From(parts.clone()),
        ..settings(&parts, images)
    };
    let resumed = run(&mut job(), &resumed).unwrap();
    assert!(std::fs::read(whole.model).unwrap() == std::fs::read(resumed.model).unwrap());
}
