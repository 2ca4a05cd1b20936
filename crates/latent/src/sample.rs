//! Drawing latents, and their mean.

use candle_core::{DType, Device, Tensor};
use domex_random::Stream;

use crate::{Error, Generator, Result};

/// Draws `n` latents `[n, D]`: `map(z)` of standard normal noise, with no truncation. A network with
/// classes gets one at random for each latent, all equally likely.
///
/// # Errors
///
/// When `n` is 0 or the network fails.
pub fn draw_latents(generator: &dyn Generator, n: usize, stream: &mut Stream) -> Result<Tensor> {
    if n == 0 {
        return Err(Error::setting("number of latents", n, "at least 1"));
    }
    let mut z = vec![0.0_f32; n * generator.noise_dim()];
    stream.fill_normal(&mut z);
    let z = place(z, n, generator)?;
    let label = draw_labels(generator, None, n, stream)?;
    let w = generator.map(&z, label.as_ref())?;
    if w.dims() != [n, generator.latent_dim()] {
        let expected = format!("[{n}, {}]", generator.latent_dim());
        return Err(Error::shape("latents of the network", expected, w.dims()));
    }
    Ok(w.detach())
}

/// One-hot labels `[n, label_dim]`: all of one class, or each of a class at random, all equally likely. `None` for a network
/// without classes.
///
/// # Errors
///
/// A class that the network does not have.
pub fn draw_labels(
    generator: &dyn Generator,
    class: Option<usize>,
    n: usize,
    stream: &mut Stream,
) -> Result<Option<Tensor>> {
    let classes = generator.label_dim();
    if let Some(class) = class.filter(|&class| class >= classes) {
        let expected = match classes {
            0 => "none: the network has no classes".to_owned(),
            classes => format!("0 to {}", classes - 1),
        };
        return Err(Error::setting("class", class, expected));
    }
    if classes == 0 {
        return Ok(None);
    }
    let mut one_hot = vec![0.0_f32; n * classes];
    for row in one_hot.chunks_exact_mut(classes) {
        let class = match class {
            Some(class) => class,
            None => stream.index(classes)?,
        };
        row[class] = 1.0;
    }
    Ok(Some(place(one_hot, n, generator)?))
}

/// `n` rows of numbers as the network takes them.
fn place(values: Vec<f32>, n: usize, generator: &dyn Generator) -> Result<Tensor> {
    let width = values.len().checked_div(n).unwrap_or(0);
    let tensor = Tensor::from_vec(values, (n, width), &Device::Cpu)?;
    Ok(tensor
        .to_dtype(generator.dtype())?
        .to_device(generator.device())?)
}

/// Mean `[D]` of `samples` latents, `batch` at a time, summed in double precision: for networks whose
/// checkpoint has no mean. The published programs use 4096 to 10000 samples.
///
/// # Errors
///
/// When a number is 0, or as [`draw_latents`].
pub fn estimate_mean(
    generator: &dyn Generator,
    samples: usize,
    batch: usize,
    stream: &mut Stream,
) -> Result<Tensor> {
    if samples == 0 || batch == 0 {
        return Err(Error::setting(
            "samples and batch",
            format!("{samples} and {batch}"),
            "at least 1",
        ));
    }
    let mut sum = Tensor::zeros(generator.latent_dim(), DType::F64, &Device::Cpu)?;
    let mut done = 0;
    while done < samples {
        let n = batch.min(samples - done);
        let w = draw_latents(generator, n, stream)?;
        sum = (sum + w.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.sum(0)?)?;
        done += n;
    }
    let mean = (sum / samples as f64)?;
    Ok(mean
        .to_dtype(generator.dtype())?
        .to_device(generator.device())?)
}

/// Truncation `mean + psi (w − mean)`, for latents `[.., D]` and a mean `[D]`.
///
/// # Errors
///
/// When the shapes do not broadcast.
pub fn truncate(latent: &Tensor, mean: &Tensor, psi: f64) -> Result<Tensor> {
    Ok((latent.broadcast_sub(mean)? * psi)?.broadcast_add(mean)?)
}
