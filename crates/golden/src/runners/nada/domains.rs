//! Losses of networks that learn many domains, from embeddings of length 1.

use candle_core::Tensor;
use domex_nada::{
    direction::{COSINE_EPS, Guard, along, cosine},
    offsets,
    pairs::{Pairs, diversity, in_domain_angle, target_direction, within},
};
use serde::Deserialize;

use super::Inputs;
use crate::{Case, Result, computed::Computed};

/// HyperDomainNet's. Where embeddings have a row for each template, `[n, t, d]`, their mean counts.
pub(in crate::runners) fn hyperdomain(case: &Case) -> Result<Computed> {
    let (mut computed, inputs) = (Computed::default(), Inputs::new(case)?);
    let guard = Guard::Floor(case.number("/cosine_eps").unwrap_or(COSINE_EPS));
    let [edited, base] = [inputs.get("trg_encoded")?, inputs.get("src_encoded")?];
    let [target, source] = [inputs.get("trg_domain_emb")?, inputs.get("src_domain_emb")?];
    let steps = (target - source)?;
    let edits = (edited - base)?;
    let pairs = Pairs::all(edited.dim(0)?);

    let losses = [
        (
            "global",
            (1.0 - cosine(edited, target, guard)?)?.mean_all()?,
        ),
        ("direction", along(&edits, &steps, guard)?.mean_all()?),
        ("indomain", in_domain_angle(base, edited, &pairs)?),
        ("tt_direction", target_direction(edited, target, &pairs)?),
    ];
    for (name, loss) in losses {
        inputs.answer(&mut computed, name, &loss)?;
    }
    if case.wants("direction_templates") {
        let target = inputs.get("trg_domain_emb_templates")?.mean(1)?;
        let source = inputs.get("src_domain_emb_templates")?.mean(1)?;
        let loss = along(&edits, &(&target - source)?, guard)?.mean_all()?;
        inputs.answer(&mut computed, "direction_templates", &loss)?;
        let loss = target_direction(edited, &target, &pairs)?;
        inputs.answer(&mut computed, "tt_direction_templates", &loss)?;
    }
    if case.wants("direction_zero_row") {
        let edits = (inputs.get("trg_encoded_zero_row")? - base)?;
        let loss = along(&edits, &steps, guard)?.mean_all()?;
        inputs.answer(&mut computed, "direction_zero_row", &loss)?;
    }
    if case.wants("clip_within") {
        let styles = [inputs.get("style_src")?, inputs.get("style_trg")?];
        let loss = within(base, edited, styles[0], styles[1])?.mean_all()?;
        inputs.answer(&mut computed, "clip_within", &loss)?;
    }
    modulation(&inputs, &mut computed)?;
    Ok(computed)
}

/// The penalties on what modulates the generator. The first layer has two offsets, the second one.
fn modulation(inputs: &Inputs<'_>, computed: &mut Computed) -> Result<()> {
    if inputs.case.wants("offsets_l2") {
        let first = (inputs.get("off_a")? + inputs.get("off_b")?)?;
        let layers = [first, inputs.get("off_c")?.clone()];
        inputs.answer(computed, "offsets_l2", &offsets::squared(&layers)?)?;
        inputs.answer(computed, "offsets_l1", &offsets::absolute(&layers)?)?;
    }
    if inputs.case.wants("affine_l2") {
        let loss = offsets::affine(inputs.get("gamma")?, inputs.get("beta")?)?;
        inputs.answer(computed, "affine_l2", &loss)?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct Degan {
    mult: f64,
    batch_expand_mult: usize,
}

/// The domain encoder's losses, each times `mult`, and its scores.
pub(in crate::runners) fn degan(case: &Case) -> Result<Computed> {
    let (mut computed, inputs) = (Computed::default(), Inputs::new(case)?);
    let config: Degan = case.config()?;
    let guard = Guard::Floor(COSINE_EPS);
    let [edited, base] = [inputs.get("gen_emb")?, inputs.get("src_emb")?];
    let [domains, projected] = [inputs.get("domain_emb")?, inputs.get("src_proj_emb")?];
    let n = edited.dim(0)?;
    let blocks = |size: usize| in_domain_angle(base, edited, &Pairs::in_blocks(n, size));
    let pictures = (inputs.get("gen_img")? - inputs.get("domain_img")?)?;
    let one = |x: &Tensor| x.narrow(0, 0, 1);

    let losses = [
        (
            "direction",
            along(&(edited - base)?, &(domains - projected)?, guard)?.mean_all()?,
        ),
        (
            "tt_direction",
            target_direction(edited, domains, &Pairs::all(n))?,
        ),
        (
            "tt_direction_single",
            target_direction(&one(edited)?, &one(domains)?, &Pairs::all(1))?,
        ),
        ("indomain_angle", blocks(config.batch_expand_mult)?),
        ("indomain_angle_single", blocks(1)?),
        (
            "clip_reconstruction",
            (1.0 - cosine(edited, domains, guard)?)?.mean_all()?,
        ),
        ("l2_reconstruction", offsets::squared(&[pictures])?),
    ];
    for (name, loss) in losses {
        inputs.answer(&mut computed, name, &(loss * config.mult)?)?;
    }

    let scores = [
        ("diversity_score", diversity(edited, &Pairs::all(n))?),
        (
            "semantic_score",
            cosine(edited, &one(domains)?, guard)?.mean_all()?,
        ),
        (
            "domain_offset_norm_layer0",
            offsets::mean_length(&inputs.get("domain_offsets")?.get(0)?)?,
        ),
    ];
    for (name, score) in scores {
        inputs.answer(&mut computed, name, &score)?;
    }
    Ok(computed)
}
