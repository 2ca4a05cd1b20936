//! Byte-pair encoding.
//!
//! Ids, in order: 256 bytes inside a word, 256 bytes that end one, one for each merge, start, end.
//! Bytes stand in the order of their printable signs: `!` to `~`, `¡` to `¬`, `®` to `ÿ`, then the other
//! 68, which the merges' file writes as U+0100 onwards. A merge is a line of two signs or earlier
//! merges; `</w>` marks the end of a word.
//!
//! A word starts as its bytes, the last of which ends it. As long as two neighbours have a merge, all
//! such pairs with the earliest merge are joined, from the left.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::GzDecoder;

use super::START;
use crate::{Error, Result};

/// See `assets/README.md`.
static MERGES: &[u8] = include_bytes!("../../assets/merges.txt.gz");

const BYTES: u32 = 256;
const FIRST_MERGE: u32 = 2 * BYTES;
/// No list is longer: a bound for files.
const MOST_MERGES: u32 = 1 << 20;
const END_OF_WORD: &str = "</w>";

/// The merges, and ids of bytes.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    /// The two ids that id `FIRST_MERGE + i` joins.
    merges: Vec<(u32, u32)>,
    ranks: HashMap<(u32, u32), u32>,
    /// The id of each byte inside a word.
    of_byte: [u32; 256],
    /// The reverse.
    bytes: [u8; 256],
}

impl Vocabulary {
    pub(super) fn new() -> Result<Self> {
        let mut text = String::new();
        GzDecoder::new(MERGES)
            .read_to_string(&mut text)
            .map_err(|error| damaged(error.to_string()))?;
        let published = Self::parse(&text)?;
        match published.start() == START {
            true => Ok(published),
            false => Err(damaged(format!(
                "{} merges, expected {}",
                published.merges.len(),
                START - FIRST_MERGE
            ))),
        }
    }

    /// A list of merges, one a line; a first line that starts with `#version` is left out.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (bytes, signs) = bytes_and_signs();
        let mut of_byte = [0; 256];
        let mut known: HashMap<String, u32> = HashMap::new();
        for (id, (&byte, &sign)) in (0..).zip(bytes.iter().zip(&signs)) {
            of_byte[usize::from(byte)] = id;
            known.insert(sign.to_string(), id);
            known.insert(format!("{sign}{END_OF_WORD}"), BYTES + id);
        }
        let (mut merges, mut ranks) = (Vec::new(), HashMap::new());
        let lines = text.lines().enumerate();
        let lines = lines.filter(|(row, line)| *row > 0 || !line.starts_with("#version"));
        for (rank, (_, line)) in (0..).zip(lines) {
            if rank >= MOST_MERGES {
                return Err(damaged(format!("more than {MOST_MERGES} merges")));
            }
            let (left, right) = line
                .split_once(' ')
                .ok_or_else(|| damaged(format!("merge {rank} is {line:?}")))?;
            let id = |part: &str| {
                known
                    .get(part)
                    .copied()
                    .ok_or_else(|| damaged(format!("merge {rank} joins {part:?}")))
            };
            let pair = (id(left)?, id(right)?);
            merges.push(pair);
            ranks.insert(pair, rank);
            known.insert(format!("{left}{right}"), FIRST_MERGE + rank);
        }
        Ok(Self {
            merges,
            ranks,
            of_byte,
            bytes,
        })
    }

    /// The id before a text.
    pub(super) fn start(&self) -> u32 {
        FIRST_MERGE + self.merges.len() as u32
    }

    /// The id after a text, the highest of all.
    pub(super) fn end(&self) -> u32 {
        self.start() + 1
    }

    /// Appends the ids of a word.
    pub(super) fn encode(&self, word: &str, ids: &mut Vec<u32>) {
        let mut parts: Vec<u32> = word
            .bytes()
            .map(|byte| self.of_byte[usize::from(byte)])
            .collect();
        if let Some(last) = parts.last_mut() {
            *last += BYTES;
        }
        let rank = |pair: &[u32]| self.ranks.get(&(pair[0], pair[1])).copied();
        while let Some(rank) = parts.windows(2).filter_map(rank).min() {
            self.join(&mut parts, rank);
        }
        ids.append(&mut parts);
    }

    /// Carries out one merge wherever it fits, from the left.
    fn join(&self, parts: &mut Vec<u32>, rank: u32) {
        let (left, right) = self.merges[rank as usize];
        let (mut from, mut to) = (0, 0);
        while from < parts.len() {
            let fits = parts[from] == left && parts.get(from + 1) == Some(&right);
            parts[to] = if fits {
                FIRST_MERGE + rank
            } else {
                parts[from]
            };
            from += if fits { 2 } else { 1 };
            to += 1;
        }
        parts.truncate(to);
    }

    pub(super) fn decode(&self, ids: &[u32]) -> String {
        let mut bytes = Vec::new();
        for &id in ids {
            match id {
                id if id == self.start() => bytes.extend(b"<|startoftext|>"),
                id if id == self.end() => bytes.extend(b"<|endoftext|>"),
                id => self.bytes_of(id, &mut bytes),
            }
        }
        String::from_utf8_lossy(&bytes).replace(END_OF_WORD, " ")
    }

    /// Appends the bytes of an id. A merge joins ids before it, so this ends.
    fn bytes_of(&self, id: u32, out: &mut Vec<u8>) {
        if id < BYTES {
            out.push(self.bytes[id as usize]);
        } else if id < FIRST_MERGE {
            out.push(self.bytes[(id - BYTES) as usize]);
            out.extend(END_OF_WORD.bytes());
        } else if let Some(&(left, right)) = self.merges.get((id - FIRST_MERGE) as usize) {
            self.bytes_of(left, out);
            self.bytes_of(right, out);
        }
    }
}

