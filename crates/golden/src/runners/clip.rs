//! A CLIP network in either published layout: features, embeddings of length 1, logits, and the
//! gradients for the pixels.

use candle_core::DType;
use domex_clip::{Clip, Config, ImageEncoder, layout, load, unit_length};

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let clip = clip(case)?;
    let pixels = var(case.input("pixel_values")?)?;
    let images = clip.image_features(&pixels)?;
    let image_embeds = unit_length(&images)?;
    if let Some(r) = case.get("in.R") {
        let grads = dot(&images, r)?.backward()?;
        computed.grad("pixel_values_from_features", &grads, &pixels)?;
        let grads = dot(&image_embeds, r)?.backward()?;
        computed.grad("pixel_values", &grads, &pixels)?;
    }
    let texts = clip.text_features(case.input("input_ids")?)?;
    let text_embeds = unit_length(&texts)?;
    let logits = clip.logits(&image_embeds, &text_embeds)?;
    computed.out("logits_per_text", logits.t()?);
    computed.out("logits_per_image", logits);
    computed.out("image_features", images);
    computed.out("image_embeds", image_embeds);
    computed.out("text_features", texts);
    computed.out("text_embeds", text_embeds);
    computed.out("logit_scale_exp", clip.logit_scale().reshape(1)?);
    if let ImageEncoder::Vit(vit) = clip.image_encoder() {
        computed.out("vision_last_hidden_state", vit.tokens(&pixels)?);
    }
    Ok(computed)
}

/// The network of `param.`, with the heads that the config states in either program's words.
pub(super) fn clip(case: &Case) -> Result<Clip> {
    let theirs = case.with_prefix("param.");
    let theirs = theirs.map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let ours = layout::to_hugging_face(theirs.collect())?;
    let mut config = Config::deduce(&load::shapes(&ours))?.with_hugging_face(&case.config)?;
    let stated = [
        case.count("/vision_heads"),
        case.count("/transformer_heads"),
    ];
    if let [Some(vision), Some(text)] = stated {
        config = config.with_heads(vision, text)?;
    }
    Ok(Clip::from_tensors(
        ours,
        &config,
        DType::F32,
        case.device(),
    )?)
}
