//! Path length regularisation: penalty, and its gradient, which is of second order.

use domex_gan::penalty::path_length_penalty;
use domex_stylegan2::Noise;

use super::network;
use crate::{
    Case, Result,
    computed::{Computed, var},
};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let trainable = network::generator(case)?;
    let setting = |name: &str| {
        case.number(&format!("/{name}"))
            .ok_or_else(|| case.malformed(format!("config has no number `{name}`")))
    };
    let ws = var(case.input("ws")?)?;
    let synthesis = trainable.network.synthesis();
    let path = path_length_penalty(
        &ws,
        |ws| synthesis.forward(ws, Noise::Const),
        case.input("pl_noise")?,
        case.input("pl_mean")?,
        setting("pl_decay")?,
    )?;
    let loss = (path.penalty.mean_all()? * setting("pl_weight")?)?;
    let grads = loss.backward()?;
    trainable.answer(case, &grads, &mut computed)?;
    computed.grad("ws", &grads, &ws)?;
    computed.out("img", path.img);
    computed.out("pl_grads", path.grads);
    computed.out("pl_lengths", path.lengths);
    computed.out("pl_mean_new", path.mean);
    computed.out("pl_penalty", path.penalty);
    computed.out("loss", loss);
    Ok(computed)
}
