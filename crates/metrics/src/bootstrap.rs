//! Intervals by drawing the pictures anew (Efron 1979): how much a number would move with other pictures of the same kind.

use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Draws, by default.
pub const DRAWS: usize = 1000;

/// The share of draws that an interval holds, by default.
pub const LEVEL: f64 = 0.95;

/// An interval between two percentiles of the draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The interval that holds `level` of what `statistic` says of `draws` draws of `n` of the n pictures, with repeats. It is
/// given the drawn pictures' indices. A statistic that sees repeats as pictures alike (a distance to the nearest one, say) is no
/// use here.
///
/// # Errors
///
/// No picture, no draw, a level that is not between 0 and 1, or the statistic's error.
pub fn bootstrap<E: From<Error>>(
    n: usize,
    draws: usize,
    level: f64,
    stream: &mut Stream,
    mut statistic: impl FnMut(&[usize]) -> std::result::Result<f64, E>,
) -> std::result::Result<Interval, E> {
    if n == 0 || draws == 0 {
        let what = format!("{draws} draws of {n} pictures");
        return Err(Error::unfit("bootstrap", what, "at least 1 of both").into());
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::unfit("level of an interval", level, "between 0 and 1").into());
    }
    let mut values = Vec::with_capacity(draws);
    let mut indices = vec![0; n];
    for _ in 0..draws {
        for index in &mut indices {
            *index = stream.index(n).map_err(Error::from)?;
        }
        values.push(statistic(&indices)?);
    }
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0;
    Ok(Interval {
        low: percentile(&values, tail),
        high: percentile(&values, 1.0 - tail),
    })
}

/// The interval of a mean.
///
/// # Errors
///
/// As [`bootstrap`].
pub fn mean_interval(values: &[f64], stream: &mut Stream) -> Result<Interval> {
    let n = values.len();
    bootstrap(n, DRAWS, LEVEL, stream, |indices| {
        Ok(indices.iter().map(|&i| values[i]).sum::<f64>() / n as f64)
    })
}

/// Of sorted values, between the two nearest.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;

    #[test]
    fn an_interval_holds_the_mean_and_is_as_wide_as_theory_says() {
        let mut stream = Streams::new(5).stream("bootstrap");
        let values: Vec<f64> = (0..400).map(|_| 3.0 + stream.normal_f64()).collect();
        let found = mean_interval(&values, &mut stream).unwrap();
        let mean = values.iter().sum::<f64>() / 400.0;
        assert!(found.low < mean && mean < found.high);
        // 2 · 1.96 / √400.
        let width = found.high - found.low;
        assert!((width - 0.196).abs() < 0.03, "{width}");
    }

    #[test]
    fn a_seed_gives_its_interval() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i).powf(1.3)).collect();
        let draw = |seed| mean_interval(&values, &mut Streams::new(seed).stream("b")).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn percentiles_lie_between_neighbours() {
        let sorted = [0.0, 1.0, 4.0];
        assert_eq!(percentile(&sorted, 0.5), 1.0);
        assert_eq!(percentile(&sorted, 0.75), 2.5);
        assert_eq!(percentile(&sorted, 1.0), 4.0);
    }

    #[test]
    fn nothing_has_no_interval() {
        let mut stream = Streams::new(1).stream("b");
        assert!(mean_interval(&[], &mut stream).is_err());
        let wrong = bootstrap(3, 10, 1.0, &mut stream, |_| Ok::<_, Error>(0.0));
        assert!(wrong.unwrap_err().to_string().contains("between 0 and 1"));
    }
}
