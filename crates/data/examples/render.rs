//! How many portraits a second are drawn: `cargo run --release -p domex-data --example render -- [PICTURES [DOMAIN]]`.

use std::time::Instant;

use domex_data::portraits::{Domain, Factors, render};
use domex_random::Streams;
use rayon::prelude::*;

/// Pixels on a side.
const SIDE: u32 = 64;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let pictures: u64 = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4000);
    let only = arguments.next();
    let factors: Vec<Factors> = (0..pictures)
        .map(|seed| Factors::draw(&mut Streams::new(seed).stream("factors")))
        .collect();
    let asked = |domain: &&Domain| only.as_ref().is_none_or(|name| domain.name() == name);
    for &domain in Domain::ALL.iter().filter(asked) {
        let start = Instant::now();
        let sum: u64 = factors
            .par_iter()
            .enumerate()
            .map(|(seed, factors)| {
                let picture = render(factors, domain, seed as u64, SIDE);
                u64::from(picture.as_raw()[0])
            })
            .sum();
        let speed = pictures as f64 / start.elapsed().as_secs_f64();
        println!("{:16} {speed:6.0} a second  ({sum})", domain.name());
    }
}
