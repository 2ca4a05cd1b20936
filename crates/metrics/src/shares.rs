//! How often each label occurs, and how far two such distributions are apart.

use crate::{Error, Result};

/// The share of each of `classes` labels.
///
/// # Errors
///
/// No label at all, or one that is not below `classes`.
pub fn shares(labels: &[usize], classes: usize) -> Result<Vec<f64>> {
    if labels.is_empty() {
        return Err(Error::unfit("labels", "none", "at least one"));
    }
    let mut counts = vec![0.0; classes];
    for &label in labels {
        let expected = format!("below {classes}");
        let count = counts.get_mut(label);
        *count.ok_or_else(|| Error::unfit("label", label, expected))? += 1.0;
    }
    Ok(counts
        .into_iter()
        .map(|n| n / labels.len() as f64)
        .collect())
}

/// Half the sum of the differences: 0 for equal distributions, 1 for disjoint ones.
///
/// # Errors
///
/// Distributions over different numbers of labels.
pub fn total_variation(p: &[f64], q: &[f64]) -> Result<f64> {
    if p.len() != q.len() {
        return Err(Error::unfit(
            "labels of the second distribution",
            q.len(),
            p.len(),
        ));
    }
    Ok(0.5 * p.iter().zip(q).map(|(x, y)| (x - y).abs()).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_their_distance() {
        let p = shares(&[0, 0, 1, 3], 4).unwrap();
        assert_eq!(p, [0.5, 0.25, 0.0, 0.25]);
        assert_eq!(total_variation(&p, &p).unwrap(), 0.0);
        assert_eq!(total_variation(&[1.0, 0.0], &[0.0, 1.0]).unwrap(), 1.0);
        assert!(shares(&[], 2).is_err());
        assert!(shares(&[2], 2).unwrap_err().to_string().contains("below 2"));
        assert!(total_variation(&[1.0], &[0.5, 0.5]).is_err());
    }
}
