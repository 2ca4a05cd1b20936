//! Diversity within clusters, for generators that learnt from a handful of pictures (Ojha et al. 2021, arXiv 2104.06820).
//!
//! Each sample goes to the training picture that it is nearest to, and within each cluster the mean distance of pairs is taken: a
//! generator that copies its training pictures has clusters without breadth, however different the pictures are.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, features::rows, kernel::mean_and_std};

/// Samples of a cluster that are compared at most, as published.
pub const MEMBERS: usize = 50;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterDiversity {
    /// The mean over the clusters that have pairs.
    pub mean: f64,
    /// Their standard deviation (divided by their number).
    pub std: f64,
    /// For each training picture, its samples and the mean distance of their pairs, `None` where there is no pair.
    pub clusters: Vec<(usize, Option<f64>)>,
}

/// Diversity of n samples from their distances `[n, k]` to k training pictures. `pairs` gives the distances of all pairs of these
/// samples; it is asked for the first `most` samples of each cluster.
///
/// # Errors
///
/// No cluster with a pair, a distance that is not finite, or `pairs`' error.
pub fn cluster_diversity<E: From<Error>>(
    to_training: &Tensor,
    most: usize,
    mut pairs: impl FnMut(&[usize]) -> std::result::Result<Vec<f64>, E>,
) -> std::result::Result<ClusterDiversity, E> {
    let mut clusters = Vec::new();
    for members in nearest(to_training)? {
        let found = match members.len().min(most) {
            0 | 1 => Vec::new(),
            some => pairs(&members[..some])?,
        };
        let mean = found.iter().sum::<f64>() / found.len() as f64;
        clusters.push((members.len(), (!found.is_empty()).then_some(mean)));
    }
    let found: Vec<f64> = clusters.iter().filter_map(|cluster| cluster.1).collect();
    if found.is_empty() {
        let expected = "two samples or more near one training picture";
        return Err(Error::unfit("clusters with pairs", "none", expected).into());
    }
    let (mean, std) = mean_and_std(&found);
    Ok(ClusterDiversity {
        mean,
        std,
        clusters,
    })
}

/// For each training picture, the samples that are nearest to it.
fn nearest(to_training: &Tensor) -> Result<Vec<Vec<usize>>> {
    let distances = rows(to_training)?;
    let mut members = vec![Vec::new(); distances.dim(1)?];
    for (sample, row) in distances.to_vec2::<f64>()?.iter().enumerate() {
        let nearest = row.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        if let Some((training, _)) = nearest {
            members[training].push(sample);
        }
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn pairs_are_taken_within_clusters_only() {
        // Samples on a line, training pictures at 0, 10 and 100.
        let places = [1f64, 2.0, 4.0, 9.0, 12.0, 99.0];
        let values: Vec<f64> = places
            .iter()
            .flat_map(|x| [0.0, 10.0, 100.0].map(|y: f64| (x - y).abs()))
            .collect();
        let distances = Tensor::from_vec(values, (6, 3), &Device::Cpu).unwrap();
        let pairs = |members: &[usize]| {
            let after = |at: usize| members[at + 1..].iter().map(move |&j| (members[at], j));
            let pairs = (0..members.len()).flat_map(after);
            Ok::<_, Error>(pairs.map(|(i, j)| (places[i] - places[j]).abs()).collect())
        };
        let found = cluster_diversity(&distances, MEMBERS, pairs).unwrap();
        // Of 1, 2, 4: (1 + 3 + 2) / 3; of 9, 12: 3; of 99: no pair.
        assert_eq!(found.clusters, [(3, Some(2.0)), (2, Some(3.0)), (1, None)]);
        assert_eq!((found.mean, found.std), (2.5, 0.5));
        let first_two = cluster_diversity(&distances, 2, pairs).unwrap();
        assert_eq!(first_two.clusters[0], (3, Some(1.0)));
        assert!(cluster_diversity(&distances, 1, pairs).is_err());
    }
}
