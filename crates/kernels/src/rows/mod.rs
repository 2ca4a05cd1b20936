//! Layer norm and softmax over the rows of a matrix `[rows, width]`, forward and backward, each row in one visit.

mod layer_norm;
mod softmax;

pub use layer_norm::{LayerNorm, layer_norm, layer_norm_backward};
pub use softmax::{softmax, softmax_backward};

use crate::error::{Check, Result};

/// The sizes of a matrix worked on by rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsShape {
    /// Rows.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
}

/// Elements that a thread takes at once, about: some microseconds of work, far more than taking it costs.
const GRAIN: usize = 1 << 14;

impl RowsShape {
    /// Refuses sizes of zero and overflow.
    ///
    /// # Errors
    ///
    /// The field at fault.
    pub fn check(&self) -> Result<()> {
        let check = self.checker("rows");
        check.non_zero(&[("rows", self.rows), ("width", self.width)])?;
        check.count("x", &[self.rows, self.width]).map(|_| ())
    }

    fn checker(&self, operator: &'static str) -> Check<'_> {
        Check {
            operator,
            shape: self,
        }
    }

    fn check_all(
        &self,
        operator: &'static str,
        wide: &[(&'static str, usize)],
        row: &[(&'static str, usize)],
    ) -> Result<()> {
        self.check()?;
        let check = self.checker(operator);
        wide.iter()
            .try_for_each(|&(name, found)| check.length(name, found, self.rows * self.width))?;
        row.iter()
            .try_for_each(|&(name, found)| check.length(name, found, self.width))
    }

    /// Rows that a thread takes at once.
    fn grain(&self) -> usize {
        (GRAIN / self.width).max(1)
    }
}

#[cfg(test)]
mod tests;
