//! One person in every domain of the portrait world, as a picture: `cargo run -p domex-data --example portraits -- [FILE]`.

use domex_data::grid::Grid;
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_random::Streams;

/// The person.
const SEED: u64 = 11;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).map(Into::into);
    let file = file.unwrap_or_else(|| std::env::temp_dir().join("portraits.png"));
    let person = Factors::draw(&mut Streams::new(SEED).stream("person"));
    let drawn: Vec<_> = Domain::ALL
        .iter()
        .map(|&domain| render(&person, domain, SEED, 128))
        .collect();
    let names = Domain::ALL.iter().map(|domain| domain.name());
    picture::write_png(&file, &Grid::new(9).captions(names).draw(&drawn)?)?;
    println!("{}", file.display());
    Ok(())
}
