//! How near a domain is to the truth, where it is known what a latent should look like in it.
//!
//! A generator that was fitted to renderings of latents draws what its latents say, and an encoder tells the latent of a rendering
//! ([`Known`]); so `R_i`, the rendering of a latent in domain `i`, is known. With `d` the [distance](Judge::distance) of a judge that no loss uses, the *paired truth* of a domain is
//!
//! ```text
//! t = (d(G(base), R_i) − d(G(proj_i), R_i)) / (d(G(base), R_i) − d(G(base), R_source))
//! ```
//!
//! with means over the latents: 0 where nothing changed, 1 where the domain is as close to its truth as the base is to its own.
//! Beside it stand the unbiased kernel distance of the domain's pictures and its renderings (pairs of one latent) on the judge's features, how often
//! the judge says *none of these*, and form without colour.

use std::collections::BTreeMap;

use candle_core::{D, DType, Tensor};
use domex_data::picture;
use domex_data::portraits::Domain;
use domex_judge::Judge;
use domex_metrics::{kernel_distance, kernel_distance_of_pairs};
use domex_random::Streams;
use image::RgbImage;
use rayon::prelude::*;
use serde::Serialize;

use crate::form::Form;
use crate::outcomes::class_of;
use crate::samples::normal;
use crate::{Error, Result, Subject};

/// Pictures at once.
const BATCH: usize = 32;

/// Latents that are known in every domain.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// How many normal numbers decide what a rendering shows.
    pub numbers: usize,
    /// The rendering of these numbers in a domain, of the judge's size.
    pub rendering: &'a (dyn Fn(&[f32], Domain) -> RgbImage + Sync),
    /// The latents `[n, D]` of such numbers `[n, numbers]`.
    pub latents: &'a dyn Fn(&Tensor) -> domex_latent::Result<Tensor>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// Latents looked at.
    pub pictures: usize,
    /// Kernel distance of the base and renderings of the source domain.
    pub base_kernel: f64,
    /// The same of two halves of those renderings: about 0, and as far from it as chance takes half as many pictures.
    pub floor_kernel: f64,
    /// One for each domain whose name speaks of one that can be rendered and is not the source.
    pub domains: Vec<DomainTruth>,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DomainTruth {
    /// The domain's name in the model.
    pub name: String,
    /// What it was compared with.
    pub domain: Domain,
    /// Whether no setting was chosen by looking at it.
    pub held_out: bool,
    /// Paired truth.
    pub paired: f64,
    /// The share of pictures that the judge takes for none of its classes; `None` where it must choose.
    pub none: Option<f64>,
    /// The share that it takes for the domain; `None` where it has no such class.
    pub reached: Option<f64>,
    /// Kernel distance of the pictures and their renderings.
    pub kernel: f64,
    /// Edge energy of pictures and renderings.
    pub edges: [f64; 2],
    /// Share of high frequencies of pictures and renderings.
    pub high_frequency: [f64; 2],
}

impl Truth {
    /// Mean paired truth of the domains that are held out, or of the others; `None` where there are none.
    pub fn mean(&self, held_out: bool) -> Option<f64> {
        let own = self
            .domains
            .iter()
            .filter(|domain| domain.held_out == held_out);
        let (sum, n) = own.fold((0.0, 0), |(sum, n), domain| (sum + domain.paired, n + 1));
        (n > 0).then(|| sum / f64::from(n))
    }
}

