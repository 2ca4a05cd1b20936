//! StyleGAN-NADA's terms beside the directional one, from features.

use candle_core::{D, Tensor};
use domex_clip::{mean_of_units, unit_length};
use domex_nada::{
    direction::{COSINE_EPS, Guard},
    patches::cut,
    terms::{angle, distances, global, patch_direction, patch_similarity, texture},
};
use domex_ops::matmul;
use serde::Deserialize;

use super::Inputs;
use crate::{Case, Result, computed::Computed};

#[derive(Deserialize)]
struct Config {
    angle_pair: [String; 2],
    distance_class: String,
    patch_size: usize,
    /// A sentence; the target's texts are the source's times the number behind its sign `*`.
    #[serde(default)]
    patch_similarity: String,
}

impl Config {
    fn factor(&self) -> f64 {
        let behind = self.patch_similarity.split('*').nth(1);
        let number = behind.and_then(|text| text.split_whitespace().next());
        number.and_then(|text| text.parse().ok()).unwrap_or(-0.5)
    }
}

/// Each term as the reference reduces it.
pub(in crate::runners) fn run(case: &Case) -> Result<Computed> {
    let (mut computed, inputs) = (Computed::default(), Inputs::new(case)?);
    let config: Config = case.config()?;
    let (base, edited) = (inputs.get("src_features")?, inputs.get("tgt_features")?);
    let scale = inputs.get("logit_scale")?.exp()?.reshape(())?;
    let prompts = unit_length(inputs.get("prompt_features")?)?;
    let cosines = matmul(&unit_length(edited)?, &prompts.t()?)?;
    let loss = global(&cosines, &scale)?.mean_all()?;
    inputs.answer(&mut computed, "global", &loss)?;

    let side = |class: &str| -> Result<Tensor> {
        let features = inputs.get(&format!("text_{class}"))?;
        Ok(unit_length(&mean_of_units(features)?.unsqueeze(0)?)?)
    };
    let [source, target] = &config.angle_pair;
    let cosine = (side(source)? * side(target)?)?.sum(D::Minus1)?;
    let loss = angle(base, edited, &cosine)?.mean_all()?;
    inputs.answer(&mut computed, "angle", &loss)?;
    let loss = texture(base, edited)?.mean_all()?;
    inputs.answer(&mut computed, "texture", &loss)?;

    let texts = inputs.get(&format!("text_{}", config.distance_class))?;
    let matrix = distances(edited, texts)?;
    inputs.answer(&mut computed, "distance", &matrix.sum_all()?)?;
    computed.out("distance.matrix", matrix);
    patches(&inputs, &config, &mut computed)?;
    Ok(computed)
}

fn patches(inputs: &Inputs<'_>, config: &Config, computed: &mut Computed) -> Result<()> {
    let base = inputs.get("patch_src_features")?;
    let edited = inputs.get("patch_tgt_features")?;
    let directions = inputs.get("part_text_directions")?;
    let guard = Guard::Floor(COSINE_EPS);
    let loss = patch_direction(base, edited, directions, guard)?.mean_all()?;
    inputs.answer(computed, "patch_direction", &loss)?;
    let source = inputs.get("part_text_features")?;
    let loss = patch_similarity(base, edited, source, &(source * config.factor())?)?.mean_all()?;
    inputs.answer(computed, "patch_similarity", &loss)?;

    let centres: Vec<Vec<i64>> = inputs.get("patch_centers_xy")?.to_vec2()?;
    let place = |at: i64| usize::try_from(at).unwrap_or(usize::MAX);
    let centres: Vec<[usize; 2]> = centres
        .iter()
        .map(|centre| [place(centre[0]), place(centre[1])])
        .collect();
    let cut = cut(inputs.get("img")?, &centres, config.patch_size)?;
    computed.out("patches", cut);
    Ok(())
}
