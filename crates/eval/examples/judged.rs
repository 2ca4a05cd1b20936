//! What the shipped judge sees in the domains of a model that was expanded from the shipped generator:
//! `cargo run --release -p domex-eval --example judged -- MODEL [PICTURES]`.

use candle_core::{DType, Device};
use domex_eval::{Evaluators, outcomes};
use domex_judge::Judge;
use domex_lpips::Lpips;
use domex_stylegan2::Model;

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = std::env::args().skip(1);
    let file = given.next().ok_or("expected MODEL [PICTURES]")?;
    let pictures = given.next().map_or(Ok(64), |count| count.parse())?;
    let device = Device::Cpu;
    let model = Model::load_generator(file, &device)?;
    let judge = Judge::load(format!("{ASSETS}/judge.safetensors"), &device)?;
    let file = format!("{ASSETS}/perceptual.safetensors");
    let perceptual = Lpips::load(file, DType::F32, &device)?;
    let by = Evaluators {
        judge: &judge,
        perceptual: &perceptual,
    };
    let found = outcomes(&model, None, by, pictures, 0, |_| ())?;
    println!("base: {:.2?}", found.base);
    for domain in &found.domains {
        let kept = domain.kept.values().sum::<f64>() / domain.kept.len().max(1) as f64;
        println!(
            "{}: {:.2?}, factors kept {kept:.2}",
            domain.name, domain.seen
        );
    }
    Ok(())
}
