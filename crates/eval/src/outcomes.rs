//! What an expanded generator learnt and what it kept, by networks that did not train it.
//!
//! The same latents are shown to the judge in the base subspace and moved into every domain:
//!
//! - what the judge takes the base for, and each domain for: a row of shares for each direction, which shows
//!   what was reached and what leaks from one domain into another;
//! - for each factor, how often the judge sees the same in a picture and in its edit;
//! - diversity: the mean perceptual distance between neighbours within a domain, over that in the base;
//! - the mean perceptual distance of the base to what the generator made before, where that is given.

use std::collections::BTreeMap;

use candle_core::{D, DType, Tensor};
use domex_judge::Judge;
use domex_latent::Generator;
use domex_metrics::Leakage;
use domex_random::Streams;
use serde::Serialize;

use crate::subject::paint;
use crate::{Error, Evaluators, Result, Subject};

/// Pictures at once.
const BATCH: usize = 32;

/// What was measured of a whole model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcomes {
    /// Latents looked at.
    pub pictures: usize,
    /// Shares of what the judge takes the base for; classes that never occur are left out.
    pub base: BTreeMap<String, f64>,
    /// Perceptual distance of the base to the model before it was expanded, at the same latents.
    pub distance_to_source: Option<f64>,
    /// One for each domain, in the model's order.
    pub domains: Vec<Outcome>,
}

/// What was measured of one domain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The domain's name in the model.
    pub name: String,
    /// The judge's class that the name speaks of, if there is one.
    pub class: Option<String>,
    /// The share of pictures that the judge takes for that class.
    pub reached: Option<f64>,
    /// Shares of what the judge takes them for; classes that never occur are left out.
    pub seen: BTreeMap<String, f64>,
    /// For each factor but the domain, how often it is the same as in the base.
    pub kept: BTreeMap<String, f64>,
    /// Mean distance between neighbours, over that of the base.
    pub diversity: f64,
}

impl Outcomes {
    /// How much more of every domain's class the judge sees in each domain than in the base. `None` where no domain speaks
    /// of a class.
    ///
    /// # Errors
    ///
    /// A share that is not finite.
    pub fn leakage(&self) -> Result<Option<Leakage>> {
        let known: Vec<(&Outcome, &str)> = self
            .domains
            .iter()
            .filter_map(|domain| Some((domain, domain.class.as_deref()?)))
            .collect();
        if known.is_empty() {
            return Ok(None);
        }
        let row = |seen: &BTreeMap<String, f64>| -> Vec<f64> {
            let share = |class: &str| seen.get(class).copied().unwrap_or(0.0);
            known.iter().map(|(_, class)| share(class)).collect()
        };
        let names = known
            .iter()
            .map(|(domain, _)| domain.name.clone())
            .collect();
        let rows: Vec<Vec<f64>> = known.iter().map(|(domain, _)| row(&domain.seen)).collect();
        Ok(Some(Leakage::new(names, &row(&self.base), &rows)?))
    }
}

/// Measures `model` on `pictures` latents with its fixed noise. `source` is the generator before it was
/// expanded. `done` is told how many latents were looked at.
///
/// # Errors
///
/// A model without domains, fewer than two pictures, or networks of another size.
pub fn outcomes<'a>(
    model: impl Into<Subject<'a>>,
    source: Option<&dyn Generator>,
    by: Evaluators<'_>,
    pictures: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Outcomes> {
    let model = model.into();
    check(model.generator, by.judge, pictures)?;
    let edits = model.edits()?;
    let domains = edits.domains();
    let mut base = Row::new(by);
    let mut rows: Vec<Row<'_>> = domains.iter().map(|_| Row::new(by)).collect();
    let mut moved = 0.0;
    let mut latents = Streams::new(seed).stream("outcomes");
    for start in (0..pictures).step_by(BATCH) {
        let n = BATCH.min(pictures - start);
        let w = model.latents(n, &mut latents)?;
        let on_base = edits.on_base(&w)?;
        let plain = edits.base(&on_base)?;
        let answers = base.add(&plain, None)?;
        for (row, (name, _)) in rows.iter_mut().zip(&domains) {
            row.add(&edits.moved(&on_base, &[name])?, Some(&answers))?;
        }
        if let Some(source) = source {
            let before = paint(source, &on_base)?;
            moved += sum(&by.perceptual.distance(&plain, &before)?)?;
        }
        done(n);
    }
    let domains = domains.iter().zip(&rows);
    Ok(Outcomes {
        pictures,
        base: base.seen(),
        distance_to_source: source.map(|_| moved / pictures as f64),
        domains: domains
            .map(|((name, _), row)| row.outcome(name, &base))
            .collect(),
    })
}

fn check(generator: &dyn Generator, judge: &Judge, pictures: usize) -> Result<()> {
    if pictures < 2 {
        let expected = "at least 2";
        return Err(Error::config("pictures to measure on", pictures, expected));
    }
    let side = generator.resolution();
    if side != judge.config().size {
        return Err(Error::config(
            "picture size of the model",
            side,
            format!("{}, the judge's", judge.config().size),
        ));
    }
    Ok(())
}

fn sum(x: &Tensor) -> Result<f64> {
    Ok(x.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?)
}

/// Answers of the judge for a batch: `[factor][picture]`.
type Answers = Vec<Vec<u32>>;

