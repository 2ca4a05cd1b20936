//! Where in the picture domains show.

use image::{GrayImage, Luma, imageops};
use serde::{Deserialize, Serialize};

/// Cells on a side.
pub const CELLS: u32 = 16;

/// How much of domains and directions shows in each of 16 × 16 cells, row by row: a hexadecimal digit, `0` for the base to `f` for
/// all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(String);

impl Region {
    /// Shares from 0 to 1 for pictures of `side` pixels, row by row, without steps from cell to cell.
    #[must_use]
    pub fn shares(&self, side: u32) -> Vec<f32> {
        let digits: Vec<u8> = self.0.bytes().map(level).collect();
        let cells = GrayImage::from_fn(CELLS, CELLS, |x, y| {
            Luma([17 * digits[(y * CELLS + x) as usize]])
        });
        let grey = imageops::resize(&cells, side, side, imageops::FilterType::Triangle);
        let levels = grey.into_raw().into_iter();
        levels.map(|level| f32::from(level) / 255.0).collect()
    }
}

fn level(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or_default() as u8
}

impl TryFrom<String> for Region {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let cells = (CELLS * CELLS) as usize;
        match text.len() == cells && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            true => Ok(Self(text)),
            false => Err(format!("a region is {cells} hexadecimal digits")),
        }
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_become_shares_row_by_row() {
        let half = "f".repeat(128) + &"0".repeat(128);
        let shares = Region::try_from(half).unwrap().shares(64);
        assert_eq!(shares.len(), 64 * 64);
        assert_eq!((shares[0], shares[64 * 64 - 1]), (1.0, 0.0));
        let between = shares[31 * 64];
        assert!(0.4 < between && between < 1.0, "{between}");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [String::new(), "f".repeat(255), "g".repeat(256)] {
            assert!(Region::try_from(text).is_err());
        }
    }
}
