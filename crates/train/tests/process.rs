//! Runs as processes: what signals, kills, a full disk and a second process do to them.
//!
//! The program that is started is this test binary itself: [`child`] reads what to do from an environment variable.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod walk;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use domex_random::Streams;
use domex_train::run;
use domex_train::snapshots::latest;
use walk::{Plan, Walk, lines, weights};

const PLAN: &str = "DOMEX_TEST_PLAN";

/// What [`child`] exits with when the run ends in an error.
const FAILED: i32 = 9;

/// The other tests start this one in a process of its own; without a plan it is a short run.
#[test]
fn child() {
    let Ok(plan) = std::env::var(PLAN) else {
        let root = tempfile::tempdir().unwrap();
        let plan = Plan::new(&root.path().join("run"), 12);
        let outcome = run(&mut Walk::new(&plan), &plan.config(false)).unwrap();
        assert_eq!((outcome.clock.step, outcome.exit_code()), (12, 0));
        return;
    };
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let code = match run(&mut Walk::new(&plan), &plan.config(true)) {
        Ok(outcome) => i32::from(outcome.exit_code()),
        Err(error) => {
            writeln!(std::io::stderr(), "run: {error}").unwrap();
            FAILED
        }
    };
    // Nothing is dropped by this: no temporary folder may be open here.
    std::process::exit(code);
}

fn start(mut command: Command, plan: &Plan) -> Child {
    command
        .args(["--exact", "child", "--nocapture"])
        .env(PLAN, serde_json::to_string(plan).unwrap())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn spawn(plan: &Plan) -> Child {
    start(Command::new(std::env::current_exe().unwrap()), plan)
}

/// With files of at most 64 blocks, as on a disk with little room; the signal that comes with it is ignored, so that
/// writing fails with an error.
fn spawn_with_little_room(plan: &Plan) -> Child {
    let mut shell = Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    shell.args(["-c", script]);
    shell.arg(std::env::current_exe().unwrap());
    start(shell, plan)
}

fn signal(child: &Child, name: &str) {
    let command = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(status.success());
}

/// Waits until the run has told of `ticks` ticks.
fn wait_for_ticks(child: &mut Child, out: &Path, ticks: usize) {
    let begin = Instant::now();
    while lines(out).len() < ticks {
        assert!(begin.elapsed() < Duration::from_secs(60), "no tick came");
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The step of the last tick that was told.
fn reached(out: &Path) -> u64 {
    lines(out)
        .last()
        .map_or(0, |line| line["step"].as_u64().unwrap())
}

fn snapshot_step(out: &Path) -> u64 {
    latest(out).unwrap().1.get::<u64>("walked").unwrap()
}

#[test]
fn a_signal_saves_and_ends_the_run() {
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("run");
        let plan = Plan {
            wait_ms: 2,
            ..Plan::new(&out, 1_000_000)
        };
        let mut child = spawn(&plan);
        wait_for_ticks(&mut child, &out, 2);
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{name}: {}",
            text(&output)
        );
        let step = snapshot_step(&out);
        assert!(step >= 8, "{step}");
        assert!(out.join("model.safetensors").is_file());

        // What was saved is what a run of that length without a signal has.
        let whole = Plan::new(&root.path().join("whole"), step);
        run(&mut Walk::new(&whole), &whole.config(false)).unwrap();
        assert_eq!(weights(&out), weights(&whole.out));
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let plan = Plan {
        stall_at: Some(8),
        ..Plan::new(&out, 100)
    };
    let mut child = spawn(&plan);
    wait_for_ticks(&mut child, &out, 2);
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the step is cut short");
    let begin = Instant::now();
    signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", text(&output));
    assert!(begin.elapsed() < walk::STALL / 2);
    assert!(latest(&out).is_err(), "no time for a snapshot");
}

#[test]
fn a_full_disk_leaves_the_last_good_snapshot() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let plan = Plan {
        ballast_after: Some(12),
        ..Plan::new(&out, 100)
    };
    let output = spawn_with_little_room(&plan).wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(FAILED), "{said}");
    assert!(
        said.contains("snapshot at step 16 could not be written"),
        "{said}"
    );
    assert!(said.contains("the last good snapshot is") && said.contains("step-000000012"));
    assert_eq!(snapshot_step(&out), 12);
    let names = std::fs::read_dir(out.join("snapshots")).unwrap();
    assert_eq!(names.count(), 2, "nothing half written stays");

    // With room again the run goes on from there, to the same end.
    let resumed = Plan {
        resume: Some(out.clone()),
        ..Plan::new(&out, 20)
    };
    let output = spawn(&resumed).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let whole = Plan::new(&root.path().join("whole"), 20);
    run(&mut Walk::new(&whole), &whole.config(false)).unwrap();
    assert_eq!(weights(&out), weights(&whole.out));
}

