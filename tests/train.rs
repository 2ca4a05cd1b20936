//! `domex train` as its users meet it: from pictures to a model, stopped and gone on with, refusals.

#![allow(clippy::unwrap_used)]

#[cfg(unix)]
mod process;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use domex_checkpoint::container::Container;
use domex_train::snapshots::latest;
use serde_json::Value as Json;

/// Networks of a few thousand weights.
const TINY: &str = "--batch 4 --cbase 128 --cmax 8 --map-depth 2 --threads 2";

fn command(root: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_domex"));
    command
        .args(line.split_whitespace())
        .current_dir(root)
        .env_remove("DOMEX_MODEL");
    command
}

fn domex(root: &Path, line: &str) -> Output {
    command(root, line).output().expect("the program starts")
}

#[track_caller]
fn ok(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "failed: {stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn json(output: &Output) -> Json {
    serde_json::from_str(&ok(output)).unwrap()
}

/// The run must end with exit code 2 and one line on stderr that holds every text.
#[track_caller]
fn refused(output: &Output, texts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for text in texts {
        assert!(stderr.contains(text), "{text:?} is not in: {stderr}");
    }
    if !stderr.contains("--help") {
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}

/// A folder with a data set of 20 pictures of 16² in `set`.
fn pictures() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    ok(&domex(
        root.path(),
        "data portraits --out set --count 20 --size 16",
    ));
    root
}

/// The bytes of all tensors of the last snapshot.
fn tensors(run: &Path) -> Vec<(String, Vec<u8>)> {
    let file = Container::open(latest(run).unwrap().0).unwrap();
    let tensors = file.tensors().iter();
    tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect()
}

#[test]
fn from_pictures_to_a_model_and_on() {
    let root = pictures();
    let root = root.path();
    let train = |rest: &str| {
        domex(
            root,
            &format!("train --data set {TINY} --tick 0.004 {rest}"),
        )
    };
    let result = json(&train("--out run --kimg 0.012 --json"));
    assert_eq!(
        (&result["step"], &result["images"]),
        (&Json::from(3), &Json::from(12))
    );
    assert!(result["last"]["loss/G"].is_f64() && result["last"]["augment/p"].is_f64());
    for file in [
        "model.safetensors",
        "run.json",
        "events.jsonl",
        "reals.png",
        "fakes_init.png",
        "fakes000000004.png",
        "fakes000000012.png",
        "network-snapshot-000000012.safetensors",
    ] {
        assert!(root.join("run").join(file).is_file(), "{file}");
    }
    ok(&domex(
        root,
        "generate --model run/model.safetensors --seeds 0,1 --out made",
    ));
    assert!(root.join("made/seed0001.png").is_file());
    let info = json(&domex(root, "info --model run/model.safetensors --json"));
    assert_eq!(info["provenance"]["training"]["images"], 12);

    // Gone on with, it has the bits of a run that never stopped.
    let result = json(&domex(
        root,
        "train --resume run --kimg 0.02 --json --quiet --threads 2",
    ));
    assert_eq!(result["step"], 5);
    json(&train("--out whole --kimg 0.02 --json --quiet"));
    assert!(tensors(&root.join("run")) == tensors(&root.join("whole")));

    refused(
        &domex(root, "train --resume run --gamma 3"),
        &["gamma (the run has", "asked for 3"],
    );
    refused(
        &domex(root, "train --resume run --seed 5"),
        &["seed (the run has 0, asked for 5"],
    );
    refused(
        &domex(root, "train --resume run/model.safetensors"),
        &["run/model.safetensors", "--model"],
    );
    refused(
        &domex(root, "train --resume nowhere"),
        &["nowhere", "no snapshot"],
    );
    refused(
        &train("--out run --kimg 0.012"),
        &["--resume run", "--force"],
    );

    // Another training begins with these weights; a forced one leaves nothing of the run before it.
    let line = "--model run/model.safetensors --freezed 2 --kimg 0.004 --batch 4 --force --out run2 --json";
    let result = json(&domex(root, &format!("train --data set {line}")));
    assert_eq!(result["step"], 1);
    std::fs::write(root.join("run2/fakes000999.png"), "old").unwrap();
    std::fs::write(root.join("run2/mine.txt"), "mine").unwrap();
    json(&domex(root, &format!("train --data set {line}")));
    assert!(!root.join("run2/fakes000999.png").exists() && root.join("run2/mine.txt").exists());
    // Least of all does it remove what it is to begin with.
    let own = "--model run/model.safetensors --out run --force";
    for dry in ["", "-n"] {
        let output = domex(root, &format!("train --data set {own} {dry}"));
        refused(
            &output,
            &["run/model.safetensors", "--force", "another folder"],
        );
    }
    assert!(root.join("run/model.safetensors").is_file() && latest(&root.join("run")).is_ok());
    refused(
        &domex(root, &format!("train --data portraits --size 32 {line}")),
        &["size of the model's pictures is 16, expected 32"],
    );
}

