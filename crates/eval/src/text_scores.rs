//! What a CLIP model sees of an expansion's domains, for any world: no judge is needed, but the domains' texts are.
//!
//! The same latents are shown in the base subspace and moved into every domain that has a text:
//!
//! - text score: 100 times the mean cosine of the pictures with the domain's text, beside that of the base;
//! - directional score: the mean cosine of each picture's change with the change of text, of features at length 1;
//! - diversity: the mean of `1 − cosine` over pairs of pictures, over that of the base;
//! - leakage: how much more of every domain's text the pictures show than the base does.
//!
//! Pictures are prepared as CLIP's published program prepares files. A text is the mean of what the text encoder makes of it in the
//! 79 sentences that training puts it into ([`Prompts::imagenet`]).
//!
//! A CLIP model that the expansion was trained with is no fair judge of it: give another.

use candle_core::{DType, Device, Tensor};
use domex_clip::{Bundle, Prompts, TextMeans};
use domex_metrics::{
    ClipScore, Interval, Leakage, cosines, directional_scores, mean_interval, pairwise_diversity,
};
use domex_random::Streams;
use serde::Serialize;
use serde_json::Value as Json;

use crate::features::by_clip;
use crate::{Error, Result, Subject};

/// Pictures at once.
const BATCH: usize = 16;

/// What was found of all domains that have a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextScores {
    /// Latents looked at.
    pub pictures: usize,
    /// One for each domain that has a text, in the model's order.
    pub domains: Vec<TextScore>,
    /// Gains of the cosine with each domain's text.
    pub leakage: Leakage,
}

/// What was found of one domain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextScore {
    /// The domain's name in the model.
    pub name: String,
    /// What the base is called.
    pub source: String,
    /// What the domain is called.
    pub target: String,
    /// 100 times the mean cosine of its pictures with its text.
    pub text: f64,
    /// Where that would lie with other latents, 95 times of 100.
    pub text_interval: Interval,
    /// 100 times the mean cosine of the base's pictures with its text.
    pub base: f64,
    /// The mean cosine of changes of picture and text.
    pub directional: f64,
    /// Where that would lie with other latents.
    pub directional_interval: Interval,
    /// Mean of `1 − cosine` over pairs of its pictures, over that of the base.
    pub diversity: f64,
}

/// Scores `model`'s domains on `pictures` latents with the stored noise. `None` where no domain has a text. `done` is told how
/// many latents were looked at.
///
/// # Errors
///
/// A model without domains, fewer than two pictures, or a text that is too long.
pub fn text_scores<'a>(
    model: impl Into<Subject<'a>>,
    bundle: &Bundle,
    pictures: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Option<TextScores>> {
    if pictures < 2 {
        let expected = "at least 2";
        return Err(Error::config("pictures to measure on", pictures, expected));
    }
    let model = model.into();
    let edits = model.edits()?;
    let domains: Vec<_> = edits
        .domains()
        .into_iter()
        .filter_map(|(name, task)| Some((name.to_owned(), texts(task)?)))
        .collect();
    if domains.is_empty() {
        return Ok(None);
    }
    let see = |x: &Tensor| -> Result<Tensor> {
        let features = by_clip(&bundle.clip, x)?;
        Ok(features.to_device(&Device::Cpu)?.to_dtype(DType::F64)?)
    };

    let mut seen: Vec<Vec<Tensor>> = vec![Vec::new(); domains.len() + 1];
    let mut latents = Streams::new(seed).stream("outcomes");
    for start in (0..pictures).step_by(BATCH) {
        let n = BATCH.min(pictures - start);
        let w = model.latents(n, &mut latents)?;
        let on_base = edits.on_base(&w)?;
        seen[0].push(see(&edits.base(&on_base)?)?);
        for ((name, _), seen) in domains.iter().zip(&mut seen[1..]) {
            seen.push(see(&edits.moved(&on_base, &[name])?)?);
        }
        done(n);
    }
    let seen = seen.iter().map(|parts| Ok(Tensor::cat(parts, 0)?));
    let seen = seen.collect::<Result<Vec<Tensor>>>()?;
    let means = TextMeans::new(&bundle.clip, &bundle.tokenizer, None)?;
    let prompts = Prompts::imagenet();
    let text = |text: &str| -> Result<Tensor> { Ok(means.mean(&prompts, text)?.unsqueeze(0)?) };
    scores(&text, &domains, &seen, seed).map(Some)
}

type Texts = (String, String);

