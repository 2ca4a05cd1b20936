//! How long it takes a few processes on this machine to add up their numbers, and to hear a byte of one another.
//!
//! `cargo run --release -p domex-ranks --example sum -- [RANKS] [NUMBERS]`

use std::process::Command;
use std::time::{Duration, Instant};

use domex_ranks::{Group, Launch, Part, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok());
    let ranks = arguments.next().unwrap_or(2).max(2);
    let numbers = arguments.next().unwrap_or(1_000_000);
    let (mut group, _children) = match Launch::from_env()? {
        Some(launch) => (Group::join(&launch, "")?, None),
        None => {
            let again = || {
                let program = std::env::current_exe().unwrap_or_default();
                let mut command = Command::new(program);
                command.args(std::env::args().skip(1));
                command
            };
            let (group, children) = Group::start(&Launch::local(ranks), "", &again)?;
            (group, Some(children))
        }
    };
    let part = Part {
        values: vec![1.0; numbers],
        has: vec![true],
    };
    let begun = [group.rank() > 0];
    let mut total = 0.0;
    let sum = timed(10, || {
        total = group.sum(&[numbers], &begun, std::slice::from_ref(&part))?[0];
        Ok(())
    })?;
    let byte = timed(1000, || group.gather(&[0]).map(drop))?;
    if group.rank() == 0 {
        println!(
            "{} ranks, {numbers} numbers, each sums to {total}: {:.2} ms; a byte of each: {:.3} ms",
            group.size(),
            1e3 * sum.as_secs_f64(),
            1e3 * byte.as_secs_f64()
        );
    }
    Ok(())
}

/// How long it takes once, after a first time.
fn timed(times: u32, mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    work()?;
    let begin = Instant::now();
    for _ in 0..times {
        work()?;
    }
    Ok(begin.elapsed() / times)
}
