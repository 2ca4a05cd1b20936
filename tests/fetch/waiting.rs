//! Two processes that want the same file.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use super::{World, noise};

#[test]
fn what_another_process_is_fetching_is_waited_for() {
    let mut w = World::new();
    let bytes = noise(64_000, 7);
    w.server.put("a.bin", &bytes);
    w.url("a", "/files/a.bin", "");
    let part = w.cached("a", "a.bin.part");
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    let other = fs::File::create(&part).unwrap();
    other.lock().unwrap();
    let mut waiting = w.command(&["a"]).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(waiting.stderr.take().unwrap());
    let said = stderr.lines().map(Result::unwrap);
    let said = said
        .into_iter()
        .find(|line| line.contains("another process"));
    assert!(said.is_some());
    assert!(w.server.take_seen().is_empty());
    // It is done.
    fs::write(&part, &bytes).unwrap();
    fs::rename(&part, w.cached("a", "a.bin")).unwrap();
    drop(other);
    assert!(waiting.wait().unwrap().success());
    assert!(w.server.take_seen().is_empty());
    assert!(!part.exists());
}
