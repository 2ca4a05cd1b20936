//! A picture to noise and back, by fewer and fewer steps: `cargo run -p domex-diffusion --example ddim`.

use candle_core::{Device, Tensor};
use domex_diffusion::{Betas, Clip, Diffusion, Error, Spacing};

fn main() -> Result<(), Error> {
    let values = (0..3 * 64).map(|i| (f64::from(i) * 0.37).sin() * 0.5);
    let picture = Tensor::from_iter(values, &Device::Cpu)?.reshape((1, 3, 8, 8))?;
    let trained = Diffusion::new(&Betas::Linear, 1000)?;
    for steps in [10, 50, 250] {
        let diffusion = trained.spaced(steps, Spacing::Ddim)?;
        // The best denoiser of a world whose pixels are normal with deviation 0.5; a network stands here otherwise.
        let denoise = |x: &Tensor, t: &[f64]| -> Result<Tensor, Error> {
            let kept = trained.schedule().alphas_cumprod[t[0] as usize];
            let (signal, noise) = (0.25 * kept, 1.0 - kept);
            Ok((x * (noise.sqrt() / (signal + noise)))?)
        };
        let noise = diffusion.ddim_reverse(&picture, Clip::None, denoise, |_| {})?;
        let again = diffusion.ddim_sample(&noise, Clip::None, denoise, |_| {})?;
        let error = (again - &picture)?.abs()?.max_all()?.to_scalar::<f64>()?;
        println!("{steps:>4} steps there and back: largest error {error:.5}");
    }
    Ok(())
}
