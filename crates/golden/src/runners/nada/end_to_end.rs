//! The directional loss of pictures, by a whole CLIP network.

use std::sync::Arc;

use candle_core::Tensor;
use domex_clip::{Tokenizer, direction, mean_of_units};
use domex_nada::{Config, Guide, Nada, Prepared};
use domex_random::Streams;
use serde::Deserialize;

use crate::{
    Case, Result,
    computed::{Computed, var},
    runners::clip,
};

#[derive(Deserialize)]
struct Settings {
    pairs: Vec<[String; 2]>,
    antialias: bool,
}

/// One pair of texts for each sample.
pub(in crate::runners) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let settings: Settings = case.config()?;
    let clip = clip::clip(case)?;
    let mean = |class: &str| -> Result<Tensor> {
        let ids = case.input(&format!("tokens_{class}"))?;
        Ok(mean_of_units(&clip.text_features(ids)?)?)
    };
    let directions = settings
        .pairs
        .iter()
        .map(|[source, target]| Ok(direction(&mean(source)?, &mean(target)?)?))
        .collect::<Result<Vec<_>>>()?;
    let directions = Tensor::stack(&directions, 0)?;

    // The case has token ids, so the tokenizer is not asked for any.
    let mut guide = Guide::new("case", clip, Arc::new(Tokenizer::with_merges("")?));
    guide.antialias = settings.antialias;
    let edited = var(case.input("tgt_img")?)?;
    computed.out("tgt_image_features", guide.features(&edited)?);
    let names: Vec<String> = settings
        .pairs
        .iter()
        .map(|[_, target]| target.clone())
        .collect();
    let samples: Vec<usize> = (0..names.len()).collect();
    let prepared = Prepared::from_directions(names, std::slice::from_ref(&directions))?;
    let nada = Nada::new(vec![guide], Config::default())?;
    let mut stream = Streams::new(0).stream("nothing is drawn");
    let loss = nada.loss(
        &prepared,
        case.input("src_img")?,
        &edited,
        &samples,
        &mut stream,
    )?;
    computed.grad("tgt_img", &loss.total.backward()?, &edited)?;
    computed.out("loss", loss.total.reshape(1)?);
    computed.out("text_directions", directions);
    Ok(computed)
}
