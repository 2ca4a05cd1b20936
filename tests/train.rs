//! `domex train` as its users meet it: from pictures to a model, stopped and resumed, refusals.

use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use domex_test_support::networks;
#[cfg(unix)]
use domex_test_support::process;
use domex_test_support::program::{World, ok, refused};
use domex_train::snapshots::latest;
use serde_json::Value as Json;

/// Networks of a few thousand weights, and a tick each step.
const TINY: &str = "--batch 4 --cbase 128 --cmax 8 --map-depth 2 --threads 2 --tick 0.004";

/// Another training that begins with the weights of `run`.
const FROM_RUN: &str =
    "train --data set --model run/model.safetensors --kimg 0.004 --batch 4 --json";

fn world() -> World {
    let world = World::empty(env!("CARGO_BIN_EXE_domex"));
    pictures(&world);
    world
}

/// A data set of 20 pictures of 16² in `set`.
fn pictures(world: &World) {
    world.ok("data portraits --out set --count 20 --size 16");
}

/// A run of three steps in `run`, which tests only read.
fn trained() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "trained",
        |world| {
            pictures(world);
            let line = format!("train --data set {TINY} --out run --kimg 0.012 --json");
            world.write("run.out", world.ok(&line));
        },
    )
}

#[test]
fn a_run_counts_steps_and_images_and_reports_its_losses() {
    let result = trained().document("run.out");
    assert_eq!(
        (&result["step"], &result["images"]),
        (&3.into(), &12.into())
    );
    assert!(result["last"]["loss/G"].is_f64() && result["last"]["augment/p"].is_f64());
}

#[test]
fn a_run_leaves_models_records_and_pictures() {
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
        assert!(trained().has(&format!("run/{file}")), "{file}");
    }
}

#[test]
fn generate_draws_with_a_trained_model() {
    let world = trained();
    world.ok("generate --model run/model.safetensors --seeds 0,1 --out made");
    assert!(world.has("made/seed0001.png"));
}

#[test]
fn a_trained_model_says_how_it_was_trained() {
    let info = trained().json("info --model run/model.safetensors --json");
    assert_eq!(info["provenance"]["training"]["images"], 12);
}

#[test]
fn a_resumed_run_has_the_bits_of_one_that_never_stopped() {
    let world = trained();
    world.copy("run", "resumed");
    let result = world.json("train --resume resumed --kimg 0.02 --json --quiet --threads 2");
    assert_eq!(result["step"], 5);
    world.ok(&format!(
        "train --data set {TINY} --out whole --kimg 0.02 --quiet"
    ));
    assert!(world.tensors("resumed") == world.tensors("whole"));
}

/// Penalties are computed by a thread of their own, whose kernels are for the pool: of one thread, which waits for it.
#[test]
fn one_thread_has_the_bits_of_two() {
    let world = trained();
    let alone = TINY.replace("--threads 2", "--threads 1");
    world.ok(&format!(
        "train --data set {alone} --out alone --kimg 0.012"
    ));
    assert!(world.tensors("alone") == world.tensors("run"));
}

#[test]
fn a_run_cannot_be_resumed_otherwise_than_it_began() {
    for (flags, texts) in [
        (
            "--resume run --gamma 3",
            &["gamma (the run has", "asked for 3"][..],
        ),
        (
            "--resume run --seed 5",
            &["seed (the run has 0, asked for 5"],
        ),
        (
            "--resume run/model.safetensors",
            &["run/model.safetensors", "--model"],
        ),
        ("--resume nowhere", &["nowhere", "no snapshot", "--model"]),
    ] {
        trained().refused(&format!("train {flags}"), texts);
    }
}

#[test]
fn a_run_that_has_its_length_says_that_nothing_is_left_to_do() {
    let world = trained();
    world.copy("run", "done");
    let output = world.run("train --resume done");
    ok(&output);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("reached already, after 3 steps"), "{told}");
}

#[test]
fn a_new_run_leaves_an_old_one_alone() {
    trained().refused(
        "train --data set --out run --kimg 0.012",
        &["--resume run", "--force"],
    );
}

