//! The shipped networks do what their card says, on renderings that no training saw.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_clip::Bundle;
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_encoder::Encoder;
use domex_judge::Judge;
use domex_latent::PixelRms;
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::probe::{ProbeConfig, probe};
use domex_lpips::Lpips;
use domex_pretrain::clip::Steer;
use domex_pretrain::portraits::{World, retrieval, steering};
use domex_random::Streams;
use domex_stylegan2::mapping::broadcast;
use domex_stylegan2::{Model, Noise, Truncation};

fn assets() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("assets/portraits").canonicalize().unwrap()
}

fn judge() -> Judge {
    Judge::load(assets().join("judge.safetensors"), &Device::Cpu).unwrap()
}

/// The share of pictures that the judge puts into their domain.
fn accuracy(judge: &Judge, pictures: &Tensor, domains: &[Domain]) -> f64 {
    let logits = judge.forward(pictures).unwrap().swap_remove(0);
    let seen = logits.argmax(1).unwrap().to_vec1::<u32>().unwrap();
    let pairs = seen.iter().zip(domains);
    let right = pairs.filter(|(seen, domain)| **seen as usize == domain.index());
    right.count() as f64 / domains.len() as f64
}

#[test]
fn the_card_has_the_hash_of_every_file_and_they_are_small() {
    let card = std::fs::read_to_string(assets().join("README.md")).unwrap();
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(assets()).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "safetensors")
        {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let hash = domex_checkpoint::sha256_file(&path).unwrap();
        let line = card
            .lines()
            .find(|line| line.contains(&format!("`{name}`")));
        assert!(
            line.is_some_and(|line| line.contains(&hash)),
            "{name}: {hash}"
        );
        files += 1;
        bytes += path.metadata().unwrap().len();
    }
    assert_eq!(files, 11);
    assert!(bytes < 75_000_000, "{bytes}");
}

#[test]
fn the_judge_recognises_the_domain_of_fresh_renderings() {
    let mut stream = Streams::new(91).stream("people");
    let domains: Vec<Domain> = Domain::ALL.iter().copied().cycle().take(108).collect();
    let draw =
        |domain: &Domain| render(&Factors::draw(&mut stream), *domain, stream.next_u64(), 64);
    let pictures: Vec<_> = domains.iter().map(draw).collect();
    let pictures = picture::from_rgb(&pictures, DType::F32, &Device::Cpu).unwrap();
    let share = accuracy(&judge(), &pictures, &domains);
    assert!(share >= 0.97, "{share}");
}

#[test]
fn the_generator_draws_photographs_of_different_people() {
    let model = Model::load(assets().join("generator.safetensors"), &Device::Cpu).unwrap();
    assert!(model.discriminator.is_some());
    let mut z = vec![0f32; 64 * 512];
    Streams::new(92).stream("latents").fill_normal(&mut z);
    let z = Tensor::from_vec(z, (64, 512), &Device::Cpu).unwrap();
    let pictures = model
        .generator()
        .forward(&z, None, Truncation::NONE, Noise::Const)
        .unwrap();
    let share = accuracy(&judge(), &pictures, &[Domain::Photo; 64]);
    assert!(share >= 0.98, "{share}");
    let spread = pictures.var(0).unwrap().mean_all().unwrap();
    let spread = spread.to_scalar::<f32>().unwrap();
    assert!(spread > 0.05, "variance of a pixel: {spread}");
}

