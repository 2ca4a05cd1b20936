//! Which directions a generator leaves unused, and a domain on one of them: `cargo run -p domex-latent --example dormant`.

use candle_core::{DType, Device};
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::sample::draw_latents;
use domex_latent::subspace::Layout;
use domex_latent::{Generator, PixelRms, probe, toy};
use domex_random::Streams;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A generator that reacts strongly to five of its eight directions.
    let generator = toy::Toy::new(
        [2.0, 1.5, 1.0, 0.8, 0.5, 0.01, 0.003, 0.001],
        [0.1; toy::DIM],
    )?;
    let basis = Basis::of(&generator, &BasisKind::DomainExpansion)?;
    println!("singular values {:.3?}", basis.values().unwrap_or_default());

    // The same by trial: how far pictures move with a step along each direction.
    let mut stream = Streams::new(0).stream("probe");
    let config = probe::ProbeConfig::default();
    let report = probe::probe(
        &generator,
        &basis,
        &PixelRms,
        &config,
        &mut stream,
        &mut |_| {},
    )?;
    for direction in &report.directions {
        println!(
            "direction {}: pixels move by {:.5}",
            direction.index, direction.pixel
        );
    }

    // A new domain takes the most dormant one; latents are projected on the others, and moved along it.
    let mut layout = Layout::new(basis.count());
    layout.add("sketch", serde_json::Value::Null, None, 20.0)?;
    let spaces = layout.subspaces(&basis, &Device::Cpu, DType::F64)?;
    let base = spaces.project(
        &draw_latents(&generator, 1, &mut stream)?,
        Some(&generator.mean()?),
    )?;
    let sketch = spaces.compose(&base, &layout.strengths(&[("sketch", 1.0)])?)?;
    println!("a latent of the domain {:.2?}", sketch.to_vec2::<f64>()?[0]);
    Ok(())
}
