//! The pictures that `domex adapt` makes in the domains, and their grid.

use std::path::Path;

use domex_data::counted;
use domex_stylegan2::Generator;
use image::imageops::FilterType;
use image::{Rgb, RgbImage};
use serde_json::json;

use super::{Adapt, Made};
use crate::context::Context;
use crate::domains::{BASE, Domains};
use crate::gallery::Gallery;
use crate::kinds::Model;
use crate::pictures::Painter;
use crate::progress::Progress;
use crate::seeds::List;
use crate::sheet::Sheet;

/// The seeds on the base subspace, and in each domain after the picture that shows it.
pub fn show(
    context: &Context,
    args: &Adapt,
    mut made: Made,
    mut gallery: Gallery,
) -> domex_error::Result<()> {
    let mut generator = Generator::from_tensors(&made.model.g_ema.tensors(), made.model.config())?;
    if let Some(expansion) = &made.model.expansion {
        generator.follow_domains(expansion)?;
    }
    made.model.g_ema = generator;
    let model = Model::StyleGan2(Box::new(made.model));
    let names = made.domains.iter().map(|one| one.domain.name.clone());
    let names: Vec<String> = names.collect();
    let folders = match names.len() {
        1 => vec![String::new()],
        _ => gallery.folders(&names)?,
    };
    let usual: Vec<u32> = (0..8).collect();
    let seeds = args.seeds.as_ref().map_or(&*usual, List::values);
    // Before each row the picture that was given.
    let given = (!args.image.is_empty()).then(|| "given".to_owned());
    let labels = seeds.iter().map(|seed| format!("seed {seed}"));
    let mut rows = Rows {
        args,
        seeds,
        side: u32::try_from(model.generator().resolution())?,
        domains: Domains::of(model.generator(), model.expansion(), "adapt")?,
        painter: Painter::new(context, &model, &args.synthesis)?,
        progress: context.progress("pictures", (names.len() + 1) * seeds.len()),
        sheet: Sheet::new(given.into_iter().chain(labels)),
        gallery,
    };
    rows.add(None, None)?;
    let mut results = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let files = rows.add(Some((name, &folders[at])), made.pictures[at].as_ref())?;
        let seconds = made.seconds[at];
        results.push(json!({ "domain": name, "pictures": files, "seconds": seconds }));
    }
    let (sheet, mut gallery) = (rows.sheet, rows.gallery);
    drop(rows.progress);
    gallery.show(None, || sheet.draw())?;
    if let Some(notice) = sheet.notice() {
        context.say(&notice);
    }
    context.say(&format!(
        "{}, made in {:.2} s: {}",
        match names.as_slice() {
            [one] => one.clone(),
            all => counted(all.len(), "domain"),
        },
        made.seconds.iter().sum::<f64>(),
        gallery.told()
    ));
    context.result(&json!({ "domains": results, "grid": gallery.grid() }));
    Ok(())
}

/// The rows of the grid, painted one by one, and the single pictures of domains.
struct Rows<'a> {
    args: &'a Adapt,
    seeds: &'a [u32],
    side: u32,
    domains: Domains<'a>,
    painter: Painter<'a>,
    progress: Progress,
    sheet: Sheet,
    gallery: Gallery,
}

impl Rows<'_> {
    /// The row of a domain, with its folder and what was seen of its picture, or that of the base. The files of its pictures.
    fn add(
        &mut self,
        domain: Option<(&str, &str)>,
        seen: Option<&RgbImage>,
    ) -> domex_error::Result<Vec<String>> {
        let part = domain.map(|(name, _)| (name.to_owned(), self.args.alpha));
        let given = (!self.args.image.is_empty()).then(|| beside(seen, self.side));
        let mut cells: Vec<RgbImage> = given.into_iter().collect();
        let mut files = Vec::new();
        for chunk in self.seeds.chunks(self.args.synthesis.batch.into()) {
            let base = self.domains.base(&self.painter.latents(chunk)?)?;
            let moved = self.domains.moved(&base, part.as_slice())?;
            self.painter.paint(&moved, |index, picture| {
                if let Some((_, folder)) = domain {
                    let file = Path::new(folder).join(format!("seed{:04}.png", chunk[index]));
                    files.extend(self.gallery.add(file, &picture)?);
                }
                if cells.len() < self.sheet.columns() {
                    cells.push(picture);
                }
                self.progress.advance(1);
                Ok(())
            })?;
        }
        let label = domain.map_or(BASE, |(name, _)| name);
        self.sheet.add(label, cells);
        Ok(files)
    }
}

/// The picture that a domain is of, as large as those of the generator; white where there is none.
fn beside(seen: Option<&RgbImage>, side: u32) -> RgbImage {
    match seen {
        None => RgbImage::from_pixel(side, side, Rgb([255; 3])),
        Some(seen) if seen.dimensions() == (side, side) => seen.clone(),
        Some(seen) => image::imageops::resize(seen, side, side, FilterType::CatmullRom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_picture_of_any_size_stands_beside_its_domain_as_large_as_that() {
        let halves = |side: u32| {
            RgbImage::from_fn(side, side, |x, _| match x < side / 2 {
                true => Rgb([200, 0, 0]),
                false => Rgb([0, 0, 200]),
            })
        };
        assert_eq!(beside(Some(&halves(16)), 16), halves(16));
        for seen in [8, 40] {
            let shown = beside(Some(&halves(seen)), 16);
            assert_eq!(shown.dimensions(), (16, 16), "{seen}");
            let columns = [2, 13].map(|x| shown.get_pixel(x, 8).0);
            assert_eq!(columns, [[200, 0, 0], [0, 0, 200]], "{seen}");
        }
        assert_eq!(beside(None, 2), RgbImage::from_pixel(2, 2, Rgb([255; 3])));
    }
}
