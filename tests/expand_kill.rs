//! A run of `domex expand` that is stopped or killed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use domex_random::Streams;
use domex_test_support::networks;
use domex_test_support::process::{End, kill_after, signal, start, wait_until};
use domex_test_support::program::World;
use domex_train::snapshots::latest;
use serde_json::Value as Json;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

/// A run that would take hours.
const LONG: &str =
    "expand --domain elf --out run --batch 2 --tick 1 --snap 1 --threads 1 --steps 100000";

#[test]
fn a_signal_saves_the_run() {
    let world = world();
    let mut child = start(world.command(LONG));
    wait_until(&mut child, "snapshot", || world.has_snapshot("run"));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(world.has_snapshot("run"));
}

#[test]
fn a_signal_ends_translations() {
    let world = world();
    let clip = world.path("shipped/clip-one.safetensors");
    networks::teacher(&world.path("teacher.safetensors"), networks::SIDE, &clip);
    let tasks = "[settings.diffusion]\ntargets = 5000\n\n[[tasks]]\nmethod = \"diffusion\"\ntarget = \"zombie\"\n";
    world.write("tasks.toml", tasks);
    let line = "expand --tasks tasks.toml --teacher teacher.safetensors --teacher-clip one --batch 2 --out run";
    let mut command = world.command(line);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_until(&mut child, "folder", || world.has("run/run.json"));
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("before the first step"), "{said}");
    assert!(!world.has_snapshot("run"));
}

#[test]
fn a_folder_in_use_is_refused() {
    let world = world();
    let mut child = start(world.command(LONG));
    wait_until(&mut child, "snapshot", || world.has_snapshot("run"));
    for line in ["--resume run", "--domain elf --out run --force"] {
        world.refused(&format!("expand {line}"), &["run", "in use"]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The steps that the record of losses has.
fn recorded(world: &World, run: &str) -> Vec<u64> {
    let text = world.text(&format!("{run}/events.jsonl"));
    let step = |line: &str| {
        let line: Json = serde_json::from_str(line).unwrap();
        line["step"].as_u64().unwrap()
    };
    text.lines().map(step).collect()
}

const STEPS: u64 = 12;

fn twelve_steps(out: &str) -> String {
    format!(
        "expand --domain elf --domain \"stone statue\" --batch 2 --tick 1 --snap 1 --threads 1 --steps {STEPS} --quiet --out {out}"
    )
}

/// Killed fifty times at any moment, runs come to the very weights of one that was not.
#[test]
fn kill_9_costs_no_bit() {
    const KILLS: usize = 50;
    let world = world();
    let begin = Instant::now();
    world.ok(&twelve_steps("whole"));
    // From before the program has looked at anything to the writing of its report.
    let longest = begin.elapsed().mul_f64(0.5);
    let whole = world.tensors("whole");

    let mut moments = Streams::new(17).stream("moments");
    let (mut kills, mut runs, mut begun) = (0, 0, 0);
    while kills < KILLS || begun > runs {
        let run = format!("run{runs}");
        let line = match world.has_snapshot(&run) {
            true => format!("expand --resume {run} --threads 1 --quiet"),
            // Killed before its first snapshot: from the beginning.
            false => format!("{} --force", twelve_steps(&run)),
        };
        let child = start(world.command(&line));
        begun = runs + 1;
        let wait = match kills < KILLS {
            true => longest.mul_f64(moments.uniform_f64()),
            false => Duration::from_secs(60),
        };
        match kill_after(child, wait) {
            End::Killed => kills += 1,
            End::Exited(0) => {
                assert!(world.tensors(&run) == whole, "after {kills} kills");
                assert_eq!(recorded(&world, &run), (1..=STEPS).collect::<Vec<_>>());
                assert!(world.has(&format!("{run}/report.html")));
                runs += 1;
            }
            End::Exited(code) => panic!("{code} from: {line}"),
        }
    }
    assert_eq!(kills, KILLS);
    assert!((1..=KILLS).contains(&runs), "{runs} runs");
}

#[test]
fn a_snapshot_that_was_cut_short_is_passed_over() {
    let world = world();
    world.ok(&twelve_steps("run"));
    let whole = world.tensors("run");
    let (last, _) = latest(&world.path("run")).unwrap();
    let bytes = std::fs::read(&last).unwrap();
    std::fs::write(&last, &bytes[..bytes.len() / 2]).unwrap();
    world.ok("expand --resume run --threads 1 --quiet");
    assert!(world.tensors("run") == whole);
}
