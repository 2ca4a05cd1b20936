//! Where results go, and what is printed.

use std::io::Read as _;
use std::process::Stdio;

use domex_test_support::program::{World, ok};

/// Nothing is shipped: where no file is named, `--random` makes pictures.
fn world() -> World {
    World::empty(env!("CARGO_BIN_EXE_domex"))
}

#[test]
fn without_a_folder_a_second_run_gets_one_of_its_own() {
    let world = world();
    world.ok("generate --random --seeds 1");
    world.ok("generate --random --seeds 2");
    assert!(world.has("out/seed0001.png") && world.has("out-2/seed0002.png"));
}

#[test]
fn a_refused_command_leaves_no_folder() {
    let world = world();
    world.refused("generate --random --class 3 --out a/b", &["no classes"]);
    assert!(!world.has("a"));
    world.refused("generate --random --class 3 --out a/b.png", &["no classes"]);
    world.refused("export --model none.pkl --out a/b.onnx", &["none.pkl"]);
    world.refused(
        "traverse --random --dim 99999 --out a/b.gif",
        &["99999", "domain"],
    );
    world.refused(
        "domains remove elf --model none.pkl --out a/b.safetensors",
        &["none.pkl"],
    );
    world.ok("data portraits --count 1 --size 8 --out set");
    world.refused(
        "data portraits --count 1 --size 8 --out set --preview a/b.png",
        &["set", "--force"],
    );
    assert!(!world.has("a"));
}

#[test]
fn results_go_into_no_folder_below_a_file() {
    let world = world();
    world.write("file", "x");
    world.refused("generate --seeds 0 --out file/out", &["file"]);
}

#[test]
fn a_data_set_is_refused_its_place_before_its_pictures_are_looked_at() {
    let world = world();
    std::fs::create_dir(world.path("photos")).unwrap();
    world.write("photos/bad.png", "no picture");
    world.write("set.zip", "taken");
    world.refused("data prepare photos --out set.zip", &["set.zip", "--force"]);
    let line = "data prepare photos --size 16 --out new.zip";
    world.refused(line, &["bad.png", "give pictures that can be read"]);
}

#[test]
fn results_are_not_overwritten_without_force() {
    let world = world();
    world.ok("generate --random --seeds 0 --out out");
    world.refused("generate --random --seeds 0 --out out", &["--force"]);
}

#[test]
fn a_shipped_models_name_is_not_taken_for_a_folder_of_results() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    world.ok("generate --seeds 0 --no-grid --out portraits");
    world.ok("info --model portraits");
    world.ok("generate --seeds 0 --no-grid --out results");
    world.refused("info --model results", &["results: is a folder"]);
}

#[test]
fn a_preview_is_not_written_over_its_set_and_domains_are_drawn_once() {
    let world = world();
    let line = "data portraits --count 2 --size 8 --out";
    world.refused(
        &format!("{line} set.zip --preview ./set.zip"),
        &["--preview ./set.zip"],
    );
    world.refused(&format!("{line} set --preview set"), &["--preview set"]);
    world.refused(
        &format!("{line} set --domains photo,sketch,photo"),
        &["photo is there twice"],
    );
    assert!(!world.has("set") && !world.has("set.zip"));
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf8_are_written_and_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = world();
    let out = world.path("").join(std::ffi::OsStr::from_bytes(b"p\xff"));
    let output = world
        .command("generate --random --seeds 1 --json --out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(ok(&output).contains("seed0001.png"));
    assert!(out.join("seed0001.png").is_file());
}

#[test]
fn the_form_of_log_lines_takes_nothing_from_stdout() {
    let world = world();
    let line = "data portraits --count 2 --out set --dry-run";
    let told = world.ok(line);
    assert!(told.contains("2 pictures"), "{told}");
    assert_eq!(world.ok(&format!("{line} --log-format json")), told);
    assert_eq!(world.ok(&format!("{line} --quiet")), "");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let world = world();
    let mut command = world.command("info --random --tensors");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().unwrap();
    pipe.read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(stderr, "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_is_no_failure() {
    use std::fs::File;
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let world = world();
    let code = |line: &str, stdout: Stdio, stderr: Stdio| {
        let mut command = world.command(line);
        command.stdout(stdout).stderr(stderr);
        command.status().unwrap().code()
    };
    let info = "info --random -v";
    assert_eq!(code(info, Stdio::null(), full()), Some(0));
    let wrong = "info --model no-such-file.pkl";
    assert_eq!(code(wrong, Stdio::null(), full()), Some(2));
    assert_eq!(
        code(info, full(), Stdio::null()),
        Some(1),
        "it had something to say"
    );
}

/// A reader that has left before the first line must not keep the work from being done.
#[cfg(unix)]
#[test]
fn a_closed_stdout_does_not_end_the_work() {
    let world = world();
    let mut child = world
        .command("generate --random --seeds 1-2 --out out")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(world.has("out/seed0002.png"));
}
