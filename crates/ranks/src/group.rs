//! The ranks of a run, linked in a chain.

use std::time::Duration;

use crate::link::Link;
use crate::{Error, Result};

/// Numbers that go along the chain at once, 128 KiB: more would arrive later at the end of a long one.
const CHUNK: usize = 1 << 15;

/// This process among the ranks of its run.
#[derive(Debug)]
pub struct Group {
    rank: usize,
    size: usize,
    /// To the rank before this one; rank 0 has none.
    below: Option<Link>,
    /// To the rank after it; the last one has none.
    above: Option<Link>,
    /// Why nothing is exchanged any more.
    failed: Option<Error>,
}

/// Numbers to be added, in segments of which some may be missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// All segments one after the other; what stands for a missing one is not read.
    pub values: Vec<f32>,
    /// Which segments are there.
    pub has: Vec<bool>,
}

impl Group {
    pub(crate) fn new(rank: usize, size: usize, below: Option<Link>, above: Option<Link>) -> Self {
        Self {
            rank,
            size,
            below,
            above,
            failed: None,
        }
    }

    /// The number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The bytes of each rank, on every rank, in the order of ranks.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`], which then comes of every further call.
    pub fn gather(&mut self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.attempt(|group| {
            let mut all = match &mut group.below {
                None => Vec::new(),
                Some(below) => below.receive()?,
            };
            all.extend((mine.len() as u64).to_le_bytes());
            all.extend(mine);
            if let Some(above) = &mut group.above {
                above.send(&all)?;
                all = above.receive()?;
            }
            if let Some(below) = &mut group.below {
                below.send(&all)?;
            }
            split(&all, group.size).ok_or_else(|| Error::Protocol {
                rank: group.size - 1,
                found: format!("{} bytes", all.len()),
                expected: format!("those of {} ranks", group.size),
            })
        })
    }

    /// The sum of the parts of all ranks in segments of these `lengths`, on every rank: first those of rank 0 in their order,
    /// then those of rank 1, and so on, each number by float32 additions in this order. `begun` says which segments a rank before
    /// this one has. A segment that nobody has is zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`], and [`Error::Protocol`] where ranks do not agree on the lengths.
    pub fn sum(&mut self, lengths: &[usize], begun: &[bool], parts: &[Part]) -> Result<Vec<f32>> {
        let mut total = vec![0f32; lengths.iter().sum()];
        self.attempt(|group| {
            let mut frame = Vec::new();
            let mut start = 0;
            for chunk in total.chunks_mut(CHUNK) {
                if let Some(below) = &mut group.below {
                    receive_numbers(below, chunk, &mut frame)?;
                }
                add(chunk, start, lengths, begun, parts);
                if let Some(above) = &mut group.above {
                    send_numbers(above, chunk, &mut frame)?;
                }
                start += chunk.len();
            }
            for chunk in total.chunks_mut(CHUNK) {
                if let Some(above) = &mut group.above {
                    receive_numbers(above, chunk, &mut frame)?;
                }
                if let Some(below) = &mut group.below {
                    send_numbers(below, chunk, &mut frame)?;
                }
            }
            Ok(())
        })?;
        Ok(total)
    }

    /// For a rank that ends with an error, told or not, of which these are the exit code and a digest of the message. Rank 0 lets the others
    /// know of its own. They wait a moment for it: whether it is the same, so that it need not be told again.
    pub fn end(&mut self, code: u8, words: u64) -> bool {
        /// Ranks that meet the same error do so after the same work.
        const WAIT: Duration = Duration::from_secs(10);
        if self.failed.is_some() {
            return false;
        }
        let own = Error::Ended { code, words };
        let first = match &mut self.below {
            None => Some(own.clone()),
            Some(below) => below.last_words(WAIT),
        };
        let is_same = self.below.is_some() && first.as_ref() == Some(&own);
        if let Some(first) = &first {
            self.pass_on(first);
        }
        self.failed = Some(own);
        is_same
    }

