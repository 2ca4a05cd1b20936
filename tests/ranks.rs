//! `domex expand` and `domex train` over several processes.

use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use domex_test_support::process::wait_until;
use domex_test_support::program::{World, ok, refused};
use domex_train::snapshots::newest_step;
use serde_json::Value as Json;

const RUN: &str = "expand --domain elf --domain \"stone statue\" --batch 3 --micro-batch 1 --tick 2 --snap 1 --threads 1";

/// A run that would take hours.
const LONG: &str = "--steps 100000 --out run";

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

/// One of two ranks, as torchrun starts them.
fn rank(world: &World, rank: usize, port: u16, line: &str) -> Child {
    let mut command: Command = world.command(line);
    for (name, value) in [
        ("RANK", rank.to_string()),
        ("WORLD_SIZE", "2".to_owned()),
        ("LOCAL_RANK", rank.to_string()),
        ("LOCAL_WORLD_SIZE", "2".to_owned()),
        ("MASTER_ADDR", "localhost".to_owned()),
        ("MASTER_PORT", port.to_string()),
    ] {
        command.env(name, value);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Both, each with its own line.
fn ranks(world: &World, lines: [&str; 2]) -> [Child; 2] {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    [0, 1].map(|at| rank(world, at, port, lines[at]))
}

fn ends(ranks: [Child; 2]) -> [Output; 2] {
    ranks.map(|rank| rank.wait_with_output().unwrap())
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What was recorded of losses, without what differs from run to run.
fn events(world: &World, run: &str) -> Vec<Json> {
    let text = world.text(&format!("{run}/events.jsonl"));
    let event = |line: &str| {
        let mut event: Json = serde_json::from_str(line).unwrap();
        let numbers = event.as_object_mut().unwrap();
        numbers.retain(|name, _| name.contains('/') || name == "step");
        event
    };
    text.lines().map(event).collect()
}

#[test]
fn several_processes_make_the_bits_of_one_and_so_does_a_resumed_run_with_others() {
    let world = world();
    world.ok(&format!("{RUN} --steps 6 --quiet --out alone"));
    let line = format!("{RUN} --steps 6 --json --out two");
    let [first, second] = ends(ranks(&world, [&line, &line]));
    let result: Json = serde_json::from_str(&ok(&first)).unwrap();
    assert_eq!(result["step"], 6);
    assert_eq!(ok(&second), "");
    assert_eq!(stderr(&second), "");
    assert!(world.tensors("two") == world.tensors("alone"));
    assert_eq!(events(&world, "two"), events(&world, "alone"));

    // Begun by three, ended by one.
    world.ok(&format!("{RUN} --steps 2 --ranks 3 --quiet --out parts"));
    world.ok("expand --resume parts --steps 6 --threads 1 --quiet");
    assert!(world.tensors("parts") == world.tensors("alone"));
}

#[test]
fn a_training_is_shared_too() {
    let world = world();
    world.ok("data portraits --out set --count 12 --size 16");
    let line =
        "train --data set --cbase 64 --cmax 8 --map-depth 2 --tick 0.004 --snap 1 --threads 1";
    let run = format!("{line} --batch 4 --micro-batch 2 --kimg 0.016 --quiet");
    world.ok(&format!("{run} --out alone"));
    world.ok(&format!(
        "{line} --batch 4 --kimg 0.008 --quiet --ranks 2 --out two"
    ));
    world.ok("train --resume two --kimg 0.016 --threads 1 --ranks 2 --quiet");
    assert!(world.tensors("two") == world.tensors("alone"));
    let few = world.run(&format!("{line} --batch 1 --ranks 2 --out none"));
    let error = stderr(&few);
    assert_eq!(few.status.code(), Some(2), "{error}");
    let told = "passes of a step is 1 (batch 1 in passes of 1), expected 2 or more";
    assert_eq!(error.matches(told).count(), 1, "{error}");
}

#[test]
fn a_killed_rank_ends_the_run_with_a_snapshot_that_can_be_resumed() {
    let world = world();
    let line = format!("{RUN} {LONG}");
    let [mut first, mut second] = ranks(&world, [&line, &line]);
    wait_until(&mut first, "snapshot", || world.has_snapshot("run"));
    second.kill().unwrap();
    second.wait().unwrap();
    let end = first.wait_with_output().unwrap();
    assert_eq!(end.status.code(), Some(2), "{}", stderr(&end));
    let error = stderr(&end);
    let last = error.lines().last().unwrap();
    for text in [
        "domex: the run stopped",
        "rank 1 was lost",
        "the last good snapshot is",
    ] {
        assert!(last.contains(text), "{text:?} is not in: {error}");
    }
    let step = newest_step(&world.path("run")).unwrap() + 1;
    let line = format!("expand --resume run --steps {step} --threads 1 --json");
    assert_eq!(world.json(&line)["step"], step);
}

#[test]
fn a_rank_whose_first_is_killed_ends() {
    let world = world();
    let line = format!("{RUN} {LONG}");
    let [mut first, second] = ranks(&world, [&line, &line]);
    wait_until(&mut first, "snapshot", || world.has_snapshot("run"));
    first.kill().unwrap();
    first.wait().unwrap();
    let end = second.wait_with_output().unwrap();
    refused(&end, &["rank 1: ", "rank 0 was lost"]);
}

#[test]
fn an_error_of_all_ranks_is_told_by_the_first() {
    let world = world();
    world.ok("data portraits --out set --count 2 --size 16");
    for (line, told) in [
        // As flags are read, as they are looked at, as files are, and of rank 0 alone.
        ("expand --domain elf --out run --bats 3", "--bats"),
        ("expand --domain elf --out run --ranks 3", "has started 2"),
        ("expand --domain elf --out run --lr -1", "lr"),
        ("train --data none --out run", "none"),
        ("expand --domain elf --out set --batch 2", "is not empty"),
    ] {
        let [first, second] = ends(ranks(&world, [line, line]));
        assert_eq!(first.status.code(), Some(2), "{line}");
        assert!(stderr(&first).contains(told), "{line}: {}", stderr(&first));
        assert_eq!(second.status.code(), Some(2), "{line}");
        assert_eq!(stderr(&second), "", "{line}");
    }
    assert!(!world.has("run"));
}

#[test]
fn an_error_of_one_rank_alone_is_told_by_it() {
    let world = world();
    for (flag, told) in [("--bats 3", "--bats"), ("--lr -1", "lr")] {
        let line = format!("{RUN} --steps 2 --out run{told}");
        let other = format!("{line} {flag}");
        let [first, second] = ends(ranks(&world, [&line, &other]));
        assert_eq!(second.status.code(), Some(2), "{other}");
        let error = stderr(&second);
        assert!(error.contains(told), "{other}: {error}");
        assert_eq!(first.status.code(), Some(2), "{other}");
        let error = stderr(&first);
        assert!(error.contains("rank 1 was lost"), "{other}: {error}");
    }
}

#[test]
fn a_file_stop_ends_all_ranks() {
    let world = world();
    let line = format!("{RUN} {LONG}");
    let [mut first, second] = ranks(&world, [&line, &line]);
    wait_until(&mut first, "snapshot", || world.has_snapshot("run"));
    world.write("run/stop", "");
    for end in ends([first, second]) {
        assert_eq!(end.status.code(), Some(143), "{}", stderr(&end));
    }
    assert!(world.has_snapshot("run"));
}

#[test]
fn ranks_with_other_settings_are_refused_before_the_first_step() {
    let world = world();
    let [line, other] = ["0.001", "0.002"].map(|lr| format!("{RUN} --steps 2 --lr {lr} --out run"));
    let [first, second] = ends(ranks(&world, [&line, &other]));
    let differs = "rank 1 differs from rank 0 in settings.config.lr";
    assert_eq!(first.status.code(), Some(2));
    assert!(stderr(&first).contains(differs), "{}", stderr(&first));
    assert_eq!(second.status.code(), Some(2));
    assert_eq!(stderr(&second), "");
    assert!(!world.has_snapshot("run"));
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let world = world();
    let line = "expand --domain elf --out run --batch 2 --ranks 3";
    let end = world.run(line);
    let error = stderr(&end);
    assert_eq!(end.status.code(), Some(2), "{error}");
    for text in [
        "passes of a step: 2 (batch 2)",
        "3 or more, one for each rank",
    ] {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
    let half = |name: &str, line: &str| {
        let mut command = world.command(line);
        command.env(name, "2").output().unwrap()
    };
    let line = "expand --domain elf --out run";
    refused(
        &half("WORLD_SIZE", line),
        &["RANK: found nothing", "WORLD_SIZE is set"],
    );
    refused(&half("RANK", line), &["WORLD_SIZE: found nothing"]);
    let mut command = world.command("expand --domain elf --out run --ranks 3");
    let launched = command.env("RANK", "0").env("WORLD_SIZE", "2").output();
    refused(
        &launched.unwrap(),
        &["--ranks 3", "a launcher has started 2"],
    );
    assert!(!world.has("run"));
}
