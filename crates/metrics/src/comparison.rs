//! Two sets of features compared by everything that takes no more than features.

use candle_core::Tensor;
use domex_random::Streams;
use serde::{Deserialize, Serialize};

use crate::{
    COVERAGE_NEIGHBOUR, Interval, KernelDistance, Moments, NEIGHBOUR, PrecisionRecall, Result,
    Rounding, Warning, bootstrap, density_coverage,
    features::pair,
    frechet::{FEWEST, frechet, frechet_infinity},
    table::{Better, Measure, Spread},
    warning,
};

/// How samples compare with real pictures. Figures on other features or of other numbers of pictures are not to be compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Samples looked at.
    pub samples: usize,
    /// Real pictures that they are compared with.
    pub pictures: usize,
    /// Numbers of a feature.
    pub features: usize,
    /// Fréchet distance.
    pub frechet: f64,
    /// The same, extrapolated to infinitely many samples; `None` with too few to extrapolate from.
    pub frechet_infinity: Option<f64>,
    /// Kernel distance: the mean over random subsets.
    pub kernel: f64,
    /// The subsets' standard deviation.
    pub kernel_std: f64,
    /// The share of samples that lie among the pictures; `None` for a handful, which has no neighbourhoods.
    pub precision: Option<f64>,
    /// Where it would lie with other samples, 95 times of 100.
    pub precision_interval: Option<Interval>,
    /// The share of pictures that lie among the samples.
    pub recall: Option<f64>,
    /// Where it would lie with other pictures.
    pub recall_interval: Option<Interval>,
    /// How densely samples lie where pictures do: about 1 for sets of one kind.
    pub density: Option<f64>,
    /// The share of pictures with a sample in their neighbourhood.
    pub coverage: Option<f64>,
    /// What to keep in mind.
    pub warnings: Vec<Warning>,
}

impl Comparison {
    /// Compares `samples: [m, d]` with `real: [n, d]`. Subsets and draws come from `streams`.
    ///
    /// # Errors
    ///
    /// Sets of other sizes of features, with fewer than two rows, or with a number that is not finite.
    pub fn new(samples: &Tensor, real: &Tensor, streams: &Streams) -> Result<Self> {
        let (samples, real) = pair(samples, real)?;
        let ((m, d), n) = (samples.dims2()?, real.dim(0)?);
        let of = |x: &Tensor| -> Result<Moments> {
            let mut moments = Moments::new(d);
            moments.add(x)?;
            Ok(moments)
        };
        let reference = of(&real)?;
        let extrapolated = (m >= FEWEST)
            .then(|| frechet_infinity(&samples, &reference, &mut streams.stream("extrapolation")))
            .transpose()?;
        // The last point of the line has all samples.
        let whole = extrapolated.as_ref().and_then(|line| line.points.last());
        let finite = match whole {
            Some(&(_, distance)) => distance,
            None => frechet(&of(&samples)?, &reference)?,
        };
        let kernel = KernelDistance::random(
            &samples,
            &real,
            KernelDistance::SUBSETS,
            KernelDistance::SUBSET,
            &mut streams.stream("kernel subsets"),
        )?;
        let covered = (m.min(n) > NEIGHBOUR)
            .then(|| PrecisionRecall::new(&samples, &real, NEIGHBOUR, Rounding::None))
            .transpose()?;
        let mut draws = streams.stream("bootstrap");
        let mut interval = |hits: &[bool]| {
            let values: Vec<f64> = hits.iter().map(|&hit| f64::from(u8::from(hit))).collect();
            bootstrap::mean_interval(&values, &mut draws)
        };
        let (precision_interval, recall_interval) = match &covered {
            Some(found) => (
                Some(interval(&found.precision_hits)?),
                Some(interval(&found.recall_hits)?),
            ),
            None => (None, None),
        };
        let dense = (n > COVERAGE_NEIGHBOUR)
            .then(|| density_coverage(&samples, &real, COVERAGE_NEIGHBOUR))
            .transpose()?;
        Ok(Self {
            samples: m,
            pictures: n,
            features: d,
            frechet: finite,
            frechet_infinity: extrapolated.map(|line| line.infinity),
            kernel: kernel.mean,
            kernel_std: kernel.std,
            precision: covered.as_ref().map(|found| found.precision),
            precision_interval,
            recall: covered.as_ref().map(|found| found.recall),
            recall_interval,
            density: dense.map(|found| found.0),
            coverage: dense.map(|found| found.1),
            warnings: warning::of_sizes(m, n, d),
        })
    }

