//! What `domex invert` shows of what it found.

use domex_data::grid::Grid;
use image::RgbImage;
use serde_json::{Value as Json, json};

use super::{Found, Given};

/// A row for each picture: as given, as found, in every domain, and by the tuned generator.
pub fn draw(
    given: &[Given],
    found: &[Found],
    domains: Vec<String>,
    tuned: Option<&[Found]>,
) -> domex_error::Result<RgbImage> {
    let mut labels = vec!["given".to_owned(), "found".to_owned()];
    labels.extend(domains);
    labels.extend(tuned.map(|_| "tuned".to_owned()));
    let mut cells = Vec::new();
    for (index, given) in given.iter().enumerate() {
        cells.push(given.picture.clone());
        cells.push(found[index].picture.clone());
        cells.extend(found[index].domains.iter().cloned());
        cells.extend(tuned.map(|tuned| tuned[index].picture.clone()));
    }
    let names = given.iter().map(|given| given.name.clone());
    Ok(Grid::new(labels.len())
        .column_labels(labels)
        .row_labels(names)
        .draw(&cells)?)
}

/// The figures of all pictures.
pub fn report(given: &[Given], found: &[Found], tuned: Option<&[Found]>) -> Json {
    let figures = |found: &Found| json!({ "distance": found.distance, "psnr": found.psnr });
    let pictures = given.iter().enumerate().map(|(index, given)| {
        let mut one = json!({ "name": given.name, "found": figures(&found[index]) });
        if let Some(tuned) = tuned {
            one["tuned"] = figures(&tuned[index]);
        }
        one
    });
    json!({ "pictures": pictures.collect::<Vec<_>>() })
}
