//! Grids that stay small enough to be held, drawn and looked at, however many pictures a verb makes: the first rows and columns, which
//! are all that is kept of the pictures.

use domex_data::grid::{Grid, reduced};
use image::RgbImage;

/// Pictures that a grid without rows of a meaning shows: more say less than the single files.
pub const MOST: usize = 64;

/// Rows and columns, and pictures in all.
const MOST_ROWS: usize = 64;
pub const MOST_COLUMNS: usize = 24;
const MOST_CELLS: usize = 256;

/// A grid with labelled rows and columns, to which rows are added.
pub struct Sheet {
    columns: Vec<String>,
    /// How many columns and rows there would be.
    given: (usize, usize),
    labels: Vec<String>,
    cells: Vec<RgbImage>,
}

impl Sheet {
    /// With these columns, or as many of them as it has room for.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        let mut columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let given = (columns.len(), 0);
        columns.truncate(MOST_COLUMNS);
        Self {
            columns,
            given,
            labels: Vec::new(),
            cells: Vec::new(),
        }
    }

    /// Columns that are shown.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Rows that there is room for.
    pub fn rows(&self) -> usize {
        (MOST_CELLS / self.columns().max(1)).min(MOST_ROWS)
    }

    /// Whether a further row is shown: pictures of another one need not be made for it.
    pub fn has_room(&self) -> bool {
        self.labels.len() < self.rows()
    }

    /// A row with a picture for each column. One that has no room is counted.
    pub fn add(&mut self, label: impl Into<String>, cells: impl IntoIterator<Item = RgbImage>) {
        self.given.1 += 1;
        if self.has_room() {
            self.labels.push(label.into());
            let cells = cells.into_iter().take(self.columns.len());
            self.cells.extend(cells.map(reduced));
        }
    }

    /// The grid.
    pub fn draw(&self) -> domex_error::Result<RgbImage> {
        Ok(Grid::new(self.columns())
            .column_labels(self.columns.iter().map(String::as_str))
            .row_labels(self.labels.iter().map(String::as_str))
            .draw(&self.cells)?)
    }

    /// What is not on it, in words.
    pub fn notice(&self) -> Option<String> {
        let (columns, rows) = self.given;
        notice(&[
            ("rows", self.labels.len(), rows),
            ("columns", self.columns(), columns),
        ])
    }
}

/// What is said of a grid that has so many of so many things, if it lacks some.
pub fn notice(parts: &[(&str, usize, usize)]) -> Option<String> {
    let lacking = parts.iter().filter(|(_, shown, of)| shown < of);
    let lacking = lacking.map(|(what, shown, of)| format!("{shown} of {of} {what}"));
    let lacking: Vec<String> = lacking.collect();
    (!lacking.is_empty()).then(|| format!("the grid has {}", lacking.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(columns: usize, rows: usize, side: u32) -> Sheet {
        let mut sheet = Sheet::new((0..columns).map(|at| format!("column {at}")));
        for row in 0..rows {
            let cells = (0..columns).map(|_| RgbImage::new(side, side));
            sheet.add(format!("row {row}"), cells);
        }
        sheet
    }

    #[test]
    fn what_has_room_is_drawn_whole_and_nothing_is_said() {
        let few = sheet(3, 5, 16);
        assert_eq!(few.notice(), None);
        assert!(few.draw().unwrap().height() > 5 * 128);
    }

    #[test]
    fn any_number_of_rows_and_columns_is_drawn_in_part_and_said() {
        for (columns, rows, side, said) in [
            (2, 1000, 64, "the grid has 64 of 1000 rows"),
            (
                40,
                1000,
                64,
                "the grid has 10 of 1000 rows and 24 of 40 columns",
            ),
            (30, 2, 8, "the grid has 24 of 30 columns"),
        ] {
            let many = sheet(columns, rows, side);
            assert_eq!(many.notice().unwrap(), said);
            many.draw().unwrap();
        }
        // The largest that there can be.
        let cells = (MOST_CELLS, (512, 512));
        for columns in 1..=MOST_COLUMNS {
            let grid = Grid::new(columns).row_labels(["a long label of many words"]);
            let count = (cells.0 / columns).min(MOST_ROWS) * columns;
            grid.check(count, cells.1).unwrap();
        }
    }
}
