//! A part's process as its parent sees it: rows as they come, until it ends or its time is over.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use domex_error::{Context, Result, bail};
use serde_json::Value;

use super::{
    Part,
    part::{Line, Row},
};

/// Runs the process and gives its rows, each to `show` first. A process that fails, or is ended because it takes longer than
/// `limit`, adds a row that is wrong and says what is missing.
pub fn rows(
    command: &mut Command,
    part: Part,
    limit: Duration,
    mut show: impl FnMut(&Row),
) -> Result<Vec<Row>> {
    let until = Instant::now() + limit;
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context(part.name())?;
    let Some(out) = child.stdout.take() else {
        bail!("{}: no stdout", part.name());
    };
    let (send, lines) = channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(std::io::Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let (mut rows, mut count, mut late) = (Vec::new(), None, false);
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            // What libraries print is not ours.
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Line::Count(n)) => count = Some(n),
                Ok(Line::Row(row)) => {
                    show(&row);
                    rows.push(row);
                }
                Err(_) => {}
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                late = true;
                child.kill()?;
                break;
            }
        }
    }
    let status = child.wait()?;
    // It ends with the process's stdout.
    let _ = reader.join();
    let all = count == Some(rows.len());
    if late || !all || !status.success() {
        let why = match late {
            true => format!("its {} s were over", limit.as_secs()),
            false => format!("its process ended with {status}"),
        };
        let of = count.map_or("an unknown number of".to_owned(), |n| n.to_string());
        let row = Row {
            part,
            name: "the whole part".to_owned(),
            ok: false,
            text: format!("cut short after {} of {of} rows: {why}", rows.len()),
            figures: Value::Null,
        };
        show(&row);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(all(test, unix))]
// The helpers of a test are part of it.
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str, limit: Duration) -> Vec<Row> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        rows(&mut command, Part::Times, limit, |_| {}).unwrap()
    }

    fn row(name: &str) -> String {
        let row = Row {
            part: Part::Times,
            name: name.to_owned(),
            ok: true,
            text: "1 ms".to_owned(),
            figures: Value::Null,
        };
        serde_json::to_string(&Line::Row(row)).unwrap()
    }

    #[test]
    fn rows_come_through_and_other_lines_do_not() {
        let script = format!("echo '{{\"count\":1}}'; echo noise; echo '{}'", row("conv"));
        let rows = shell(&script, LONG);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].ok && rows[0].name == "conv");
    }

    #[test]
    fn a_process_that_fails_or_says_too_little_is_wrong() {
        for script in [
            "exit 7".to_owned(),
            "echo '{\"count\":2}'".to_owned(),
            format!("echo '{{\"count\":1}}'; echo '{}'; kill -9 $$", row("conv")),
        ] {
            let rows = shell(&script, LONG);
            let last = rows.last().unwrap();
            assert!(
                !last.ok && last.text.contains("its process ended"),
                "{last:?}"
            );
        }
    }

    #[test]
    fn a_process_that_takes_too_long_is_ended_and_keeps_its_rows() {
        let script = format!(
            "echo '{{\"count\":2}}'; echo '{}'; exec sleep 60",
            row("conv")
        );
        let start = Instant::now();
        let rows = shell(&script, Duration::from_secs(2));
        assert!(start.elapsed() < Duration::from_secs(30));
        assert_eq!(rows.len(), 2);
        assert!(
            rows[1].text.contains("1 of 2 rows: its 2 s were over"),
            "{}",
            rows[1].text
        );
    }
}
