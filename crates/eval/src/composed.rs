//! Whether two domains of an expanded generator are seen in one picture.
//!
//! A judge of domains names one. It counts as having seen both where the two are its likeliest; renderings of a
//! character in a technique, which it never saw either, say how often it can.

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::portraits::{Domain, Factors, Family, render_both};
use domex_judge::Judge;
use domex_random::Streams;
use serde::Serialize;

use crate::{Error, Result, Subject};

/// Pictures at once.
const BATCH: usize = 32;

/// A character in a technique.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The character's name in the model.
    pub character: String,
    /// The technique's.
    pub rendering: String,
    /// The share of composed pictures that are seen as both.
    pub composed: f64,
    /// The same of renderings of both.
    pub rendered: f64,
}

/// Every character of a model in every technique of it, each on so many `pictures`. `domains` are those whose names speak of one
/// that can be rendered; what the judge has no class for is left out.
///
/// # Errors
///
/// A model without these domains, or of another size than the judge's.
pub fn pairs(
    model: Subject<'_>,
    judge: &Judge,
    domains: &[(&str, Domain)],
    pictures: usize,
    seed: u64,
) -> Result<Vec<Pair>> {
    let of = |family: Family| {
        let domains = domains.iter().copied();
        let known = |domain| class(judge, domain).is_ok();
        domains.filter(move |&(_, domain)| domain.family() == family && known(domain))
    };
    let mut found = Vec::new();
    for character in of(Family::Character) {
        for rendering in of(Family::Rendering) {
            let (names, pair) = ([character.0, rendering.0], [character.1, rendering.1]);
            found.push(Pair {
                character: names[0].to_owned(),
                rendering: names[1].to_owned(),
                composed: composed(model, judge, pair, names, pictures, seed)?,
                rendered: rendered(judge, pair, pictures, seed, model.generator.device())?,
            });
        }
    }
    Ok(found)
}

/// The share of `pictures` that are seen as both domains where the model composes them.
fn composed(
    model: Subject<'_>,
    judge: &Judge,
    pair: [Domain; 2],
    names: [&str; 2],
    pictures: usize,
    seed: u64,
) -> Result<f64> {
    let edits = model.edits()?;
    let mut latents = Streams::new(seed).stream("composed");
    share(judge, pair, pictures, |n| {
        let on_base = edits.on_base(&model.latents(n, &mut latents)?)?;
        edits.moved(&on_base, &names)
    })
}

/// The same share of renderings: `pair` is a character and a technique.
fn rendered(
    judge: &Judge,
    pair: [Domain; 2],
    pictures: usize,
    seed: u64,
    device: &Device,
) -> Result<f64> {
    let mut stream = Streams::new(seed).stream("rendered");
    let side = judge.config().size as u32;
    share(judge, pair, pictures, |n| {
        let mut draw = || {
            let factors = Factors::draw(&mut stream);
            render_both(
                &factors,
                Some(pair[0]),
                Some(pair[1]),
                stream.next_u64(),
                side,
            )
        };
        let pictures: Vec<_> = (0..n).map(|_| draw()).collect();
        Ok(picture::from_rgb(&pictures, DType::F32, device)?)
    })
}

/// The share of what `make` makes whose two likeliest domains are these.
fn share(
    judge: &Judge,
    pair: [Domain; 2],
    pictures: usize,
    mut make: impl FnMut(usize) -> Result<Tensor>,
) -> Result<f64> {
    let wanted = sorted([class(judge, pair[0])?, class(judge, pair[1])?]);
    let mut both = 0;
    for start in (0..pictures).step_by(BATCH) {
        let x = make(BATCH.min(pictures - start))?;
        let domains = judge.forward(&x)?.swap_remove(0);
        for logits in domains.to_vec2::<f32>()? {
            both += usize::from(likeliest(&logits, judge.none()) == wanted);
        }
    }
    Ok(both as f64 / pictures.max(1) as f64)
}

/// The judge's class of a domain.
fn class(judge: &Judge, domain: Domain) -> Result<usize> {
    let classes = &judge.config().factors[0].classes;
    let found = classes.iter().position(|class| class == domain.name());
    found.ok_or_else(|| Error::config("class of the judge", "none", domain.name()))
}

/// The two largest, in the order of their numbers. That a picture may show none of the domains does not count: the two are asked for.
fn likeliest(logits: &[f32], none: Option<usize>) -> [usize; 2] {
    let classes = 0..logits.len();
    let mut order: Vec<usize> = classes.filter(|&class| Some(class) != none).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    sorted([order.first(), order.get(1)].map(|at| at.copied().unwrap_or_default()))
}

fn sorted([a, b]: [usize; 2]) -> [usize; 2] {
    [a.min(b), a.max(b)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_likeliest_count_in_any_order() {
        assert_eq!(likeliest(&[0.1, 3.0, -1.0, 2.0], None), [1, 3]);
        assert_eq!(likeliest(&[2.0, 1.0, 3.0], Some(2)), [0, 1]);
        assert_eq!(sorted([5, 2]), [2, 5]);
    }
}
