//! Our side of the rows of a Diffusion Autoencoder at its published widths, on random weights.

use candle_core::{DType, Device, Var};
use domex_diffae::{Autoencoder, Config, Error, UNet, init};
use domex_diffusion::{Clip, Spacing};
use domex_error::{Result, bail};

use super::{
    rows::Pass,
    work::{Run, noise},
};

/// The published networks of pictures of that size, without a latent prior.
pub fn published(size: usize) -> Result<Config> {
    let mut config = match size {
        64 => Config::ffhq64(),
        128 => Config::ffhq128(),
        other => bail!("no published U-Net of {other}²; there are 64 and 128"),
    };
    config.latent = None;
    Ok(config)
}

/// The noise in `n` pictures.
pub fn unet(size: usize, n: usize, pass: Pass, device: &Device) -> Result<Run> {
    let config = published(size)?;
    let tensors = init::nowhere_zero(&config, 1, DType::F32, device)?;
    let (vars, live) = Autoencoder::spec(&config)?.trainable(&tensors)?;
    let weights = match pass {
        Pass::Forward => &tensors,
        _ => &live,
    };
    let network = Autoencoder::from_tensors(weights, &config)?.unet;
    let x = Var::from_tensor(&noise(&[n, 3, size, size], device)?)?;
    let z = noise(&[n, config.unet.cond_channels], device)?;
    let t = vec![500.0; n];
    Ok(Box::new(move || {
        // The variables live as long as what is made of them.
        let _ = &vars;
        match pass {
            Pass::Forward => {
                network.forward(&x.as_detached_tensor(), &t, &z)?;
            }
            _ => {
                network.forward(&x, &t, &z)?.backward()?;
            }
        }
        Ok(())
    }))
}

/// Noise to pictures.
pub fn sampling(n: usize, steps: usize, device: &Device) -> Result<Run> {
    let config = published(64)?;
    let tensors = init::nowhere_zero(&config, 1, DType::F32, device)?;
    let network: UNet = Autoencoder::from_tensors(&tensors, &config)?.unet;
    let process = config.diffusion.pictures()?.spaced(steps, Spacing::Ddim)?;
    let x = noise(&[n, 3, 64, 64], device)?;
    let z = noise(&[n, config.unet.cond_channels], device)?;
    Ok(Box::new(move || {
        let denoise = |x: &_, t: &[f64]| network.forward(x, t, &z);
        process.ddim_sample::<Error>(&x, Clip::Unit, denoise, |_| {})?;
        Ok(())
    }))
}
