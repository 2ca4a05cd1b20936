//! Domains of the shipped generator that nobody named, on a grid: the base, then a row for each.
//!
//!     cargo run --release -p domex-discover --example discover -- grid.png [COUNT] [STEPS]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_data::grid::Grid;
use domex_data::picture;
use domex_discover::{Config, discover};
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::subspace::Layout;
use domex_latent::{Expansion, Generator as _};
use domex_nada::Guide;
use domex_random::Streams;
use domex_stylegan2::{Model, Noise, Truncation};

/// Columns of the grid.
const LATENTS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().unwrap_or_else(|| "grid.png".to_owned());
    let mut number = |otherwise: usize| args.next().map_or(Ok(otherwise), |text| text.parse());
    let (count, steps) = (number(6)?, number(40)?);

    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/portraits");
    let mut model = Model::load_generator(assets.join("generator.safetensors"), &Device::Cpu)?;
    let clip = |name: &str| Guide::load(&assets.join(name), 1.0, &Device::Cpu);
    let guides = [
        clip("clip-plain.safetensors")?,
        clip("clip-robust.safetensors")?,
    ];
    let basis = Basis::of(&model.g_ema, &BasisKind::DomainExpansion)?;
    let layout = Layout::new(basis.count());
    let mut expansion = Expansion::new(layout, basis, model.g_ema.mean()?)?;

    let config = Config {
        steps,
        ..Config::new(count, 20.0, 0)
    };
    let found = discover(&config, &model.g_ema, &expansion, &guides, &mut |_| Ok(()))?;
    for domain in &found.domains {
        let name = &domain.file.domain.name;
        println!(
            "{name}: {:.1} %, cosine {:.2}",
            100.0 * domain.explained,
            domain.reached
        );
        expansion.put_in(&domain.file)?;
    }
    println!(
        "alike by {:.2}, random vectors by {:.2}",
        found.likeness, found.likeness_of_random
    );

    let mean = expansion.mean.clone();
    let spaces = expansion
        .layout
        .subspaces(&expansion.basis, &Device::Cpu, mean.dtype())?;
    if let Some(vectors) = expansion.modulator(
        &model.g_ema.synthesis().modulated_layers(),
        &Device::Cpu,
        mean.dtype(),
    )? {
        model.g_ema.synthesis_mut().add_modulator(Arc::new(vectors));
    }
    let mut z = vec![0f32; LATENTS * model.config().z_dim()];
    Streams::new(5).stream("grid").fill_normal(&mut z);
    let z = Tensor::from_vec(z, (LATENTS, ()), &Device::Cpu)?;
    let base = spaces.project(
        &model.g_ema.latents(&z, None, Truncation::psi(0.7))?,
        Some(&mean),
    )?;
    let mut pictures = picture::to_rgb(&model.g_ema.synthesis().forward(&base, Noise::Const)?)?;
    let mut labels = vec!["base".to_owned()];
    for domain in expansion.layout.domains() {
        let moved = spaces.compose(&base, &expansion.layout.strengths(&[(&domain.name, 1.0)])?)?;
        pictures.extend(picture::to_rgb(
            &model.g_ema.synthesis().forward(&moved, Noise::Const)?,
        )?);
        labels.push(domain.name.clone());
    }
    picture::write_png(
        Path::new(&out),
        &Grid::new(LATENTS).row_labels(labels).draw(&pictures)?,
    )?;
    Ok(())
}