/// All bytes in the order of their ids, and the sign that the merges' file writes for each.
fn bytes_and_signs() -> ([u8; 256], [char; 256]) {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let shown = (0..=u8::MAX)
        .filter(|&byte| printable(byte))
        .map(|byte| (byte, char::from(byte)));
    let hidden = (0..=u8::MAX)
        .filter(|&byte| !printable(byte))
        .zip('\u{100}'..);
    let (mut bytes, mut signs) = ([0; 256], ['\0'; 256]);
    for (id, (byte, sign)) in shown.chain(hidden).enumerate() {
        (bytes[id], signs[id]) = (byte, sign);
    }
    (bytes, signs)
}

fn damaged(problem: impl Into<String>) -> Error {
    Error::Vocabulary {
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_list_is_refused() {
        for (text, word) in [("in", "\"in\""), ("i n\nq zz", "\"zz\"")] {
            let message = Vocabulary::parse(text).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn a_list_of_ones_own() {
        let vocabulary = Vocabulary::parse("#version: 0.2\ni n</w>\nb in</w>\n").unwrap();
        assert_eq!((vocabulary.start(), vocabulary.end()), (514, 515));
        let mut ids = Vec::new();
        vocabulary.encode("bin", &mut ids);
        assert_eq!(ids, [513]);
        assert_eq!(
            vocabulary.decode(&[514, 513, 515]),
            "<|startoftext|>bin <|endoftext|>"
        );
    }

    #[test]
    fn every_id_is_found_again() {
        let vocabulary = Vocabulary::new().unwrap();
        // Not every id is what its own bytes encode to, but those that end a word and are UTF-8 are.
        let mut words = 0;
        for id in BYTES..START {
            let mut bytes = Vec::new();
            vocabulary.bytes_of(id, &mut bytes);
            let Some(word) = bytes.strip_suffix(END_OF_WORD.as_bytes()) else {
                continue;
            };
            let Ok(word) = std::str::from_utf8(word) else {
                continue;
            };
            let mut ids = Vec::new();
            vocabulary.encode(word, &mut ids);
            assert_eq!(vocabulary.decode(&ids), format!("{word} "));
            words += usize::from(ids == [id]);
        }
        assert!(words > 30_000, "{words}");
    }
}