#[test]
fn a_dry_run_checks_and_writes_nothing() {
    let root = pictures();
    let root = root.path();
    let result = json(&domex(
        root,
        "train --data set --out run --mirror=1 --dry-run --json",
    ));
    assert_eq!(result["settings"]["data"]["pictures"], 40);
    assert_eq!(result["settings"]["cfg"], "auto");
    let text = ok(&domex(
        root,
        "train --data portraits --size 32 --out run -n",
    ));
    assert!(
        text.contains("portraits of the domain photo") && text.contains("2000 kimg"),
        "{text}"
    );
    assert!(!root.join("run").exists());
    refused(
        &domex(root, "train --data set --out run -n --lr=-1"),
        &["learning rate"],
    );
    refused(
        &domex(root, "train --data set --out run -n --size 32"),
        &["--size", "portraits"],
    );
    refused(&domex(root, "train --data set"), &["--out"]);
}

#[test]
fn bad_pictures_are_named_or_left_out() {
    let root = pictures();
    let root = root.path();
    std::fs::write(root.join("set/bad.png"), "no picture").unwrap();
    refused(
        &domex(root, "train --data set --out run"),
        &["1 of 21 pictures", "bad.png", "--skip-bad"],
    );
    assert!(!root.join("run").exists());
    let result = json(&domex(
        root,
        "train --data set --out run --skip-bad --json -n --quiet",
    ));
    assert_eq!(result["settings"]["data"]["pictures"], 20);
    assert_eq!(result["left_out"].as_array().unwrap().len(), 1);
    std::fs::create_dir(root.join("empty")).unwrap();
    refused(
        &domex(root, "train --data empty --out run"),
        &["empty", "no picture"],
    );
    refused(&domex(root, "train --data nowhere --out run"), &["nowhere"]);
}

#[test]
fn losses_that_are_not_finite_end_the_run() {
    let root = pictures();
    let line = format!("train --data set --out run {TINY} --lr 1e35 --quiet --aug noaug");
    refused(
        &domex(root.path(), &line),
        &["20 steps in a row", "not finite"],
    );
}

#[test]
fn a_training_begins_with_the_random_model_by_its_name() {
    let root = pictures();
    let root = root.path();
    let side = json(&domex(root, "info --model tiny-random --json"))["generator"]["synthesis"]
        ["img_resolution"]
        .clone();
    let line =
        format!("train --data portraits --size {side} --model tiny-random --out run -n --json");
    let result = json(&domex(root, &line));
    assert_eq!(result["settings"]["model"], "tiny-random");
}

#[cfg(unix)]
#[test]
fn a_signal_saves_the_run() {
    let root = pictures();
    let root = root.path();
    let line = format!("train --data set --out run {TINY} --tick 0.004 --log-format json");
    let mut child = command(root, &line)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let events = root.join("run/events.jsonl");
    process::wait_until(&mut child, "tick", || {
        std::fs::metadata(&events).is_ok_and(|file| file.len() > 0)
    });
    process::signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{stderr}");
    let line: Json = serde_json::from_str(stderr.lines().next().unwrap()).unwrap();
    assert!(line["loss/G"].is_f64() && line["images_per_second"].is_f64());
    assert!(latest(&root.join("run")).is_ok() && root.join("run/model.safetensors").is_file());
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_a_long_step_at_once() {
    let root = pictures();
    let root = root.path();
    // A step of a minute or so.
    let line = "train --data portraits --size 64 --cfg portraits --batch 2048 --micro-batch 8 --out run --threads 1";
    let mut child = process::start(command(root, line));
    let first = root.join("run/fakes_init.png");
    process::wait_until(&mut child, "first grid", || first.is_file());
    process::signal(&child, "INT");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "the step is cut short");
    let begin = std::time::Instant::now();
    process::signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    assert!(latest(&root.join("run")).is_err(), "no time for a snapshot");
}

/// Files of at most half a megabyte or so, as on a disk with little room; the signal that comes with it is ignored, so
/// that writing fails with an error.
#[cfg(unix)]
fn with_little_room(root: &Path, line: &str) -> Output {
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_domex")]);
    shell.args(line.split_whitespace()).current_dir(root);
    shell.output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_said_and_costs_no_more_than_the_step() {
    let root = pictures();
    let root = root.path();
    let line = format!("train --data set --out run {TINY} --tick 0.004 --snap 1 --kimg 0.008");
    ok(&domex(root, &line));
    let (last, _) = latest(&root.join("run")).unwrap();
    let on = "train --resume run --kimg 0.016 --threads 2 --quiet";
    refused(
        &with_little_room(root, on),
        &[
            "could not be written",
            "step-000000002",
            "last good snapshot",
        ],
    );
    assert_eq!(latest(&root.join("run")).unwrap().0, last);
    ok(&domex(root, on));
    let whole = line
        .replace("--out run", "--out whole")
        .replace("0.008", "0.016");
    ok(&domex(root, &whole));
    assert!(tensors(&root.join("run")) == tensors(&root.join("whole")));
}