/// Standard normal numbers.
fn normal(stream: &str, dims: &[usize]) -> Tensor {
    let mut values = vec![0f32; dims.iter().product()];
    Streams::new(96).stream(stream).fill_normal(&mut values);
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

#[test]
fn the_diffusion_autoencoder_brings_people_back_and_makes_new_ones() {
    const STEPS: usize = 10;
    let model = assets().join("diffae.safetensors");
    let model = domex_diffae::Model::load(model, &Device::Cpu).unwrap();
    let mut stream = Streams::new(95).stream("people");
    let mut draw = |_| {
        render(
            &Factors::draw(&mut stream),
            Domain::Photo,
            stream.next_u64(),
            64,
        )
    };
    let pictures: Vec<_> = (0..16).map(&mut draw).collect();
    let pictures = picture::from_rgb(&pictures, DType::F32, &Device::Cpu).unwrap();
    let noise = normal("noise", pictures.dims());
    let codes = model.encode(&pictures).unwrap();
    let back = model.decode(&codes, &noise, STEPS).unwrap();
    let error = (back - &pictures).unwrap().sqr().unwrap().mean_all();
    let error = f64::from(error.unwrap().to_scalar::<f32>().unwrap());
    // Colours go from -1 to 1.
    let psnr = 10.0 * (4.0 / error).log10();
    assert!(psnr > 21.0, "{psnr} dB");

    let new = normal("codes", codes.dims());
    let new = model.sample_codes(&new, model.latent_steps).unwrap();
    let new = model.decode(&new, &noise, STEPS).unwrap();
    let share = accuracy(&judge(), &new, &[Domain::Photo; 16]);
    assert!(share >= 0.8, "{share}");
}

#[test]
fn most_directions_of_the_generator_are_dormant() {
    let model = Model::load(assets().join("generator.safetensors"), &Device::Cpu).unwrap();
    let basis = Basis::of(model.generator(), &BasisKind::DomainExpansion).unwrap();
    let config = ProbeConfig {
        samples: 2,
        batch: 2,
        step: 20.0,
        directions: Some((0..512).step_by(8).collect()),
        ..ProbeConfig::default()
    };
    let mut stream = Streams::new(94).stream("probe");
    let report = probe(
        model.generator(),
        &basis,
        &PixelRms,
        &config,
        &mut stream,
        &mut |_| (),
    );
    let dormant = report.unwrap().dormant().len();
    assert!((32..64).contains(&dormant), "{dormant} of 64");
}

fn clip_model(name: &str) -> Bundle {
    let file = assets().join(format!("clip-{name}.safetensors"));
    Bundle::load(file, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn pixels_optimised_for_a_text_show_its_domain() {
    let models = vec![clip_model("robust"), clip_model("fine")];
    let how = Steer {
        steps: 30,
        ..Steer::default()
    };
    let targets = [Domain::Zombie, Domain::Robot].map(Domain::index);
    let (found, _) = steering(&World::new(), models, &judge(), 2, &how, &targets, 95).unwrap();
    assert!(found.mean >= 0.5, "{found:?}");
}

#[test]
fn the_plain_clip_model_finds_the_right_texts() {
    let right = retrieval(&World::new(), &clip_model("plain"), 108, 93).unwrap();
    // 2000 pictures for each: 0.985, 1.000, 0.997 and 0.912.
    for (question, least) in [
        ("domain", 0.93),
        ("hair colour", 0.95),
        ("glasses", 0.95),
        ("beard", 0.8),
    ] {
        assert!(right[question] >= least, "{question}: {right:?}");
    }
}

#[test]
fn the_encoder_finds_fresh_renderings_far_nearer_than_the_mean_latent_is() {
    let model =
        Model::load_generator(assets().join("generator.safetensors"), &Device::Cpu).unwrap();
    let encoder = Encoder::load(assets().join("encoder.safetensors"), &Device::Cpu).unwrap();
    encoder.check(model.generator()).unwrap();
    let network = assets().join("perceptual.safetensors");
    let perceptual = Lpips::load(network, DType::F32, &Device::Cpu).unwrap();
    let mut stream = Streams::new(95).stream("people");
    let mut draw = || {
        let factors = Factors::draw(&mut stream);
        render(&factors, Domain::Photo, stream.next_u64(), 64)
    };
    let pictures: Vec<_> = (0..16).map(|_| draw()).collect();
    let pictures = picture::from_rgb(&pictures, DType::F32, &Device::Cpu).unwrap();
    let far = |w: &Tensor| {
        let ws = broadcast(w, model.config().num_ws()).unwrap();
        let made = model
            .generator()
            .synthesis()
            .forward(&ws, Noise::Const)
            .unwrap();
        let far = perceptual
            .distance(&pictures, &made)
            .unwrap()
            .mean_all()
            .unwrap();
        far.to_scalar::<f32>().unwrap()
    };
    let mean = model.generator().mean_w().unwrap();
    let mean = mean
        .broadcast_as((16, mean.dims()[0]))
        .unwrap()
        .contiguous()
        .unwrap();
    let (found, mean) = (far(&encoder.encode(&pictures).unwrap()), far(&mean));
    assert!(found < 0.6 * mean, "{found} of {mean}");
}
