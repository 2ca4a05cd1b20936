//! Whether a contrastive model finds the right words: for domains, hair colour, glasses and beard.
//!
//! Every question has one sentence for each answer, and counts where a fresh rendering is nearest to the right one. Traits are
//! asked of photographs: hair colour where hair is seen, round and square glasses as one answer, all beards apart.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use domex_clip::{Bundle, Preprocess};
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, render};
use domex_random::Streams;

use super::{World, questions::QUESTIONS};
use crate::Result;
use crate::clip::texts::Sentences;
use crate::losses::accuracy;
use crate::scenes::Scenes;

/// Pictures at once.
const BATCH: usize = 32;

/// Sentences that a domain's text is the mean of.
const TEMPLATES: usize = 8;

/// The share of right answers by question, `pictures` for each trait and as many spread over the domains.
///
/// # Errors
///
/// A model that cannot read the sentences.
pub fn retrieval(
    world: &World,
    model: &Bundle,
    pictures: usize,
    seed: u64,
) -> Result<BTreeMap<String, f64>> {
    let streams = Streams::new(seed);
    let mut shares = BTreeMap::new();
    let mut stream = streams.stream("retrieval of domains");
    let scenes = (0..pictures)
        .map(|i| {
            let domain = i % world.domains();
            (Factors::draw(&mut stream), Domain::ALL[domain], domain)
        })
        .collect::<Vec<_>>();
    let texts = domain_texts(world, model)?;
    shares.insert("domain".to_owned(), right(model, &texts, &scenes)?);
    for (at, question) in world.questions().into_iter().enumerate() {
        let mut stream = streams.stream(&question.name);
        let mut scenes = Vec::with_capacity(pictures);
        while scenes.len() < pictures {
            let factors = Factors::draw(&mut stream);
            if let Some(right) = (QUESTIONS[at].right)(&factors) {
                scenes.push((factors, Domain::Photo, right));
            }
        }
        let sentence = |answer: &Vec<String>| format!("a photo of a person {}", answer[0]);
        let sentences: Vec<String> = question.answers.iter().map(sentence).collect();
        let texts = domex_clip::unit_length(&model.encode_text(&sentences)?)?;
        shares.insert(question.name, right(model, &texts, &scenes)?);
    }
    Ok(shares)
}

/// The share of scenes that are nearest to the text of their number.
fn right(model: &Bundle, texts: &Tensor, scenes: &[(Factors, Domain, usize)]) -> Result<f64> {
    const SIDE: u32 = 64;
    let clip = &model.clip;
    let preprocess = Preprocess::new(clip.image_size());
    let mut sum = 0.0;
    for (at, batch) in scenes.chunks(BATCH).enumerate() {
        let draw = |(i, (factors, domain, _)): (usize, &(Factors, Domain, usize))| {
            render(factors, *domain, (at * BATCH + i) as u64, SIDE)
        };
        let pictures: Vec<_> = batch.iter().enumerate().map(draw).collect();
        let x = picture::from_rgb(&pictures, candle_core::DType::F32, &Device::Cpu)?;
        let features = clip.encode_image(&preprocess.apply(&x)?)?;
        let classes: Vec<u32> = batch.iter().map(|&(_, _, right)| right as u32).collect();
        sum += accuracy(&clip.logits(&features, texts)?, &classes)? * batch.len() as f64;
    }
    Ok(sum / scenes.len().max(1) as f64)
}

/// The text of each domain, `[k, d]`, of unit length: the mean over some sentences.
fn domain_texts(world: &World, model: &Bundle) -> Result<Tensor> {
    let sentences = Sentences::of(world).plain(TEMPLATES);
    let one =
        |sentences: &Vec<String>| -> Result<Tensor> { Ok(model.encode_text(sentences)?.mean(0)?) };
    let means = sentences.iter().map(one).collect::<Result<Vec<_>>>()?;
    Ok(domex_clip::unit_length(&Tensor::stack(&means, 0)?)?)
}
