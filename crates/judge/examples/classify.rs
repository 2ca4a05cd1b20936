//! What the shipped judge sees in renderings of every domain: `cargo run -p domex-judge --example classify`.

use candle_core::{D, DType, Device};
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_judge::Judge;
use domex_random::Streams;

const SHIPPED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../assets/portraits/judge.safetensors"
);

/// Renderings of each domain.
const PICTURES: u64 = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let judge = Judge::load(SHIPPED, &Device::Cpu)?;
    let domains = &judge.config().factors[0].classes;
    for &domain in Domain::ALL {
        let person = |seed| Factors::draw(&mut Streams::new(seed).stream("person"));
        let drawn: Vec<_> = (0..PICTURES)
            .map(|seed| render(&person(seed), domain, seed, 64))
            .collect();
        let logits = judge.forward(&picture::from_rgb(&drawn, DType::F32, &Device::Cpu)?)?;
        let found = logits[0].argmax(D::Minus1)?.to_vec1::<u32>()?;
        let right = found
            .iter()
            .filter(|&&class| domains[class as usize] == domain.name());
        println!(
            "{:<16} {} of {PICTURES} recognised",
            domain.name(),
            right.count()
        );
    }
    Ok(())
}
