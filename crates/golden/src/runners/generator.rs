//! A whole generator: mapping, truncation, synthesis, per-block activations, and gradients.

use domex_ops::autograd::watch;
use domex_stylegan2::{
    Noise, Truncation,
    mapping::{broadcast, truncate},
};

use super::network;
use crate::{
    Case, Result,
    computed::{Computed, dot},
};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let mut trainable = network::generator(case)?;
    let generator = &trainable.network;
    let rows = generator.config().num_ws();

    let w = generator
        .mapping()
        .forward(Some(case.input("z")?), network::label(case))?;
    // The latents are in the middle of the graph: their gradient is asked for on the way.
    let (ws, ws_grad) = watch(&broadcast(&w, rows)?)?;
    let blocks = generator.synthesis().forward_blocks(&ws, Noise::Const)?;
    for block in &blocks {
        let at = block.resolution;
        computed.out(format_args!("b{at}.x"), block.x.clone());
        if let Some(img) = &block.img {
            computed.out(format_args!("b{at}.img"), img.clone());
        }
    }
    if let Some(img) = blocks.last().and_then(|block| block.img.clone()) {
        if let Some(r) = case.get("in.R") {
            let grads = dot(&img, r)?.backward()?;
            trainable.answer(case, &grads, &mut computed)?;
            if let Some(grad) = ws_grad.take() {
                computed.grad_tensor("ws", grad);
            }
        }
        computed.out("img_const", img);
    }
    computed.out("img_none", generator.synthesis().forward(&ws, Noise::None)?);

    if let Some(psi) = case.number("/truncation_psi") {
        let mean = generator.mean_w()?;
        let cut = Truncation {
            psi,
            cutoff: case.count("/truncation_cutoff"),
        };
        computed.out("ws_psi_cutoff", truncate(&ws, &mean, cut)?);
        let ws_psi = truncate(&ws, &mean, Truncation::psi(psi))?;
        computed.out(
            "img_psi_const",
            generator.synthesis().forward(&ws_psi, Noise::Const)?,
        );
        computed.out("ws_psi", ws_psi);
    }
    computed.out("ws", ws);
    if case.wants("w_avg_after_train_forward") {
        let moved = trainable.network.mapping_mut().track(&w)?;
        computed.out("w_avg_after_train_forward", moved);
    }
    Ok(computed)
}
