//! A discriminator: logits, per-block activations and gradients; or the R1 penalty and its
//! gradient, which is of second order.

use domex_gan::penalty::r1_penalty;

use super::network;
use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    if case.wants("r1_penalty") {
        r1(case)
    } else {
        plain(case)
    }
}

fn plain(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let trainable = network::discriminator(case)?;
    let img = var(case.input("img")?)?;
    let (logits, blocks) = trainable
        .network
        .forward_blocks(&img, network::label(case))?;
    for (at, x) in blocks {
        computed.out(format_args!("b{at}.x"), x);
    }
    if let Some(r) = case.get("in.R") {
        let grads = dot(&logits, r)?.backward()?;
        computed.grad("img", &grads, &img)?;
        trainable.answer(case, &grads, &mut computed)?;
    }
    computed.out("logits", logits);
    Ok(computed)
}

fn r1(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let trainable = network::discriminator(case)?;
    let gamma = case
        .number("/r1_gamma")
        .ok_or_else(|| case.malformed("config has no number `r1_gamma`"))?;
    let img = var(case.input("img")?)?;
    let label = network::label(case);
    let r1 = r1_penalty(&img, |img| trainable.network.forward(img, label))?;
    let loss = (r1.penalty.mean_all()? * (gamma / 2.0))?;
    let grads = loss.backward()?;
    trainable.answer(case, &grads, &mut computed)?;
    computed.grad("img", &grads, &img)?;
    computed.out("logits", r1.logits);
    computed.out("r1_grads", r1.grads);
    computed.out("r1_penalty", r1.penalty);
    computed.out("loss", loss);
    Ok(computed)
}
