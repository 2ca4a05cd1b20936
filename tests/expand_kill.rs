//! A run of `domex expand` that is stopped, killed or disturbed.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

#[expect(dead_code, reason = "these tests need some of it")]
#[path = "tiny/program.rs"]
mod program;
mod tiny;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use domex_train::snapshots::latest;
use program::{command, domex, ok, refused, tensors, world};
use serde_json::Value as Json;

/// Starts a long run and waits until it has a snapshot.
fn running(root: &Path, line: &str) -> std::process::Child {
    let mut child = command(root, line)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while latest(&root.join("run")).is_err() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "no snapshot came"
        );
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn a_folder_in_use_is_refused_and_a_signal_saves_the_run() {
    let root = world();
    let root = root.path();
    let child = running(
        root,
        "expand --domain elf --out run --batch 2 --tick 1 --snap 1 --threads 1 --steps 100000",
    );
    refused(&domex(root, "expand --resume run"), &["run", "in use"]);
    refused(
        &domex(root, "expand --domain elf --out run --force"),
        &["run", "in use"],
    );
    let kill = format!("kill -INT {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(latest(&root.join("run")).is_ok());
}

/// Killed at any moment, the run goes on to the very weights of one that was not.
#[test]
fn kill_9_costs_no_bit() {
    let root = world();
    let root = root.path();
    let line = "expand --domain elf --domain \"stone statue\" --batch 2 --tick 1 --snap 1 --threads 1 --steps 24 --quiet";
    ok(&domex(root, &format!("{line} --out whole")));
    let mut child = running(root, &format!("{line} --out run"));
    for wait in [40, 150, 95, 15, 260] {
        std::thread::sleep(Duration::from_millis(wait));
        let _ = child.kill();
        child.wait().unwrap();
        child = command(root, "expand --resume run --threads 1 --quiet")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert!(tensors(&root.join("run")) == tensors(&root.join("whole")));
    // The record of losses tells one story too.
    let steps = |run: &str| {
        let text = std::fs::read_to_string(root.join(run).join("events.jsonl")).unwrap();
        text.lines()
            .map(|line| {
                serde_json::from_str::<Json>(line).unwrap()["step"]
                    .as_u64()
                    .unwrap()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(steps("run"), (1..=24).collect::<Vec<_>>());
    // What a kill in the middle of a write would leave is passed over.
    let (last, _) = latest(&root.join("run")).unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    ok(&domex(root, "expand --resume run --threads 1 --quiet"));
    assert!(tensors(&root.join("run")) == tensors(&root.join("whole")));
}
