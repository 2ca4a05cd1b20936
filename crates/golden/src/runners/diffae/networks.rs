//! The U-Net and the encoder with their gradients, and the training loss of both.

use domex_diffae::{Autoencoder, Encoder, UNet};
use domex_diffusion::Spacing;

use super::{Live, answer, config, process, steps, timesteps};
use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

pub(crate) fn unet(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let live = Live::new(case, "")?;
    let unet = UNet::new(&live.builder, &config(case)?.unet)?;
    let (x, cond) = (var(case.input("x")?)?, var(case.input("cond")?)?);
    let pred = unet.forward(&x, &timesteps(case, "t")?, &cond)?;
    let grads = dot(&pred, case.input("R")?)?.backward()?;
    computed.grad("x", &grads, &x)?;
    computed.grad("cond", &grads, &cond)?;
    live.answer(case, "", &grads, &mut computed)?;
    computed.out("pred", pred);
    Ok(computed)
}

pub(crate) fn encoder(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let live = Live::new(case, "")?;
    let encoder = Encoder::new(&live.builder.pp("encoder"), &config(case)?.encoder)?;
    let img = var(case.input("img")?)?;
    let cond = encoder.forward(&img)?;
    let grads = dot(&cond, case.input("R")?)?.backward()?;
    computed.grad("img", &grads, &img)?;
    live.answer(case, "", &grads, &mut computed)?;
    computed.out("cond", cond);
    Ok(computed)
}

pub(crate) fn training_loss(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let config = config(case)?;
    let tensors = crate::runners::network::tensors(case, "");
    let (vars, live) = Autoencoder::spec(&config)?.trainable(&tensors)?;
    let networks = Autoencoder::from_tensors(&live, &config)?;
    let betas = case.setting("/diffusion/beta_schedule");
    let betas = betas.and_then(|name| name.as_str());
    let count = case.count("/diffusion/T");
    let diffusion = process(case, betas, count, None, Spacing::Ddim)?;
    let steps = steps(case, "t")?;
    let (x, noise) = (case.input("x_start")?, case.input("noise")?);
    let loss = networks.training_loss(&diffusion, x, &steps, noise)?;
    let grads = loss.loss.backward()?;
    answer(case, &vars, "", &grads, &mut computed)?;
    let found = diffusion.remove_noise(&loss.x_t, &steps, &loss.prediction)?;
    computed.out("pred_xstart", found);
    computed.out("loss", loss.loss);
    computed.out("per_sample", loss.per_sample);
    computed.out("x_t", loss.x_t);
    Ok(computed)
}
