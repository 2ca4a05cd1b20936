//! A run of `domex expand` that is stopped, killed or disturbed.

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

mod process;
#[expect(dead_code, reason = "these tests need some of it")]
#[path = "tiny/program.rs"]
mod program;
mod tiny;

use std::path::Path;
use std::time::{Duration, Instant};

use domex_random::Streams;
use domex_train::snapshots::latest;
use process::{End, kill_after, signal, start, wait_until};
use program::{command, domex, ok, refused, tensors, world};
use serde_json::Value as Json;

#[test]
fn a_folder_in_use_is_refused_and_a_signal_saves_the_run() {
    let root = world();
    let root = root.path();
    let line =
        "expand --domain elf --out run --batch 2 --tick 1 --snap 1 --threads 1 --steps 100000";
    let mut child = start(command(root, line));
    wait_until(&mut child, "snapshot", || latest(&root.join("run")).is_ok());
    refused(&domex(root, "expand --resume run"), &["run", "in use"]);
    refused(
        &domex(root, "expand --domain elf --out run --force"),
        &["run", "in use"],
    );
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(latest(&root.join("run")).is_ok());
}

/// The steps that the record of losses tells of.
fn told(run: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| {
            let line: Json = serde_json::from_str(line).unwrap();
            line["step"].as_u64().unwrap()
        })
        .collect()
}

/// Killed fifty times at any moment, runs come to the very weights of one that was not.
#[test]
fn kill_9_costs_no_bit() {
    const KILLS: usize = 50;
    const STEPS: u64 = 12;
    let root = world();
    let root = root.path();
    let line = format!(
        "expand --domain elf --domain \"stone statue\" --batch 2 --tick 1 --snap 1 --threads 1 --steps {STEPS} --quiet"
    );
    let begin = Instant::now();
    ok(&domex(root, &format!("{line} --out whole")));
    // From before the program has looked at anything to the writing of its report.
    let longest = begin.elapsed().mul_f64(0.5);
    let whole = tensors(&root.join("whole"));

    let mut moments = Streams::new(17).stream("moments");
    let (mut kills, mut runs, mut begun) = (0, 0, 0);
    while kills < KILLS || begun > runs {
        let run = format!("run{runs}");
        let resumes = latest(&root.join(&run)).is_ok();
        let line = match resumes {
            true => format!("expand --resume {run} --threads 1 --quiet"),
            // Killed before its first snapshot: from the beginning.
            false => format!("{line} --out {run} --force"),
        };
        let child = start(command(root, &line));
        begun = runs + 1;
        let wait = match kills < KILLS {
            true => longest.mul_f64(moments.uniform_f64()),
            false => Duration::from_secs(60),
        };
        match kill_after(child, wait) {
            End::Killed => kills += 1,
            End::Exited(0) => {
                let run = root.join(&run);
                assert!(tensors(&run) == whole, "after {kills} kills");
                assert_eq!(told(&run), (1..=STEPS).collect::<Vec<_>>());
                assert!(run.join("report.html").is_file());
                runs += 1;
            }
            End::Exited(code) => panic!("{code} from: {line}"),
        }
    }
    assert_eq!(kills, KILLS);
    assert!((1..=KILLS).contains(&runs), "{runs} runs");

    // What a kill in the middle of a write would leave is passed over.
    let run = root.join("run0");
    let (last, _) = latest(&run).unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    ok(&domex(root, "expand --resume run0 --threads 1 --quiet"));
    assert!(tensors(&run) == whole);
}

#[test]
fn force_does_not_remove_what_the_run_begins_with() {
    let root = world();
    let root = root.path();
    let line = "expand --domain elf --out run --steps 1 --batch 2 --threads 1 --quiet";
    ok(&domex(root, line));
    let before = tensors(&root.join("run"));
    for dry in ["", "-n"] {
        let line = "expand --model run/model.safetensors --domain robot --out run --force";
        refused(
            &domex(root, &format!("{line} {dry}")),
            &["run/model.safetensors", "--force", "another folder"],
        );
    }
    assert!(tensors(&root.join("run")) == before);
    assert!(root.join("run/model.safetensors").is_file());
}
