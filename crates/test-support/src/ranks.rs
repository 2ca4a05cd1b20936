//! The ranks of a run as threads.

use std::net::TcpListener;
use std::thread;

use domex_ranks::{Group, Launch};
use domex_train::Team;

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
