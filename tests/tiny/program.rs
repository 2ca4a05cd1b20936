//! The program on small networks, as its users meet it.

use std::path::Path;
use std::process::{Command, Output};

use domex_checkpoint::container::Container;
use domex_train::snapshots::latest;
use serde_json::Value as Json;

use crate::tiny;

/// The program in this folder, with the small networks for the shipped ones. A word in quotes is one argument.
pub fn command(root: &Path, line: &str) -> Command {
    let args = line
        .split('"')
        .enumerate()
        .flat_map(|(i, part)| match i % 2 {
            1 => vec![part],
            _ => part.split_whitespace().collect(),
        });
    let mut command = Command::new(env!("CARGO_BIN_EXE_domex"));
    command.args(args).current_dir(root);
    command
        .env_remove("DOMEX_MODEL")
        .env("DOMEX_ASSETS", root.join("shipped"))
        .env("DOMEX_CACHE", root.join("cache"));
    command
}

/// Runs it.
pub fn domex(root: &Path, line: &str) -> Output {
    command(root, line).output().expect("the program starts")
}

/// It ended well; what it printed.
#[track_caller]
pub fn ok(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "failed: {stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The same as JSON.
#[track_caller]
pub fn json(output: &Output) -> Json {
    serde_json::from_str(&ok(output)).unwrap()
}

/// The run must end with exit code 2 and one line on stderr that holds every text.
#[track_caller]
pub fn refused(output: &Output, texts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for text in texts {
        assert!(stderr.contains(text), "{text:?} is not in: {stderr}");
    }
    if !stderr.contains("--help") {
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}

/// A folder with small networks in `shipped`.
pub fn world() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    tiny::world(&root.path().join("shipped"));
    root
}

/// The bytes of all tensors of the last snapshot.
pub fn tensors(run: &Path) -> Vec<(String, Vec<u8>)> {
    let file = Container::open(latest(run).unwrap().0).unwrap();
    let tensors = file.tensors().iter();
    tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect()
}
