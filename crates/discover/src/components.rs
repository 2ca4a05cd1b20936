//! Principal components of rows.

use faer::Mat;

use crate::{Error, Result};

/// The first components of rows `x_i` about their mean, by falling variance: `x_i − x̄ = Σ_k u_ik s_k c_k`.
#[derive(Debug, Clone)]
pub(crate) struct Components {
    /// Directions `c_k`, of length 1, orthogonal.
    pub directions: Vec<Vec<f64>>,
    /// `u_k`, of length 1: how much of the component each row has.
    pub loadings: Vec<Vec<f64>>,
    /// The share of each in the variance of the rows.
    pub explained: Vec<f64>,
}

impl Components {
    /// A component points to where the row lies that has most of it.
    pub fn of(rows: &[Vec<f64>], count: usize) -> Result<Self> {
        let (n, width) = (rows.len(), rows.first().map_or(0, Vec::len));
        if rows.iter().flatten().any(|value| !value.is_finite()) {
            return Err(Error::Numbers(
                "the CLIP features of an edit are not finite".to_owned(),
            ));
        }
        let mean = |column: usize| rows.iter().map(|row| row[column]).sum::<f64>() / n as f64;
        let means: Vec<f64> = (0..width).map(mean).collect();
        let x = Mat::from_fn(n, width, |i, j| rows[i][j] - means[j]);
        let svd = x.thin_svd();
        let svd = svd.map_err(|_| Error::Numbers("the edits have no decomposition".to_owned()))?;
        let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
        // About the mean, n rows have n − 1 directions at most.
        let rank = (0..s.nrows()).filter(|&k| s[k] > 1e-9 * s[0]).count();
        if count > rank {
            return Err(Error::config(
                "number of domains",
                count,
                format!("at most {rank}, the directions in which these edits differ"),
            ));
        }
        let variance: f64 = s.iter().map(|s| s * s).sum();
        let mut components = Self {
            directions: Vec::new(),
            loadings: Vec::new(),
            explained: Vec::new(),
        };
        for k in 0..count {
            let loading: Vec<f64> = u.col(k).iter().copied().collect();
            let most = loading
                .iter()
                .copied()
                .max_by(|a, b| a.abs().total_cmp(&b.abs()));
            let sign = most.unwrap_or(1.0).signum();
            components
                .directions
                .push(v.col(k).iter().map(|x| sign * x).collect());
            components
                .loadings
                .push(loading.iter().map(|x| sign * x).collect());
            components.explained.push(s[k] * s[k] / variance);
        }
        Ok(components)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_found_in_their_order_and_sign() {
        // About (1, 1, 1): twice as far along (0, 0, −1) as along (1, 0, 0), nowhere along (0, 1, 0).
        let rows = [
            [2.0, 1.0, 1.0],
            [0.5, 1.0, 1.0],
            [0.5, 1.0, 1.0],
            [1.0, 1.0, -2.0],
            [1.0, 1.0, 4.0],
        ];
        let rows: Vec<Vec<f64>> = rows.map(|row| row.to_vec()).into();
        let found = Components::of(&rows, 2).unwrap();
        assert!(
            (found.directions[0][2].abs() - 1.0).abs() < 1e-9,
            "{found:?}"
        );
        assert!((found.directions[1][0] - 1.0).abs() < 1e-9, "{found:?}");
        let shares: f64 = found.explained.iter().sum();
        assert!((shares - 1.0).abs() < 1e-9 && found.explained[0] > found.explained[1]);
        let most = found.loadings[1].iter().copied().fold(f64::MIN, f64::max);
        assert_eq!(most, found.loadings[1][0]);
        let error = Components::of(&rows, 3).unwrap_err().to_string();
        assert!(error.contains("at most 2"), "{error}");
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let rows = vec![vec![0.0, f64::NAN], vec![1.0, 0.0]];
        assert!(Components::of(&rows, 1).is_err());
    }
}