    /// The figures as rows of a table.
    #[must_use]
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures = vec![Measure::new(
            "Fréchet distance",
            self.frechet,
            Better::Lower,
        )];
        let mut add = |name, value: Option<f64>, better, spread: Option<Spread>| {
            if let Some(value) = value {
                measures.push(Measure {
                    spread,
                    ..Measure::new(name, value, better)
                });
            }
        };
        let within = |interval: Option<Interval>| interval.map(Spread::Interval);
        let (lower, higher) = (Better::Lower, Better::Higher);
        add(
            "Fréchet distance, extrapolated",
            self.frechet_infinity,
            lower,
            None,
        );
        let std = Some(Spread::Std(self.kernel_std));
        add("kernel distance", Some(self.kernel), lower, std);
        add(
            "precision",
            self.precision,
            higher,
            within(self.precision_interval),
        );
        add("recall", self.recall, higher, within(self.recall_interval));
        add("density", self.density, higher, None);
        add("coverage", self.coverage, higher, None);
        measures
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn normal(seed: u64, n: usize, shift: f64) -> Tensor {
        let mut stream = Streams::new(seed).stream("features");
        let values: Vec<f64> = (0..n * 4).map(|_| stream.normal_f64() + shift).collect();
        Tensor::from_vec(values, (n, 4), &Device::Cpu).unwrap()
    }

    #[test]
    fn sets_of_one_kind_score_better_in_every_measure() {
        let streams = Streams::new(1);
        let real = normal(1, 200, 0.0);
        let near = Comparison::new(&normal(2, 200, 0.0), &real, &streams).unwrap();
        let far = Comparison::new(&normal(3, 200, 1.5), &real, &streams).unwrap();
        let (near, far) = (near.measures(), far.measures());
        assert_eq!(near.len(), 7);
        for (near, far) in near.iter().zip(&far) {
            let better = match near.better {
                Better::Lower => near.value < far.value,
                Better::Higher => near.value > far.value,
            };
            assert!(better, "{near:?} {far:?}");
        }
    }

    #[test]
    fn shares_are_of_the_set_that_they_name() {
        // Samples of the middle alone: all of them real, and much of what is real is not among them.
        let samples = (normal(2, 150, 0.0) * 0.3).unwrap();
        let found = Comparison::new(&samples, &normal(1, 200, 0.0), &Streams::new(1)).unwrap();
        let (precision, recall) = (found.precision.unwrap(), found.recall.unwrap());
        assert!(precision > 0.95 && recall < 0.5, "{found:?}");
        assert!(
            found.density.unwrap() > 1.0 && found.coverage.unwrap() < 0.5,
            "{found:?}"
        );
        let within = |interval: Interval, x| interval.low <= x && x <= interval.high;
        assert!(
            within(found.precision_interval.unwrap(), precision),
            "{found:?}"
        );
        assert!(within(found.recall_interval.unwrap(), recall), "{found:?}");
        assert!(
            found
                .warnings
                .iter()
                .any(|w| matches!(w, Warning::UnequalSets { .. }))
        );
    }

    #[test]
    fn few_pictures_are_warned_of() {
        let streams = Streams::new(1);
        let few = Comparison::new(&normal(1, 4, 0.0), &normal(2, 9, 0.0), &streams).unwrap();
        let all: String = few.warnings.iter().map(|w| format!("{w}\n")).collect();
        assert!(all.contains("4 pictures for 4 features"), "{all}");
        assert!(all.contains("not extrapolated"), "{all}");
        assert!(all.contains("4 samples and 9 pictures"), "{all}");
        assert_eq!(few.frechet_infinity, None);
        let parts = Warning::of_parts(25).unwrap().to_string();
        assert!(parts.contains("is 25 at most"), "{parts}");
        assert_eq!(Warning::of_parts(5000), None);
        let text = serde_json::to_string(&few).unwrap();
        let back: Comparison = serde_json::from_str(&text).unwrap();
        assert_eq!(back.warnings, few.warnings);
    }
}
