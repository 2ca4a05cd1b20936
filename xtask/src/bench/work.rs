//! Our side of each row: tensors made once, and a closure that does the work once.

use candle_core::{Device, Tensor, Var};
use domex_error::Result;
use domex_ops::{conv_transpose2d, conv2d, matmul};

use super::{
    diffusion, expansion, inversion, networks,
    rows::{Pass, Work},
};

/// Does the work once.
pub type Run = Box<dyn FnMut() -> Result<()>>;

/// Sets a row up on a device.
pub fn prepare(work: &Work, device: &Device) -> Result<Run> {
    match *work {
        Work::Conv { .. } => conv(work, device),
        Work::Matmul {
            batch,
            m,
            n,
            k,
            a_transposed,
            b_transposed,
        } => {
            let operand = |rows, cols, transposed| -> Result<Tensor> {
                if transposed {
                    Ok(noise(&[batch, cols, rows], device)?.transpose(1, 2)?)
                } else {
                    noise(&[batch, rows, cols], device)
                }
            };
            let (a, b) = (operand(m, k, a_transposed)?, operand(k, n, b_transposed)?);
            Ok(Box::new(move || {
                matmul(&a, &b)?;
                Ok(())
            }))
        }
        Work::Attention {
            n,
            tokens,
            heads,
            causal,
            pass,
        } => networks::attention([n, tokens, heads], causal, pass, device),
        Work::StyleGan2 {
            resolution,
            channel_base,
            n,
            ..
        } => networks::stylegan2(resolution, channel_base, n, device),
        Work::Clip { n, pass } => networks::clip(n, pass, device),
        Work::Lpips {
            ref backbone,
            size,
            n,
            pass,
        } => networks::lpips(backbone, size, n, pass, device),
        Work::Inception { size, n } => networks::inception(size, n, device),
        Work::UNet { size, n, pass } => diffusion::unet(size, n, pass, device),
        Work::Sampling { n, steps } => diffusion::sampling(n, steps, device),
        Work::DiffaeExpansion { n } => expansion::of_an_autoencoder(n, device),
        Work::Projector {
            resolution,
            channel_base,
            n,
            steps,
        } => inversion::projector([resolution, channel_base], n, steps, device),
        Work::Tuning {
            resolution,
            channel_base,
            n,
            steps,
        } => inversion::tuning([resolution, channel_base], n, steps, device),
        Work::Encoder { n } => inversion::encoder(n, device),
        Work::Expansion {
            resolution,
            channel_base,
            n,
            teacher,
            phases,
            ..
        } => expansion::step([resolution, channel_base], n, teacher, phases, device),
    }
}

fn conv(work: &Work, device: &Device) -> Result<Run> {
    let Work::Conv {
        n,
        c_in,
        c_out,
        size,
        kernel,
        stride,
        padding,
        transposed,
        pass,
    } = *work
    else {
        domex_error::bail!("{work:?} is no convolution");
    };
    let x = noise(&[n, c_in, size, size], device)?;
    let weight = if transposed {
        noise(&[c_in, c_out, kernel, kernel], device)?
    } else {
        noise(&[c_out, c_in, kernel, kernel], device)?
    };
    let apply = move |x: &Tensor, weight: &Tensor| {
        if transposed {
            conv_transpose2d(x, weight, stride, padding)
        } else {
            conv2d(x, weight, None, stride, padding)
        }
    };
    if pass == Pass::Forward {
        return Ok(Box::new(move || {
            apply(&x, &weight)?;
            Ok(())
        }));
    }
    let (x, weight) = (Var::from_tensor(&x)?, Var::from_tensor(&weight)?);
    Ok(Box::new(move || {
        // A tensor's own backward pass begins with ones, whatever its shape.
        apply(&x, &weight)?.backward()?;
        Ok(())
    }))
}

/// Reproducible numbers in [−1, 1).
pub fn noise(dims: &[usize], device: &Device) -> Result<Tensor> {
    let mut state = 1u32;
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    Ok(Tensor::from_vec(values, dims, device)?)
}
