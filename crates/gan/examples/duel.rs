//! A discriminator that learns to tell a generator's pictures from others, with R1: `cargo run -p domex-gan --example duel`.

use candle_core::{DType, Device, Tensor};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use domex_gan::{fake_loss, r1, real_loss};
use domex_latent::Generator as _;
use domex_random::Streams;
use domex_stylegan2::{
    Discriminator, DiscriminatorConfig, GeneratorConfig, Model, config::channels, init,
};

const SIDE: usize = 16;

const BATCH: usize = 8;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = Device::Cpu;
    let config = GeneratorConfig::with_defaults(16, 16, SIDE, 128, 16)?;
    let model = Model::random(&config, 0, &device)?;
    let generator = model.generator();

    let config = DiscriminatorConfig::new(SIDE, 3, channels(SIDE, 128, 16)?);
    let weights = init::discriminator(&config, 1, DType::F32, &device)?;
    let (vars, live) = Discriminator::spec(&config)?.trainable(&weights)?;
    let discriminator = Discriminator::from_tensors(&live, &config)?;
    let params = ParamsAdamW {
        lr: 0.002,
        ..ParamsAdamW::default()
    };
    let mut adam = AdamW::new(vars.into_values().collect(), params)?;

    let streams = Streams::new(2);
    let (mut latents, mut stripes) = (streams.stream("latents"), streams.stream("stripes"));
    for step in 0..=30 {
        let mut z = vec![0f32; BATCH * 16];
        latents.fill_normal(&mut z);
        let w = generator.map(&Tensor::from_vec(z, (BATCH, 16), &device)?, None)?;
        let fakes = generator.synthesize(&w)?;
        let reals = striped(stripes.uniform_f64(), &device)?;
        let fake = fake_loss(&discriminator, &fakes, None, None)?;
        let real = real_loss(&discriminator, &reals, None, None)?;
        let r1 = r1(&discriminator, &reals, None, 1.0, None)?;
        if step % 10 == 0 {
            let mean = |logits: &Tensor| logits.mean_all()?.to_scalar::<f32>();
            println!(
                "after {step:2} steps: {:+.2} of generated pictures, {:+.2} of others, R1 {:.3}",
                mean(&fake.logits)?,
                mean(&real.logits)?,
                r1.loss.to_scalar::<f32>()?
            );
        }
        adam.backward_step(&((fake.loss + real.loss)? + r1.loss)?)?;
    }
    Ok(())
}

/// Pictures of stripes, brighter in one batch than in another.
fn striped(brightness: f64, device: &Device) -> candle_core::Result<Tensor> {
    let columns = Tensor::arange(0f32, SIDE as f32, device)?;
    let stripes = (columns.affine(1.5, 0.0)?.sin()? * brightness)?;
    stripes.broadcast_as((BATCH, 3, SIDE, SIDE))?.contiguous()
}
