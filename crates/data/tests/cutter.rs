//! Sets whose squares the caller cuts.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use domex_data::picture::write_png;
use domex_data::source::{Cutter, Opened, Options, Watch, open_cut};
use image::imageops::crop_imm;
use image::{Rgb, RgbImage};

/// Takes the upper left corner of bright pictures.
struct Corner;

impl Cutter for Corner {
    fn look(&self, name: &str, picture: &RgbImage) -> Result<(), String> {
        match picture.get_pixel(0, 0).0[0] {
            0 => Err(format!("{name} is dark")),
            _ => Ok(()),
        }
    }

    fn cut(&self, _: &str, picture: &RgbImage, side: u32) -> Result<RgbImage, String> {
        Ok(crop_imm(picture, 0, 0, side, side).to_image())
    }
}

#[test]
fn a_cutter_says_what_is_taken_of_each_picture_and_which_have_nothing() {
    let root = tempfile::tempdir().unwrap();
    for (name, shade) in [("a.png", 9), ("b.png", 0), ("c.png", 7)] {
        let picture = RgbImage::from_fn(20, 16, |x, _| Rgb([shade, x as u8, 7]));
        write_png(&root.path().join(name), &picture).unwrap();
    }
    let open = |skip_bad: bool, resize: Option<u32>| {
        let options = Options {
            skip_bad,
            resize,
            ..Options::default()
        };
        open_cut(root.path(), options, Watch::default(), Arc::new(Corner))
    };
    let refused = |result: domex_data::Result<Opened>, words: &str| {
        let error = result.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(open(false, Some(4)), "b.png (b.png is dark)");
    refused(open(true, None), "squares of no size");
    let opened = open(true, Some(4)).unwrap();
    assert_eq!(opened.skipped, ["b.png (b.png is dark)"]);
    let (picture, _) = opened.source.get(1).unwrap();
    assert_eq!(picture.dimensions(), (4, 4));
    // The columns of the corner, not of the middle.
    assert_eq!(picture.get_pixel(3, 0).0, [7, 3, 7]);
}