/// What was seen along one direction.
struct Row<'a> {
    by: Evaluators<'a>,
    counts: Vec<usize>,
    same: Vec<usize>,
    pictures: usize,
    apart: f64,
    pairs: usize,
}

impl<'a> Row<'a> {
    fn new(by: Evaluators<'a>) -> Self {
        let factors = &by.judge.config().factors;
        Self {
            by,
            counts: vec![0; factors.first().map_or(0, |domain| domain.classes.len())],
            same: vec![0; factors.len()],
            pictures: 0,
            apart: 0.0,
            pairs: 0,
        }
    }

    fn add(&mut self, pictures: &Tensor, base: Option<&Answers>) -> Result<Answers> {
        let classes = |logits: &Tensor| Ok(logits.argmax(D::Minus1)?.to_vec1::<u32>()?);
        let logits = self.by.judge.forward(pictures)?;
        let answers = logits.iter().map(classes).collect::<Result<Answers>>()?;
        for &domain in &answers[0] {
            self.counts[domain as usize] += 1;
        }
        for (factor, base) in base.into_iter().flatten().enumerate() {
            let pairs = answers[factor].iter().zip(base);
            self.same[factor] += pairs.filter(|(a, b)| a == b).count();
        }
        let n = pictures.dim(0)?;
        if n > 1 {
            let seen = self.by.perceptual.features(pictures)?;
            let (a, b) = (seen.some(0, n - 1)?, seen.some(1, n - 1)?);
            self.apart += sum(&self.by.perceptual.between(&a, &b)?)?;
            self.pairs += n - 1;
        }
        self.pictures += n;
        Ok(answers)
    }

    fn classes(&self) -> &'a [String] {
        let factors = &self.by.judge.config().factors;
        factors.first().map_or(&[], |domain| &domain.classes)
    }

    fn share(&self, count: usize) -> f64 {
        count as f64 / self.pictures.max(1) as f64
    }

    fn seen(&self) -> BTreeMap<String, f64> {
        let found = self.classes().iter().zip(&self.counts);
        found
            .filter(|(_, count)| **count > 0)
            .map(|(class, &count)| (class.clone(), self.share(count)))
            .collect()
    }

    fn distance(&self) -> f64 {
        self.apart / self.pairs.max(1) as f64
    }

    fn outcome(&self, name: &str, base: &Self) -> Outcome {
        let class = class_of(name, self.classes());
        let factors = self.by.judge.config().factors.iter().zip(&self.same);
        Outcome {
            name: name.to_owned(),
            class: class.map(|class| self.classes()[class].clone()),
            reached: class.map(|class| self.share(self.counts[class])),
            seen: self.seen(),
            kept: factors
                .skip(1)
                .map(|(factor, &same)| (factor.name.clone(), self.share(same)))
                .collect(),
            diversity: self.distance() / base.distance().max(f64::MIN_POSITIVE),
        }
    }
}

/// The class whose words stand in a domain's name, in their order; the longest where there are several.
pub(crate) fn class_of(name: &str, classes: &[String]) -> Option<usize> {
    let words = |text: &str| -> Vec<String> {
        let parts = text.split(|c: char| !c.is_alphanumeric());
        parts
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let name = words(name);
    let holds =
        |class: &[String]| !class.is_empty() && name.windows(class.len()).any(|w| w == class);
    let found = classes.iter().enumerate();
    found
        .map(|(index, class)| (index, words(class)))
        .filter(|(_, class)| holds(class))
        .max_by_key(|(_, class)| class.len())
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_speaks_of_the_longest_class_in_it() {
        let classes = ["photo", "sketch", "pencil sketch", "low-poly"].map(str::to_owned);
        for (name, class) in [
            ("A Pencil Sketch", Some(2)),
            ("sketch of a pencil", Some(1)),
            ("low poly portrait", Some(3)),
            ("sketchy", None),
            ("", None),
        ] {
            assert_eq!(class_of(name, &classes), class, "{name}");
        }
    }

    #[test]
    fn what_a_domain_shows_of_another_is_a_leak() {
        let shares = |pairs: &[(&str, f64)]| {
            let pairs = pairs
                .iter()
                .map(|(class, share)| ((*class).to_owned(), *share));
            pairs.collect::<BTreeMap<_, _>>()
        };
        let domain = |name: &str, class: Option<&str>, seen: &[(&str, f64)]| Outcome {
            name: name.to_owned(),
            class: class.map(str::to_owned),
            reached: None,
            seen: shares(seen),
            kept: BTreeMap::new(),
            diversity: 1.0,
        };
        let mut found = Outcomes {
            pictures: 10,
            base: shares(&[("photo", 0.9), ("elf", 0.1)]),
            distance_to_source: None,
            domains: vec![
                domain("an elf", Some("elf"), &[("elf", 0.8), ("robot", 0.2)]),
                domain("fog", None, &[("photo", 1.0)]),
                domain("a robot", Some("robot"), &[("robot", 1.0)]),
            ],
        };
        let leakage = found.leakage().unwrap().unwrap();
        assert_eq!(leakage.domains, ["an elf", "a robot"]);
        assert!((leakage.gain[0][0] - 0.7).abs() < 1e-12);
        assert_eq!(leakage.worst(), Some(("an elf", "a robot", 0.2)));
        found.domains.truncate(2);
        found.domains.remove(0);
        assert_eq!(found.leakage().unwrap(), None);
    }
}
