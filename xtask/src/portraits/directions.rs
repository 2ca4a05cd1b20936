//! Which directions a generator uses, by walking along each of them as far as a domain lies.

use domex_error::{Result, user_error};
use domex_latent::{
    Generator as _, PixelRms,
    basis::{Basis, BasisKind},
    probe::{ProbeConfig, probe},
};
use domex_random::Streams;
use domex_stylegan2::Generator;
use serde::Serialize;

use crate::out::say;

/// Latents that each direction is tried on.
const SAMPLES: usize = 8;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Directions {
    pub all: usize,
    /// How many change pictures by less than anyone sees.
    pub dormant: usize,
    /// The others, shuffled.
    #[serde(skip)]
    pub used: Vec<usize>,
}

/// Probes a generator's basis at `step`.
///
/// # Errors
///
/// A generator that makes no finite pictures.
pub fn probed(generator: &Generator, step: f64, seed: u64) -> Result<Directions> {
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &generator.acting_matrices()?)?;
    say!("probing {} directions", basis.count());
    let config = ProbeConfig {
        samples: SAMPLES,
        batch: SAMPLES,
        step,
        ..ProbeConfig::default()
    };
    let streams = Streams::new(seed);
    let mut stream = streams.stream("probe");
    let report = probe(
        generator,
        &basis,
        &PixelRms,
        &config,
        &mut stream,
        &mut |_| (),
    )?;
    let used = report.directions.iter().filter(|found| !found.dormant);
    let used: Vec<usize> = used.map(|found| found.index).collect();
    let order = streams.stream("used directions").permutation(used.len());
    Ok(Directions {
        all: basis.count(),
        dormant: basis.count() - used.len(),
        used: order.into_iter().map(|i| used[i]).collect(),
    })
}

impl Directions {
    /// The first `n` that are used.
    pub fn some_used(&self, n: usize) -> Result<&[usize]> {
        self.used.get(..n).ok_or_else(|| {
            let found = self.used.len();
            user_error(format!(
                "the source generator uses only {found} directions, and {n} are asked for"
            ))
        })
    }
}
