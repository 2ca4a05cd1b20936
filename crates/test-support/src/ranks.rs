//! The ranks of a run as threads.

use std::net::TcpListener;
use std::thread;

use domex_ranks::{Group, Launch};
use domex_train::{Clock, Job, Losses, State, Team};
use serde_json::Value as Json;

/// What steps came to: checksums of all tensors of a snapshot, its document, and what the last step told.
pub type Stepped = (Vec<(String, u32)>, Json, Losses);

/// Does so many steps.
pub fn stepped(mut job: impl Job, steps: u64) -> Stepped {
    let mut losses = Losses::default();
    for step in 0..steps {
        let clock = Clock {
            step,
            images: step * job.batch() as u64,
            ..Clock::default()
        };
        losses = job.step(&clock).unwrap();
        assert!(losses.not_finite.is_empty(), "{losses:?}");
    }
    let mut state = State::new();
    job.save(&mut state).unwrap();
    let sums = state.checksums();
    let sums = sums.map(|(name, sum)| (name.to_owned(), sum)).collect();
    (sums, state.document().clone().into(), losses)
}

/// What each of so many ranks makes of its team, in their order.
pub fn together<T: Send>(size: usize, work: impl Fn(Team) -> T + Sync) -> Vec<T> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let rank = |rank| {
        let launch = Launch {
            rank,
            port,
            ..Launch::local(size)
        };
        work(Team::of(Group::join(&launch, "").unwrap()))
    };
    thread::scope(|scope| {
        let rank = &rank;
        let ranks: Vec<_> = (0..size).map(|r| scope.spawn(move || rank(r))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}
