//! Residual and attention blocks, each with its gradients. The config has one entry for each block.

use candle_core::Tensor;
use domex_diffusion::{AttentionBlock, Conditions, HeadOrder, ResBlock, ResBlockConfig, Resample};
use serde::Deserialize;
use serde_json::Value;

use super::Live;
use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

#[derive(Deserialize)]
struct Res {
    channels: usize,
    emb_channels: usize,
    out_channels: Option<usize>,
    use_condition: bool,
    up: bool,
    down: bool,
    two_cond: bool,
    cond_emb_channels: Option<usize>,
}

#[derive(Deserialize)]
struct Attention {
    channels: usize,
    num_heads: usize,
    #[serde(default)]
    use_new_attention_order: bool,
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let entries = case.config.as_object().into_iter().flatten();
    for (name, entry) in entries {
        if case.get(&format!("in.{name}.x")).is_some() {
            block(case, name, entry, &mut computed)?;
        }
    }
    Ok(computed)
}

fn block(case: &Case, name: &str, entry: &Value, computed: &mut Computed) -> Result<()> {
    let live = Live::new(case, &format!("{name}."))?;
    // The operands that the block has, as variables.
    let mut operands = Vec::new();
    for operand in ["x", "lateral", "emb", "cond"] {
        if let Some(tensor) = case.get(&format!("in.{name}.{operand}")) {
            operands.push((operand, var(tensor)?));
        }
    }
    let operand = |name: &str| {
        let found = operands.iter().find(|(operand, _)| *operand == name);
        found.map(|(_, var)| var.as_tensor())
    };
    let x = match (operand("x"), operand("lateral")) {
        (Some(x), Some(lateral)) => Tensor::cat(&[x, lateral], 1)?,
        (Some(x), None) => x.clone(),
        (None, _) => return Err(case.malformed(format!("no `in.{name}.x`"))),
    };
    let fits = |e: serde_json::Error| case.malformed(format!("config `{name}` does not fit: {e}"));
    let h = if entry.get("emb_channels").is_some() {
        let block = res(&live, &Res::deserialize(entry).map_err(fits)?)?;
        let conditions = operand("emb").map(|emb| Conditions::new(emb, operand("cond")));
        block.forward(&x, conditions.transpose()?.as_ref())?
    } else {
        let a = Attention::deserialize(entry).map_err(fits)?;
        let order = if a.use_new_attention_order {
            HeadOrder::KindsFirst
        } else {
            HeadOrder::HeadsFirst
        };
        AttentionBlock::new(&live.builder, a.channels, a.num_heads, order)?.forward(&x)?
    };
    let grads = dot(&h, case.input(&format!("{name}.R"))?)?.backward()?;
    for (operand, var) in &operands {
        computed.grad(format_args!("{name}.{operand}"), &grads, var)?;
    }
    live.answer(case, &format!("{name}."), &grads, computed)?;
    computed.out(format_args!("{name}.h"), h);
    Ok(())
}

fn res(live: &Live, r: &Res) -> Result<ResBlock> {
    let two = r.use_condition && r.two_cond;
    let cfg = ResBlockConfig {
        channels: r.channels,
        out_channels: r.out_channels.unwrap_or(r.channels),
        time_channels: r.use_condition.then_some(r.emb_channels),
        cond_channels: two.then(|| r.cond_emb_channels.unwrap_or(r.emb_channels)),
        resample: match (r.up, r.down) {
            (true, _) => Resample::Up,
            (_, true) => Resample::Down,
            _ => Resample::Keep,
        },
    };
    Ok(ResBlock::new(&live.builder, &cfg)?)
}