/// Measures the domains of `model` on `pictures` latents with the stored noise. `done` is told how many latents were looked at.
///
/// # Errors
///
/// A model without domains, fewer than four pictures, or a judge of another size.
pub fn truth<'a>(
    model: impl Into<Subject<'a>>,
    judge: &Judge,
    known: Known<'_>,
    pictures: usize,
    seed: u64,
    mut done: impl FnMut(usize),
) -> Result<Truth> {
    if pictures < 4 {
        let expected = "at least 4";
        return Err(Error::config("pictures to measure on", pictures, expected));
    }
    let model = model.into();
    let (device, dtype) = (model.generator.device(), model.generator.dtype());
    let edits = model.edits()?;
    // From the photograph to itself there is no way to go.
    let known_ones = Domain::ALL.iter().copied();
    let known_ones: Vec<Domain> = known_ones
        .filter(|&domain| domain != Domain::Photo)
        .collect();
    let names: Vec<String> = known_ones
        .iter()
        .map(|domain| domain.name().to_owned())
        .collect();
    let row = |name: &str| {
        let domain = known_ones[class_of(name, &names)?];
        Some(Row::new(name, domain, judge))
    };
    let domains = edits.domains();
    let mut rows: Vec<Row<'_>> = domains.iter().filter_map(|(name, _)| row(name)).collect();
    let mut base_seen = Set::new(judge);
    let mut photos = Set::new(judge);
    let mut own_distance = 0.0;
    let mut latents = Streams::new(seed).stream("truth");
    for start in (0..pictures).step_by(BATCH) {
        let n = BATCH.min(pictures - start);
        let z = normal(&mut latents, n, known.numbers, device)?;
        let draw = |domain: Domain| -> Result<Tensor> {
            let z = z.to_vec2::<f32>()?;
            let drawn: Vec<RgbImage> = z.par_iter().map(|z| (known.rendering)(z, domain)).collect();
            Ok(picture::from_rgb(&drawn, DType::F32, device)?)
        };
        let latents = (known.latents)(&z)?.to_dtype(dtype)?;
        let on_base = edits.on_base(&latents)?;
        let (base, photo) = (edits.base(&on_base)?, draw(Domain::Photo)?);
        own_distance += sum(&judge.distance(&base, &photo)?)?;
        base_seen.add(&base)?;
        photos.add(&photo)?;
        for row in &mut rows {
            let edited = edits.moved(&on_base, &[&row.name])?;
            row.add(&base, &edited, &draw(row.domain)?)?;
        }
        done(n);
    }
    let photo_features = photos.features()?;
    let half = pictures / 2;
    let (first, second) = (
        photo_features.narrow(0, 0, half)?,
        photo_features.narrow(0, half, half)?,
    );
    let own = own_distance / pictures as f64;
    Ok(Truth {
        pictures,
        base_kernel: kernel_distance_of_pairs(&base_seen.features()?, &photo_features)?,
        floor_kernel: kernel_distance(&first, &second)?,
        domains: rows
            .iter()
            .map(|row| row.found(own))
            .collect::<Result<_>>()?,
    })
}

fn sum(x: &Tensor) -> Result<f64> {
    Ok(x.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?)
}

/// Pictures of one kind.
struct Set<'a> {
    judge: &'a Judge,
    features: Vec<Tensor>,
    form: Form,
}

impl<'a> Set<'a> {
    fn new(judge: &'a Judge) -> Self {
        Self {
            judge,
            features: Vec::new(),
            form: Form::default(),
        }
    }

    fn add(&mut self, pictures: &Tensor) -> Result<()> {
        self.features.push(self.judge.features(pictures)?);
        self.form.add(pictures)
    }

    fn features(&self) -> Result<Tensor> {
        Ok(Tensor::cat(&self.features, 0)?)
    }
}

/// A domain of the model, and what was seen of it.
struct Row<'a> {
    name: String,
    domain: Domain,
    judge: &'a Judge,
    made: Set<'a>,
    true_ones: Set<'a>,
    /// Sums of d(G(base), R_i) and d(G(proj_i), R_i).
    apart: [f64; 2],
    seen: BTreeMap<u32, usize>,
    pictures: usize,
}

impl<'a> Row<'a> {
    fn new(name: &str, domain: Domain, judge: &'a Judge) -> Self {
        Self {
            name: name.to_owned(),
            domain,
            judge,
            made: Set::new(judge),
            true_ones: Set::new(judge),
            apart: [0.0; 2],
            seen: BTreeMap::new(),
            pictures: 0,
        }
    }

    fn add(&mut self, base: &Tensor, edited: &Tensor, rendered: &Tensor) -> Result<()> {
        for (apart, pictures) in self.apart.iter_mut().zip([base, edited]) {
            *apart += sum(&self.judge.distance(pictures, rendered)?)?;
        }
        self.made.add(edited)?;
        self.true_ones.add(rendered)?;
        let domains = self.judge.forward(edited)?.swap_remove(0);
        for class in domains.argmax(D::Minus1)?.to_vec1::<u32>()? {
            *self.seen.entry(class).or_insert(0) += 1;
        }
        self.pictures += edited.dim(0)?;
        Ok(())
    }

    /// `own`: the mean distance of the base to renderings of the source domain.
    fn found(&self, own: f64) -> Result<DomainTruth> {
        let n = self.pictures as f64;
        let [before, after] = self.apart.map(|sum| sum / n);
        let share = |class: usize| self.seen.get(&(class as u32)).copied().unwrap_or(0) as f64 / n;
        let classes = &self.judge.config().factors[0].classes;
        let class = classes.iter().position(|class| class == self.domain.name());
        let forms = [self.made.form, self.true_ones.form];
        Ok(DomainTruth {
            name: self.name.clone(),
            domain: self.domain,
            held_out: self.domain.is_held_out(),
            paired: (before - after) / (before - own),
            none: self.judge.none().map(share),
            reached: class.map(share),
            kernel: kernel_distance_of_pairs(&self.made.features()?, &self.true_ones.features()?)?,
            edges: forms.map(|form| form.edge_energy()),
            high_frequency: forms.map(|form| form.high_frequency()),
        })
    }
}