#[test]
fn a_disk_that_is_full_at_a_tick_is_said_with_the_last_snapshot() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    // Long enough that its lines of events do not fit.
    let plan = Plan::new(&out, 4000);
    let output = spawn_with_little_room(&plan).wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(FAILED), "{said}");
    assert!(
        said.contains("the run stopped at step") && said.contains("events."),
        "{said}"
    );
    assert!(said.contains("the last good snapshot is"), "{said}");
    assert!(snapshot_step(&out) > 0);
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let plan = Plan {
        wait_ms: 2,
        ..Plan::new(&out, 1_000_000)
    };
    let mut first = spawn(&plan);
    wait_for_ticks(&mut first, &out, 3);
    let second = Plan {
        force: true,
        ..Plan::new(&out, 4)
    };
    let output = spawn(&second).wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(FAILED), "{said}");
    assert!(said.contains("in use by another run"), "{said}");
    assert!(first.try_wait().unwrap().is_none());
    signal(&first, "TERM");
    assert_eq!(first.wait().unwrap().code(), Some(143));
    // The events of the first run are whole, from its first tick on.
    assert_eq!(lines(&out)[0]["step"], 4);
    assert!(snapshot_step(&out) >= 12);
    // Now that nobody is there, force takes the folder, and nothing of the first run stays.
    let output = spawn(&second).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!((lines(&out).len(), snapshot_step(&out)), (1, 4));
    let boards = std::fs::read_dir(&out).unwrap().flatten();
    let boards = boards.filter(|e| e.file_name().to_string_lossy().contains("tfevents"));
    assert_eq!(boards.count(), 1);
}

#[test]
fn a_run_killed_at_any_moment_comes_to_the_same_weights() {
    const STEPS: u64 = 200;
    let root = tempfile::tempdir().unwrap();
    let whole = Plan::new(&root.path().join("whole"), STEPS);
    run(&mut Walk::new(&whole), &whole.config(false)).unwrap();

    let out = root.path().join("killed");
    let mut stream = Streams::new(5).stream("moments of kills");
    let mut kills = 0;
    loop {
        let begun = latest(&out).is_ok();
        let plan = Plan {
            wait_ms: 3,
            force: !begun,
            resume: begun.then(|| out.clone()),
            ..Plan::new(&out, STEPS)
        };
        // A few ticks further, and then at any moment.
        let goal = reached(&out) + 4 * (1 + stream.index(4).unwrap() as u64);
        let more = Duration::from_micros(stream.index(20_000).unwrap() as u64);
        let mut child = spawn(&plan);
        if kills < 8 {
            let begin = Instant::now();
            while child.try_wait().unwrap().is_none() && reached(&out) < goal {
                assert!(begin.elapsed() < Duration::from_secs(60), "no tick came");
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(more);
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
        }
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => break,
            None => {} // killed
            code => panic!("{code:?}: {}", text(&output)),
        }
    }
    assert!(kills > 0);
    assert_eq!(weights(&out), weights(&whole.out));
    // The log tells one story, with every tick once.
    let steps: Vec<u64> = lines(&out)
        .iter()
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (1..=STEPS / 4).map(|tick| 4 * tick).collect();
    assert_eq!(steps, expected);
    let parts = std::fs::read_dir(out.join("snapshots")).unwrap().flatten();
    let parts = parts.filter(|e| e.file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 0, "what a kill left half written is gone");
}
