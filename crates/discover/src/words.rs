//! Which of given words come nearest to what a domain changes.

use candle_core::{DType, Device};
use domex_clip::{Prompts, TextMeans};
use domex_nada::Guide;

use crate::{Found, Result, cosine};

/// The words of the highest cosine to each domain, with it, nearest first. A word's direction is from the mean of all words to
/// it; the cosine is the mean over the CLIP models.
///
/// # Errors
///
/// A word that a CLIP model cannot read.
pub fn nearest(
    found: &[Found],
    guides: &[Guide],
    words: &[String],
    count: usize,
) -> Result<Vec<Vec<(String, f64)>>> {
    let mut sums = vec![vec![0.0; words.len()]; found.len()];
    for (at, guide) in guides.iter().enumerate() {
        let directions = directions(guide, words)?;
        for (sums, found) in sums.iter_mut().zip(found) {
            for (sum, direction) in sums.iter_mut().zip(&directions) {
                *sum += cosine(&found.moves[at], direction) / guides.len() as f64;
            }
        }
    }
    let sorted = sums.into_iter().map(|cosines| {
        let mut named: Vec<(String, f64)> = words.iter().cloned().zip(cosines).collect();
        named.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        named.truncate(count);
        named
    });
    Ok(sorted.collect())
}

/// From the mean of all words to each.
fn directions(guide: &Guide, words: &[String]) -> Result<Vec<Vec<f64>>> {
    let means = TextMeans::new(&guide.clip, &guide.tokenizer, None)?;
    let prompts = Prompts::imagenet();
    let one = |word: &String| -> Result<Vec<f64>> {
        let mean = means.mean(&prompts, word)?.to_device(&Device::Cpu)?;
        Ok(mean.to_dtype(DType::F64)?.to_vec1()?)
    };
    let mut rows = words.iter().map(one).collect::<Result<Vec<_>>>()?;
    let width = rows.first().map_or(0, Vec::len);
    for column in 0..width {
        let mean = rows.iter().map(|row| row[column]).sum::<f64>() / rows.len() as f64;
        rows.iter_mut().for_each(|row| row[column] -= mean);
    }
    Ok(rows)
}
