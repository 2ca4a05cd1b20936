//! What a diffusion autoencoder's checkpoint holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use domex_diffae::{Model, Resampling};
use serde_json::json;

use super::{Facts, Networks};

pub(super) fn facts(model: &Model) -> domex_error::Result<Facts> {
    let averaged = if model.averaged { "yes" } else { "no" };
    let mut notes = format!("  averaged       {averaged}\n");
    for limit in model.limits() {
        writeln!(notes, "  note           {limit}")?;
    }
    Ok(Facts {
        networks: networks(model),
        result: json!({
            "kind": domex_diffae::model::KIND,
            "config": model.config(),
            "averaged": model.averaged,
            "limits": model.limits(),
        }),
        head: head(model)?,
        notes,
    })
}

/// The tensors of each network, by their names below it.
fn networks(model: &Model) -> Networks {
    const PARTS: [(&str, &str); 2] = [("encoder", "encoder."), ("latent_net", "latent_net.")];
    let mut networks: Networks = vec![("unet", BTreeMap::new())];
    networks.extend(PARTS.map(|(name, _)| (name, BTreeMap::new())));
    for (name, tensor) in model.tensors() {
        let parts = PARTS.iter().enumerate();
        let mut found =
            parts.filter_map(|(i, (_, prefix))| Some((i + 1, name.strip_prefix(prefix)?)));
        let (index, name) = found.next().unwrap_or((0, name));
        networks[index].1.insert(name.to_owned(), tensor.clone());
    }
    networks.retain(|(_, tensors)| !tensors.is_empty());
    networks
}

fn head(model: &Model) -> domex_error::Result<String> {
    let config = model.config();
    let (unet, side) = (&config.unet, config.unet.image_size);
    let mut out = String::new();
    writeln!(
        out,
        "Diffusion autoencoder, {side}×{side} pixels, {} channels",
        unet.in_channels
    )?;
    writeln!(
        out,
        "  latent         z_sem {}, one row",
        unet.cond_channels
    )?;
    writeln!(
        out,
        "  diffusion      {} steps, {}; codes {}",
        config.diffusion.train_steps, config.diffusion.betas, config.diffusion.latent_betas
    )?;
    let features = |channels: &[usize]| {
        let level = |(i, n): (usize, &usize)| format!("{}²:{n}", side >> i);
        let levels: Vec<String> = channels.iter().enumerate().map(level).collect();
        levels.join(" ")
    };
    writeln!(out, "  features       {}", features(&unet.output_channels))?;
    writeln!(
        out,
        "    of encoder   {}",
        features(&config.encoder.channels)
    )?;
    let attention: Vec<String> = unet
        .attention_resolutions
        .iter()
        .map(|r| format!("{r}²"))
        .collect();
    writeln!(
        out,
        "  attention      {}",
        if attention.is_empty() {
            "in the middle only".to_owned()
        } else {
            attention.join(" ")
        }
    )?;
    let resampling = match unet.resampling {
        Resampling::ResBlock => "residual blocks",
        Resampling::Conv => "convolutions",
        Resampling::Plain => "means and repetition",
    };
    writeln!(out, "  resampling     {resampling}")?;
    Ok(out)
}
