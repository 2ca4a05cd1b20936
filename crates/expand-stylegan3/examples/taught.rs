//! A small StyleGAN3 that draws what the shipped StyleGAN2 draws of the same w, to try an expansion on where no published weights are at hand:
//! `cargo run --release -p domex-expand-stylegan3 --example taught -- FILE [STEPS]`.
//!
//! The mapping network is that of the StyleGAN2. The synthesis network is trained to make its pictures, by squares and a perceptual distance,
//! and the moving average of its weights is what the file holds. After 300 steps its pictures are blurs of the right colours.

use std::path::Path;

use candle_core::{Device, Tensor};
use domex_data::grid::Grid;
use domex_data::picture::{to_rgb, write_png};
use domex_latent::sample::draw_latents;
use domex_latent::{Generator as _, ImageDistance};
use domex_random::Streams;
use domex_replay::Perceptual;
use domex_stylegan3::{Generator, GeneratorConfig, Model, Overwrite, init};
use domex_train::Parameters;
use domex_train::adam::{Adam, AdamConfig, Step};
use domex_train::ema::{Ema, EmaConfig};
use serde_json::json;

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits");

/// Pictures of a step.
const BATCH: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = std::env::args().skip(1);
    let path = given.next().ok_or("expected FILE [STEPS]")?;
    let steps: u64 = given.next().map_or(Ok(1500), |steps| steps.parse())?;
    let asset = |name: &str| Path::new(ASSETS).join(name);
    let shown =
        domex_stylegan2::Model::load_generator(asset("generator.safetensors"), &Device::Cpu)?;
    let shown = shown.generator();
    let distance = Perceptual::load(&asset("perceptual.safetensors"), &Device::Cpu)?;

    let mut config = GeneratorConfig::from_kwargs(&json!({
        "z_dim": shown.noise_dim(), "w_dim": shown.latent_dim(), "img_resolution": shown.resolution(),
        "num_layers": 6, "channel_base": 1024, "channel_max": 48, "margin_size": 4,
    }))?;
    config.mapping = shown.config().mapping.clone();
    let mut tensors = init::generator(&config, 0, shown.dtype(), &Device::Cpu)?;
    let kept = shown.tensors().into_iter();
    tensors.extend(kept.filter(|(name, _)| name.starts_with("mapping.")));
    let (mut vars, live) = Generator::spec(&config)?.trainable(&tensors)?;
    vars.retain(|name, _| name.starts_with("synthesis."));
    let learner = Generator::from_tensors(&live, &config)?;
    let parameters = Parameters::new(vars);
    let how = AdamConfig {
        lr: 2.5e-3,
        ..AdamConfig::default()
    };
    let mut adam = Adam::new(&parameters, how)?;
    let average = Ema::new(
        &parameters,
        EmaConfig {
            kimg: 2.0,
            ramp_up: Some(0.1),
        },
    )?;

    let mut stream = Streams::new(0).stream("latents");
    for step in 0..steps {
        // Falls to nothing over the last half, so that the average settles.
        let left = 2.0 * (steps - step) as f64 / steps as f64;
        adam.set_lr(how.lr * left.min(1.0));
        let w = draw_latents(shown, BATCH, &mut stream)?.detach();
        let (wanted, made) = (shown.synthesize(&w)?.detach(), learner.synthesize(&w)?);
        let squares = (&made - &wanted)?.sqr()?.mean_all()?;
        let seen = distance.distance(&made, &wanted)?.mean_all()?;
        let gradients = (&squares + &seen)?.backward()?;
        if let Step::Skipped(what) = adam.step(&gradients)? {
            return Err(format!("step {step}: {what} is not finite").into());
        }
        average.update(BATCH, (step + 1) * BATCH as u64)?;
        if step % 100 == 0 {
            let number = |x: &Tensor| x.to_scalar::<f32>();
            println!(
                "{step:>6}  squares {:.4}  perceptual {:.4}",
                number(&squares)?,
                number(&seen)?
            );
        }
    }

    let averages = average.average().iter();
    tensors.extend(averages.map(|(name, var)| (name.to_owned(), var.as_tensor().detach())));
    let model = Model::new(Generator::from_tensors(&tensors, &config)?);
    model.save(&path, Overwrite::Replace)?;
    let w = draw_latents(shown, 8, &mut Streams::new(1).stream("shown"))?;
    let pictures = [shown.synthesize(&w)?, model.g_ema.synthesize(&w)?];
    let pictures = pictures.iter().map(to_rgb).collect::<Result<Vec<_>, _>>()?;
    let grid = Grid::new(8).row_labels(["StyleGAN2", "StyleGAN3"].map(str::to_owned));
    write_png(
        &Path::new(&path).with_extension("png"),
        &grid.draw(&pictures.concat())?,
    )?;
    Ok(())
}