#[test]
fn a_training_begins_with_the_weights_of_a_model() {
    let world = trained();
    let result = world.json(&format!("{FROM_RUN} --freezed 2 --out second"));
    assert_eq!(result["step"], 1);
}

#[test]
fn a_forced_run_removes_the_files_of_the_run_before_it_and_no_others() {
    let world = trained();
    world.copy("run", "third");
    world.write("third/fakes000999.png", "old");
    world.write("third/mine.txt", "mine");
    world.ok(&format!("{FROM_RUN} --out third --force"));
    assert!(!world.has("third/fakes000999.png"));
    assert!(world.has("third/mine.txt"));
}

#[test]
fn a_forced_run_does_not_remove_the_model_that_it_begins_with() {
    let world = trained();
    for dry in ["", "-n"] {
        world.refused(
            &format!("{FROM_RUN} --out run --force {dry}"),
            &["run/model.safetensors", "--force", "another folder"],
        );
    }
    assert!(world.has("run/model.safetensors") && world.has_snapshot("run"));
}

#[test]
fn pictures_of_another_size_than_the_models_are_refused() {
    trained().refused(
        "train --data portraits --size 32 --model run/model.safetensors --out x",
        &["size of the model's pictures is 16, expected 32"],
    );
}

#[test]
fn a_dry_run_tells_the_settings_and_writes_nothing() {
    let world = world();
    let result = world.json("train --data set --out run --mirror=1 --dry-run --json");
    assert_eq!(result["settings"]["data"]["pictures"], 40);
    assert_eq!(result["settings"]["cfg"], "auto");
    assert!(!world.has("run"));
}

#[test]
fn a_dry_run_prints_the_pictures_and_the_length() {
    let world = World::empty(env!("CARGO_BIN_EXE_domex"));
    let text = world.ok("train --data portraits --size 32 --out run -n");
    for words in ["portraits of the domain photo", "2000 kimg"] {
        assert!(text.contains(words), "{text}");
    }
    for flag in ["--skip-bad", "--background black"] {
        let line = format!("train --data portraits --out run -n {flag}");
        world.refused(
            &line,
            &[flag.split(' ').next().unwrap(), "pictures in files"],
        );
    }
}

#[test]
fn flags_that_do_not_fit_are_refused() {
    let world = world();
    for (flags, texts) in [
        ("--out run -n --lr=-1", &["learning rate"][..]),
        ("--out run -n --size 32", &["--size", "portraits"]),
        ("", &["--out"]),
    ] {
        world.refused(&format!("train --data set {flags}"), texts);
    }
}

#[test]
fn unusable_pictures_are_refused_by_name_or_left_out() {
    let world = world();
    world.write("set/bad.png", "no picture");
    world.refused(
        "train --data set --out run",
        &["1 of 21 pictures", "bad.png", "--skip-bad"],
    );
    assert!(!world.has("run"));
    let result = world.json("train --data set --out run --skip-bad --json -n --quiet");
    assert_eq!(result["settings"]["data"]["pictures"], 20);
    assert_eq!(result["left_out"].as_array().unwrap().len(), 1);
}

#[test]
fn a_data_set_without_pictures_is_refused() {
    let world = World::empty(env!("CARGO_BIN_EXE_domex"));
    std::fs::create_dir(world.path("empty")).unwrap();
    world.refused("train --data empty --out run", &["empty", "no picture"]);
    world.refused("train --data nowhere --out run", &["nowhere"]);
}

#[test]
fn pictures_of_any_kind_become_a_data_set() {
    let world = world();
    for (class, name) in ["cat", "dog"].iter().enumerate() {
        let from = world.path(&format!("set/00000/img{class:08}.png"));
        std::fs::create_dir_all(world.path(&format!("photos/{name}"))).unwrap();
        world.write(
            &format!("photos/{name}/a.png"),
            std::fs::read(from).unwrap(),
        );
    }
    let made = world.json("data prepare photos --out made.zip --size 8 --labels folders --json");
    assert_eq!(made["classes"], serde_json::json!(["cat", "dog"]));
    let result = world.json("train --data made.zip --cond --out run --json -n --quiet");
    let data = &result["settings"]["data"];
    assert_eq!(
        (&data["pictures"], &data["resolution"]),
        (&2.into(), &8.into())
    );
    assert_eq!(data["label_dim"], 2);
    world.ok("data prepare photos --out again.zip --size 8 --labels folders");
    let read = |name: &str| std::fs::read(world.path(name)).unwrap();
    assert!(read("made.zip") == read("again.zip"));
}

