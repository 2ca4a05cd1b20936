//! New domains that nobody named: what random edits of a generator change most, each as a domain of its own.
//!
//! After SliderSpace (Gandikota et al. 2025, arXiv 2502.01639), which decomposes what a diffusion model can draw into distinct
//! directions of CLIP and trains an adapter for each. Here, for a StyleGAN2 and its gated domains:
//!
//! 1. Many random domain vectors ([`Config::candidates`]) change pictures of the same latents. How each moves the CLIP features of
//!    these pictures, in the mean over latents, is a row.
//! 2. The principal components of the rows are orthogonal directions of CLIP, by falling share of the variance.
//! 3. For each of the first, a domain vector is fitted that moves pictures along it, on a dormant direction of its own. It
//!    begins as the sum of the random ones by their share in the component: to first order that is the answer.
//!
//! [`Discovery`] has the domains as [`DomainFile`]s, and what tells whether they are distinct: how alike they move CLIP features of
//! latents that were not used before, beside as many random vectors.
//!
//! What this crate deliberately is not: it asks no text what to look for ([`nearest`] only says which of given words comes next),
//! writes no file, and does not judge whether a person would call the outcome a domain.

mod components;
mod error;
mod fit;
mod space;
mod vectors;
mod words;

use candle_core::Tensor;
use domex_latent::domain_file::DomainFile;
use domex_latent::domain_vectors::Gate;
use domex_latent::matrices::Matrices;
use domex_latent::modulation::Layer;
use domex_latent::subspace::Layout;
use domex_latent::{Expansion, Generator as _};
use domex_nada::Guide;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Truncation};
use serde_json::{Value as Json, json};

pub use error::{Error, Result};
pub use words::nearest;

use components::Components;
use space::{On, Space};
use vectors::Vectors;

/// Settings of a discovery.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How many domains.
    pub domains: usize,
    /// How many random vectors the components are those of.
    pub candidates: usize,
    /// Latents whose pictures are looked at.
    pub latents: usize,
    /// Standard deviation of a random vector's numbers. Styles are of the order of one.
    pub deviation: f64,
    /// How often each domain is stepped.
    pub steps: usize,
    /// Of a step, as a share of a number's usual size.
    pub learning_rate: f64,
    /// Truncation of the latents.
    pub truncation: f64,
    /// How far along its direction a domain lies.
    pub distance: f64,
    /// Of everything that is drawn.
    pub seed: u64,
}

impl Config {
    /// What suits two cores: see the fields.
    #[must_use]
    pub fn new(domains: usize, distance: f64, seed: u64) -> Self {
        Self {
            domains,
            candidates: 96,
            latents: 8,
            deviation: 0.25,
            steps: 40,
            learning_rate: 0.05,
            truncation: 0.7,
            distance,
            seed,
        }
    }

    /// Refuses what no discovery can be made of, before any work.
    ///
    /// # Errors
    ///
    /// A setting out of range; a generator of several classes; more domains than directions that are free.
    pub fn check(&self, generator: &Generator, layout: &Layout) -> Result<()> {
        let free = layout.dimensions() - layout.domains().len();
        if self.domains == 0 || self.domains > free {
            let expected = format!("1 to {free}, the directions that no domain has");
            return Err(Error::config("number of domains", self.domains, expected));
        }
        if self.candidates <= self.domains {
            let expected = format!("more than the {} domains that are wanted", self.domains);
            return Err(Error::config(
                "number of random edits",
                self.candidates,
                expected,
            ));
        }
        if self.latents == 0 {
            return Err(Error::config("number of latents", 0, "at least 1"));
        }
        let above = [
            ("deviation of a random edit", self.deviation),
            ("learning rate", self.learning_rate),
        ];
        for (what, value) in above {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::config(what, value, "a number above 0"));
            }
        }
        if !self.truncation.is_finite() {
            return Err(Error::config(
                "truncation",
                self.truncation,
                "a finite number",
            ));
        }
        if generator.config().c_dim() > 0 {
            let expected = "a generator without: its pictures of one latent differ by class";
            return Err(Error::config(
                "classes",
                generator.config().c_dim(),
                expected,
            ));
        }
        Ok(())
    }

    /// What the domains will be called: free names, as many as there will be domains.
    #[must_use]
    pub fn names(&self, layout: &Layout) -> Vec<String> {
        let is_free = |name: &String| layout.domain(name).is_err();
        let names = (1..).map(|number| format!("found {number}"));
        names.filter(is_free).take(self.domains).collect()
    }

    fn task(&self) -> Json {
        json!({ "method": "discover", "seed": self.seed })
    }
}

