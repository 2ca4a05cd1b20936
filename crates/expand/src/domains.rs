//! Which direction each new domain gets.

use candle_core::Tensor;
use domex_latent::PixelRms;
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::probe::{ProbeConfig, probe};
use domex_latent::subspace::Layout;
use domex_random::Streams;

use crate::config::Dimensions;
use crate::methods::Numbered;
use crate::trainee::{Trainee, Weights};
use crate::{Config, Error, Place, Result, TaskSpec};

/// Latents that a direction is probed on.
const PROBED: usize = 4;

/// All domains of a run: first those that the model had, then the new ones.
pub(crate) struct Domains {
    pub basis: Basis,
    pub layout: Layout,
    /// How many the model had.
    pub earlier: usize,
    /// Free directions that are held as they are, each as long as a domain's distance `[reserve, D]`.
    pub reserved: Option<Tensor>,
}

impl Domains {
    /// The basis, and the layout with the new domains in it. A model that was expanded before keeps
    /// its basis and its domains: they are neither computed again nor forgotten.
    pub fn new(
        trainee: &dyn Trainee,
        config: &Config,
        tasks: &[TaskSpec],
        seed: u64,
    ) -> Result<Self> {
        let (basis, mut layout) = match trainee.expansion() {
            Some(expansion) => (expansion.basis.clone(), expansion.layout.clone()),
            None => {
                let matrices = trainee.generator(Weights::Source).acting_matrices()?;
                let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices)?;
                let layout = Layout::new(basis.count());
                (basis, layout)
            }
        };
        let earlier = layout.domains().len();
        // Those that ask for a dimension come first, so that no other is given it. The order of the
        // tasks is kept: a placeholder would be wrong, so the dimensions are chosen beforehand.
        let mut taken = layout.repurposed();
        taken.extend(tasks.iter().filter_map(|task| task.dimension));
        let distance = match config.distance {
            Some(distance) => distance,
            None => trainee.distance()?,
        };
        let given = tasks.iter().all(|task| task.dimension.is_some());
        let order = match given && config.reserve == 0 {
            true => Vec::new(),
            false => order(trainee, &basis, config.dimensions, distance, seed)?,
        };
        for task in tasks {
            let dimension = match task.dimension {
                Some(dimension) => dimension,
                None => {
                    let found = order.iter().copied().find(|i| !taken.contains(i));
                    let expected = format!("at most {} domains in all", order.len());
                    let chosen = found.ok_or_else(|| {
                        Error::setting("number of domains", earlier + tasks.len(), expected)
                    })?;
                    taken.push(chosen);
                    chosen
                }
            };
            let distance = task.distance.unwrap_or(distance);
            let record = task.kind()?.record(task);
            layout.add(&task.name(), record, Some(dimension), distance)?;
        }
        let free = order.iter().filter(|i| !taken.contains(i));
        let reserved: Vec<u32> = free.take(config.reserve).map(|&i| i as u32).collect();
        if reserved.len() < config.reserve {
            let expected = format!("at most {}, the directions that are free", reserved.len());
            return Err(Error::setting("reserve", config.reserve, expected));
        }
        Ok(Self {
            reserved: match reserved.is_empty() {
                true => None,
                false => Some(columns(&basis, reserved, distance)?),
            },
            basis,
            layout,
            earlier,
        })
    }

    /// Places of the new domains; `methods` has each task's method and its number in it.
    pub fn places(&self, methods: &[Numbered]) -> Vec<Place> {
        let new = self.layout.domains().iter().enumerate().skip(self.earlier);
        new.zip(methods)
            .map(|((column, domain), &(method, number))| Place {
                method,
                number,
                column,
                distance: domain.distance,
            })
            .collect()
    }
}

/// These columns of the basis as rows, each as long as `distance`.
fn columns(basis: &Basis, indices: Vec<u32>, distance: f64) -> Result<Tensor> {
    let vectors = basis.vectors();
    let indices = Tensor::new(indices, vectors.device())?;
    let rows = vectors.index_select(&indices, 1)?.t()?;
    Ok((rows * distance)?.contiguous()?)
}

/// Columns of the basis in the order in which they are given away.
fn order(
    trainee: &dyn Trainee,
    basis: &Basis,
    dimensions: Dimensions,
    distance: f64,
    seed: u64,
) -> Result<Vec<usize>> {
    Ok(match dimensions {
        // Not the first: nothing would be left for the base.
        Dimensions::Dormant => (1..basis.count()).rev().collect(),
        Dimensions::Probed => {
            let settings = ProbeConfig {
                samples: PROBED,
                batch: PROBED,
                step: distance,
                ..ProbeConfig::default()
            };
            let mut stream = Streams::new(seed).stream("probe");
            let generator = trainee.generator(Weights::Source);
            let report = probe(
                generator,
                basis,
                &PixelRms,
                &settings,
                &mut stream,
                &mut |_| (),
            )?;
            report.ranked().iter().map(|effect| effect.index).collect()
        }
    })
}