#[test]
fn a_data_set_is_not_written_over_the_pictures_that_it_is_made_of() {
    let world = world();
    for folders in [
        "set --out set",
        "set --out set/00000",
        "set/00000 --out set",
    ] {
        let line = format!("data prepare {folders} --force");
        world.refused(&line, &["--out", "give another folder"]);
    }
    let zip = "data prepare set --out set.zip";
    world.ok(zip);
    let before = world.read("set.zip");
    // The old zip is read until the new one is whole.
    world.ok("data prepare set.zip --out set.zip --force");
    assert!(world.read("set.zip") == before);
}

#[test]
fn a_model_without_a_discriminator_gets_a_new_one_and_nothing_of_it_is_frozen() {
    let world = World::empty(env!("CARGO_BIN_EXE_domex"));
    networks::generator(&world.path("alone.safetensors"), 5, false);
    let line = "train --data portraits --size 16 --model alone.safetensors --out run -n";
    let text = world.ok(line);
    assert!(text.contains("no discriminator: a new one"), "{text}");
    world.refused(&format!("{line} --freezed 2"), &["--freezed"]);
}

#[test]
fn losses_that_are_not_finite_end_the_run() {
    let line = format!("train --data set --out run {TINY} --lr 1e35 --quiet --aug noaug");
    world().refused(&line, &["20 steps in a row", "not finite"]);
}

#[cfg(unix)]
#[test]
fn a_signal_saves_the_run() {
    let world = world();
    let mut command = world.command(&format!(
        "train --data set --out run {TINY} --log-format json"
    ));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let events = world.path("run/events.jsonl");
    process::wait_until(&mut child, "tick", || {
        std::fs::metadata(&events).is_ok_and(|file| file.len() > 0)
    });
    process::signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(143), "{stderr}");
    let line: Json = serde_json::from_str(stderr.lines().next().unwrap()).unwrap();
    assert!(line["loss/G"].is_f64() && line["images_per_second"].is_f64());
    assert!(world.has_snapshot("run") && world.has("run/model.safetensors"));
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_a_long_step_at_once() {
    let world = World::empty(env!("CARGO_BIN_EXE_domex"));
    // A step of a minute or so.
    let line = "train --data portraits --size 64 --cfg portraits --batch 2048 --micro-batch 8 --out run --threads 1";
    let mut child = process::start(world.command(line));
    process::wait_until(&mut child, "first grid", || world.has("run/fakes_init.png"));
    process::signal(&child, "INT");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(child.try_wait().unwrap().is_none(), "the step is cut short");
    let begin = std::time::Instant::now();
    process::signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
    assert!(!world.has_snapshot("run"), "no time for a snapshot");
}

/// Files of at most half a megabyte or so, as on a disk with little room; the signal that comes with it is ignored, so
/// that writing fails with an error.
#[cfg(unix)]
fn with_little_room(world: &World, line: &str) -> Output {
    let script = "trap '' XFSZ; ulimit -f 1024; exec \"$0\" \"$@\"";
    let program = world.command(line);
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(program.get_program());
    shell.args(program.get_args()).current_dir(world.path(""));
    shell.output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_full_disk_costs_no_more_than_the_step() {
    let world = world();
    let line = format!("train --data set {TINY} --snap 1 --quiet");
    world.ok(&format!("{line} --out run --kimg 0.008"));
    let last = latest(&world.path("run")).unwrap().0;
    let on = "train --resume run --kimg 0.016 --threads 2 --quiet";
    refused(
        &with_little_room(&world, on),
        &[
            "could not be written",
            "step-000000002",
            "last good snapshot",
        ],
    );
    assert_eq!(latest(&world.path("run")).unwrap().0, last);
    world.ok(on);
    world.ok(&format!("{line} --out whole --kimg 0.016"));
    assert!(world.tensors("run") == world.tensors("whole"));
}