/// Where a discovery is. Each has how much is done, and of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Random edits are looked at.
    Edits(usize, usize),
    /// Domains are fitted.
    Fit(usize, usize),
    /// The outcome is measured.
    Measure(usize, usize),
}

/// A domain that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// To be put into a model.
    pub file: DomainFile,
    /// The share of its component in what random edits differ by.
    pub explained: f64,
    /// Cosine of how it moves CLIP features of new latents and its component, over the CLIP models together.
    pub reached: f64,
    /// How it moves them, `[d]` of each CLIP model.
    pub moves: Vec<Vec<f64>>,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// By falling share.
    pub domains: Vec<Found>,
    /// Cosines of how any two move CLIP features of new latents.
    pub cosines: Vec<Vec<f64>>,
    /// The mean size of these cosines, without the diagonal: 0 for domains that have nothing in common.
    pub likeness: f64,
    /// The same of as many random vectors of the same length.
    pub likeness_of_random: f64,
}

/// Discovers domains of a generator; `expansion` has those that it has already, and its directions. `watch` is told how far it
/// is, and stops it with an error.
///
/// Memory: pictures of [`Config::latents`], and the pass with gradients of 12.
///
/// # Errors
///
/// What [`Config::check`] refuses, edits that differ in fewer directions than domains are wanted, and those of `watch`.
pub fn discover(
    config: &Config,
    generator: &Generator,
    expansion: &Expansion,
    guides: &[Guide],
    watch: &mut dyn FnMut(Progress) -> domex_error::Result<()>,
) -> Result<Discovery> {
    config.check(generator, &expansion.layout)?;
    let streams = Streams::new(config.seed);
    let space = |name: &str| {
        let latents = latents(config, generator, &mut streams.stream(name))?;
        Space::new(config, generator, expansion, guides, &latents)
    };
    let mut watch = |progress| watch(progress).map_err(Error::Caller);

    let learnt = space("latents")?;
    let layers = generator.synthesis().modulated_layers();
    let candidates = config.candidates;
    let random = draw(
        config,
        generator,
        &layers,
        candidates,
        &mut streams.stream("edits"),
    )?;
    let moves = learnt.moves(&random, candidates, On::Base, |done| {
        watch(Progress::Edits(done, candidates))
    })?;
    let components = Components::of(&joined(&moves), config.domains)?;

    let dtype = generator.dtype();
    let loadings = components.loadings.concat();
    let loadings = Tensor::from_vec(loadings, (config.domains, candidates), generator.device())?;
    let beginning = random.mixed(&loadings.to_dtype(dtype)?)?;
    let targets = targets(&components, &moves, generator)?;
    let length = length(config, &random);
    let mut stream = streams.stream("fit");
    let fitted = fit::fit(
        &learnt,
        config,
        &beginning,
        length,
        &targets,
        &mut stream,
        |done| watch(Progress::Fit(done, config.steps)),
    )?;

    let new = space("latents of the measure")?;
    let all = 2 * config.domains;
    let moves = new.moves(&fitted, config.domains, On::Direction, |done| {
        watch(Progress::Measure(done, all))
    })?;
    let cosines = cosines(&joined(&moves));
    let other = draw(
        config,
        generator,
        &layers,
        config.domains,
        &mut streams.stream("others"),
    )?;
    let other = new.moves(
        &other.of_length(length)?,
        config.domains,
        On::Direction,
        |done| watch(Progress::Measure(config.domains + done, all)),
    )?;
    Ok(Discovery {
        domains: found(&components, &fitted, &new, &moves)?,
        likeness: likeness(&cosines),
        likeness_of_random: likeness(&crate::cosines(&joined(&other))),
        cosines,
    })
}