    /// Tells the neighbours why nothing is exchanged any more.
    fn pass_on(&mut self, error: &Error) {
        let links = [self.below.take(), self.above.take()].into_iter().flatten();
        let lost = match error {
            // It came from below, where it is known.
            Error::Ended { code, words } => {
                let above = links.filter(|link| link.rank > self.rank);
                above.for_each(|mut link| link.tell_ended(*code, *words));
                return;
            }
            Error::Lost { rank } | Error::Protocol { rank, .. } => *rank,
            _ => self.rank,
        };
        for mut link in links.filter(|link| link.rank != lost) {
            link.tell_lost(lost);
        }
    }

    /// Does something with the neighbours. If it fails, they are told why.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = work(self);
        if let Err(error) = &done {
            self.pass_on(error);
            self.failed = Some(error.clone());
        }
        done
    }
}

/// Adds what the parts have of `chunk`, which begins at number `start` of all.
fn add(chunk: &mut [f32], start: usize, lengths: &[usize], begun: &[bool], parts: &[Part]) {
    let end = start + chunk.len();
    let mut from = 0;
    for (segment, length) in lengths.iter().enumerate() {
        let (first, last) = (from.max(start), (from + length).min(end));
        from += length;
        if first >= last {
            continue;
        }
        let sums = &mut chunk[first - start..last - start];
        let mut is_begun = begun[segment];
        for part in parts.iter().filter(|part| part.has[segment]) {
            let values = &part.values[first..last];
            match is_begun {
                // Not added to zero, which would change the sign of a zero.
                false => sums.copy_from_slice(values),
                true => sums
                    .iter_mut()
                    .zip(values)
                    .for_each(|(sum, value)| *sum += value),
            }
            is_begun = true;
        }
    }
}

fn send_numbers(link: &mut Link, numbers: &[f32], frame: &mut Vec<u8>) -> Result<()> {
    frame.resize(4 * numbers.len(), 0);
    for (bytes, number) in frame.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    link.send_frame(frame)
}

fn receive_numbers(link: &mut Link, numbers: &mut [f32], frame: &mut Vec<u8>) -> Result<()> {
    link.receive_frame(frame)?;
    if frame.len() != 4 * numbers.len() {
        let found = format!("{} bytes", frame.len());
        return Err(link.wrong(found, format!("{} numbers", numbers.len())));
    }
    for (number, bytes) in numbers.iter_mut().zip(frame.chunks_exact(4)) {
        *number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    Ok(())
}

/// The bytes of so many ranks, each behind its length.
fn split(mut bytes: &[u8], ranks: usize) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::with_capacity(ranks);
    for _ in 0..ranks {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        all.push(rest.get(..length)?.to_vec());
        bytes = &rest[length..];
    }
    bytes.is_empty().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_added_where_it_is_there() {
        let part = |values: [f32; 5], has: [bool; 2]| Part {
            values: values.to_vec(),
            has: has.to_vec(),
        };
        let parts = [
            part([1.0, 2.0, 9.0, 9.0, 9.0], [true, false]),
            part([10.0, 20.0, 30.0, 40.0, 50.0], [true, true]),
        ];
        let add_in = |chunk: usize| {
            let mut sums = [100f32; 5];
            for (at, sums) in sums.chunks_mut(chunk).enumerate() {
                add(sums, at * chunk, &[2, 3], &[true, false], &parts);
            }
            sums
        };
        for chunk in 1..=5 {
            assert_eq!(add_in(chunk), [111.0, 122.0, 30.0, 40.0, 50.0], "{chunk}");
        }
    }

    #[test]
    fn bytes_of_too_few_or_too_many_ranks_are_seen() {
        let two = [2u64.to_le_bytes().as_slice(), b"ab", &[0; 8]].concat();
        assert_eq!(split(&two, 2), Some(vec![b"ab".to_vec(), Vec::new()]));
        assert_eq!(split(&two, 1), None);
        assert_eq!(split(&two, 3), None);
        assert_eq!(split(&u64::MAX.to_le_bytes(), 1), None);
    }
}
