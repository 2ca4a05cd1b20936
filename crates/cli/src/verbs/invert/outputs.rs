//! What `domex invert` shows of what it found.

use domex_data::grid::reduced;
use domex_invert::Likeness;
use image::RgbImage;
use serde_json::{Value as Json, json};

use crate::crop::given::Given;
use crate::sheet::Sheet;

/// What was found for one picture.
pub struct Found {
    pub distance: f64,
    pub psnr: f64,
    /// What the latent gives, and then the same in every domain of an expanded model. They are kept as long as they are needed.
    pub pictures: Vec<RgbImage>,
}

/// What was found for each picture, with how like it is.
pub fn paired(pictures: Vec<RgbImage>, likeness: &Likeness) -> Vec<Found> {
    let figures = likeness.distance.iter().zip(&likeness.psnr);
    let pairs = pictures.into_iter().zip(figures);
    pairs
        .map(|(picture, (&distance, &psnr))| Found {
            distance,
            psnr,
            pictures: vec![picture],
        })
        .collect()
}

/// Lets go of the pictures after the first `kept`, and keeps of the others what is shown; the first one here is number `at` of all.
pub fn forget(found: &mut [Found], at: usize, kept: usize) {
    for (index, found) in found.iter_mut().enumerate() {
        let pictures = std::mem::take(&mut found.pictures).into_iter();
        if at + index < kept {
            found.pictures = pictures.map(reduced).collect();
        }
    }
}

/// What becomes `beside.png`: columns for a picture as given, as found, in every domain, and by the tuned generator.
pub fn sheet(domains: Vec<String>, is_tuned: bool) -> Sheet {
    let found = ["given", "found"].map(str::to_owned).into_iter();
    let tuned = is_tuned.then(|| "tuned".to_owned());
    Sheet::new(found.chain(domains).chain(tuned))
}

/// A row for each picture.
pub fn fill(
    sheet: &mut Sheet,
    given: &Given,
    found: Vec<Found>,
    tuned: Option<&[Found]>,
) -> domex_error::Result<()> {
    for (index, (given, found)) in given.all().iter().zip(found).enumerate() {
        let tuned = tuned.map_or(&[][..], |tuned| &tuned[index].pictures);
        let shown = sheet.has_room().then(|| given.pixels()).transpose()?;
        let cells = shown.into_iter().chain(found.pictures);
        sheet.add(&given.name, cells.chain(tuned.iter().cloned()));
    }
    Ok(())
}

/// The figures of all pictures.
pub fn report(given: &Given, found: &[Found], tuned: Option<&[Found]>) -> Json {
    let figures = |found: &Found| json!({ "distance": found.distance, "psnr": found.psnr });
    let pictures = given.all().iter().enumerate().map(|(index, given)| {
        let mut one = json!({ "name": given.name, "found": figures(&found[index]) });
        if let Some(tuned) = tuned {
            one["tuned"] = figures(&tuned[index]);
        }
        one
    });
    json!({ "pictures": pictures.collect::<Vec<_>>() })
}