/// Truncated latents `[n, rows, D]`.
fn latents(config: &Config, generator: &Generator, stream: &mut Stream) -> Result<Tensor> {
    let mut z = vec![0f32; config.latents * generator.config().z_dim()];
    stream.fill_normal(&mut z);
    let z = Tensor::from_vec(z, (config.latents, ()), generator.device())?;
    let truncation = Truncation::psi(config.truncation);
    Ok(generator.latents(&z.to_dtype(generator.dtype())?, None, truncation)?)
}

fn draw(
    config: &Config,
    generator: &Generator,
    layers: &[Layer],
    count: usize,
    stream: &mut Stream,
) -> Result<Vectors> {
    let drawn = Vectors::draw(layers, count, config.deviation, stream, generator.device())?;
    drawn.to_dtype(generator.dtype())
}

/// What a random vector has in half of the layers.
fn length(config: &Config, vectors: &Vectors) -> f64 {
    config.deviation * (vectors.numbers() as f64 / 2.0).sqrt()
}

/// The rows of all CLIP models side by side.
fn joined(moves: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let count = moves.first().map_or(0, Vec::len);
    let row = |at: usize| {
        moves
            .iter()
            .flat_map(|rows| rows[at].iter().copied())
            .collect()
    };
    (0..count).map(row).collect()
}

/// Each CLIP model's part of the components, `[domains, d]`.
fn targets(
    components: &Components,
    moves: &[Vec<Vec<f64>>],
    generator: &Generator,
) -> Result<Vec<Tensor>> {
    let mut begin = 0;
    let part = |rows: &Vec<Vec<f64>>| {
        let width = rows.first().map_or(0, Vec::len);
        let parts = components
            .directions
            .iter()
            .map(|row| &row[begin..begin + width]);
        let parts: Vec<f64> = parts.flatten().copied().collect();
        begin += width;
        let count = components.directions.len();
        let parts = Tensor::from_vec(parts, (count, width), &candle_core::Device::Cpu)?;
        Ok(parts
            .to_dtype(generator.dtype())?
            .to_device(generator.device())?)
    };
    moves.iter().map(part).collect()
}

fn found(
    components: &Components,
    fitted: &Vectors,
    space: &Space<'_>,
    moves: &[Vec<Vec<f64>>],
) -> Result<Vec<Found>> {
    let rows = joined(moves);
    let before = space.layout.domains().len() - rows.len();
    let domains = space.layout.domains()[before..].iter().enumerate();
    let found = domains.map(|(at, domain)| {
        let [offsets, factors] = fitted.rows(at)?;
        Ok(Found {
            file: DomainFile {
                domain: domain.clone(),
                gate: Gate::Smooth,
                offsets,
                factors,
                matrices: Matrices::default(),
            },
            explained: components.explained[at],
            reached: cosine(&rows[at], &components.directions[at]),
            moves: moves.iter().map(|rows| rows[at].clone()).collect(),
        })
    });
    found.collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)
}

fn cosines(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let row = |a: &Vec<f64>| rows.iter().map(|b| cosine(a, b)).collect();
    rows.iter().map(row).collect()
}

/// The mean size of the cosines of different rows; 0 for one row.
fn likeness(cosines: &[Vec<f64>]) -> f64 {
    let pairs = cosines.iter().enumerate();
    let pairs = pairs.flat_map(|(at, row)| row[..at].iter().map(|cosine| cosine.abs()));
    let pairs: Vec<f64> = pairs.collect();
    pairs.iter().sum::<f64>() / pairs.len().max(1) as f64
}