/// From the features of texts, and of the pictures of the base and of every domain.
fn scores(
    text: &dyn Fn(&str) -> Result<Tensor>,
    domains: &[(String, Texts)],
    seen: &[Tensor],
    seed: u64,
) -> Result<TextScores> {
    let targets = domains.iter().map(|(_, (_, target))| text(target));
    let targets = targets.collect::<Result<Vec<_>>>()?;
    let (base, seen) = seen
        .split_first()
        .ok_or_else(|| Error::config("pictures to measure on", 0, "at least 2"))?;
    let row = |features: &Tensor| -> Result<Vec<f64>> {
        let means = targets.iter().map(|text| {
            let cosines = cosines(features, text)?;
            Ok(cosines.iter().sum::<f64>() / cosines.len() as f64)
        });
        means.collect()
    };
    let of_base = row(base)?;
    let rows = seen.iter().map(row).collect::<Result<Vec<_>>>()?;
    let breadth = pairwise_diversity(base)?;
    let mut draws = Streams::new(seed).stream("bootstrap");
    let mut found = Vec::with_capacity(domains.len());
    for (at, (name, (source, target))) in domains.iter().enumerate() {
        let fit = cosines(&seen[at], &targets[at])?;
        let percent: Vec<f64> = fit.iter().map(|x| 100.0 * x).collect();
        let along = directional_scores(base, &seen[at], &text(source)?, &targets[at])?;
        found.push(TextScore {
            name: name.clone(),
            source: source.clone(),
            target: target.clone(),
            text: ClipScore::new(&fit)?.mean,
            text_interval: mean_interval(&percent, &mut draws)?,
            base: ClipScore::new(&cosines(base, &targets[at])?)?.mean,
            directional: along.iter().sum::<f64>() / along.len() as f64,
            directional_interval: mean_interval(&along, &mut draws)?,
            diversity: pairwise_diversity(&seen[at])? / breadth.max(f64::MIN_POSITIVE),
        });
    }
    let names = domains.iter().map(|(name, _)| name.clone()).collect();
    Ok(TextScores {
        pictures: base.dim(0)?,
        domains: found,
        leakage: Leakage::new(names, &of_base, &rows)?,
    })
}

/// What a domain's task says of source and target in words: in our form, or in that of the official program.
fn texts(task: &Json) -> Option<Texts> {
    let read = |source: &str, target: &str| {
        let text = |pointer: &str| Some(task.pointer(pointer)?.as_str()?.to_owned());
        Some((text(source)?, text(target)?)).filter(|(_, target)| !target.is_empty())
    };
    read("/source", "/target").or_else(|| read("/args/source_text", "/args/target_text"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_by_hand() {
        let rows = |rows: &[[f64; 3]]| {
            let shape = (rows.len(), 3);
            Tensor::from_slice(rows.as_flattened(), shape, &Device::Cpu).unwrap()
        };
        let text = |text: &str| {
            Ok(rows(&[match text {
                "photo" => [1.0, 0.0, 0.0],
                "elf" => [0.0, 1.0, 0.0],
                _ => [0.0, 0.0, 1.0],
            }]))
        };
        let domains = ["elf", "sketch"].map(|name| {
            let texts = ("photo".to_owned(), name.to_owned());
            (name.to_owned(), texts)
        });
        let seen = [
            rows(&[[1.0, 0.0, 0.0], [2.0, 2.0, 0.0]]),
            rows(&[[0.0, 3.0, 0.0], [0.0, 0.0, 1.0]]),
            rows(&[[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
        ];
        let found = scores(&text, &domains, &seen, 1).unwrap();
        let half = 0.5f64.sqrt();
        let close = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        };
        assert_eq!(found.pictures, 2);
        let [elf, sketch] = &found.domains[..] else {
            panic!("{found:?}")
        };
        for (domain, text, base, directional, diversity) in [
            (elf, 50.0, 50.0 * half, 0.5, 1.0 / (1.0 - half)),
            (sketch, 100.0, 0.0, (1.0 + (1.0 + half) / 2.0) / 2.0, 0.0),
        ] {
            close(domain.text, text);
            close(domain.base, base);
            close(domain.directional, directional);
            close(domain.diversity, diversity);
        }
        let [low, high] = [elf.text_interval.low, elf.text_interval.high];
        assert_eq!([low, high], [0.0, 100.0]);
        let gain = &found.leakage.gain;
        close(gain[0][0], 0.5 - half / 2.0);
        close(gain[0][1], 0.5);
        close(gain[1][0], -half / 2.0);
        close(gain[1][1], 1.0);
    }

    #[test]
    fn texts_of_both_forms_are_found() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        let ours = json!({"source": "photo", "target": "sketch"});
        assert_eq!(texts(&ours), pair("photo", "sketch"));
        let official =
            json!({"type": "nada", "args": {"source_text": "person", "target_text": "elf"}});
        assert_eq!(texts(&official), pair("person", "elf"));
        // A domain by pictures.
        assert_eq!(texts(&json!({"source": "photo", "target": ""})), None);
        assert_eq!(texts(&json!({"source": "photo"})), None);
    }
}
