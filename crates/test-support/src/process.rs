//! A running program: waiting for what it writes, signals, kills.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts it and discards what it prints.
pub fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until something is there, for at most a minute; the program must not end before.
#[track_caller]
pub fn wait_until(child: &mut Child, what: &str, there: impl Fn() -> bool) {
    let begin = Instant::now();
    while !there() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no {what} came");
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() || there(), "no {what}: the program ended");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends it a signal by name, such as `TERM`.
#[track_caller]
pub fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(status.success());
}

/// How a program that was to be killed ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// By the kill, in the middle of its work.
    Killed,
    /// With this exit code, before the kill.
    Exited(i32),
}

/// Kills it without a warning after `wait`, unless it has ended by itself.
pub fn kill_after(mut child: Child, wait: Duration) -> End {
    let begin = Instant::now();
    while begin.elapsed() < wait && child.try_wait().unwrap().is_none() {
        let left = wait.saturating_sub(begin.elapsed());
        std::thread::sleep(left.min(Duration::from_millis(5)));
    }
    // It may have ended just now.
    drop(child.kill());
    let status = child.wait().unwrap();
    match status.signal() {
        Some(9) => End::Killed,
        _ => End::Exited(status.code().unwrap_or(-1)),
    }
}
