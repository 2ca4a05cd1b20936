use std::fs;
use std::io::Write as _;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use image::{Rgb, RgbImage};

use super::*;
use crate::picture::{encode_png, write_png};
use crate::portraits::Domain;

fn picture(size: u32, shade: u8) -> RgbImage {
    RgbImage::from_fn(size, size, |x, _| Rgb([shade, x as u8, 7]))
}

fn grey(size: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::new(size, size)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

fn archive(path: &Path, files: &[(&str, Vec<u8>)]) {
    let mut zip = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn refusal(path: &Path, options: Options) -> String {
    match open(path, options) {
        Ok(_) => panic!("{} was accepted", path.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_folder_is_read_with_its_sub_folders_in_order() {
    let root = tempfile::tempdir().unwrap();
    for (name, shade) in [("b/1.png", 3), ("a/2.PNG", 2), ("a/1.png", 1)] {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(&path, &picture(16, shade)).unwrap();
    }
    fs::write(root.path().join("notes.txt"), "no picture").unwrap();
    fs::write(root.path().join(".hidden.png"), "no picture").unwrap();
    let opened = open(root.path(), Options::default()).unwrap();
    let source = opened.source;
    assert_eq!((source.len(), source.resolution()), (3, 16));
    assert_eq!(source.label_dim(), 0);
    let (pictures, labels) = batch(&*source, &[2, 0, 1, 2]).unwrap();
    let shades: Vec<u8> = pictures.iter().map(|p| p.get_pixel(0, 0).0[0]).collect();
    assert_eq!(shades, [3, 1, 2, 3]);
    assert!(labels.iter().all(Vec::is_empty));
    assert!(source.get(3).is_err());
    assert!(source.describe().contains("3 pictures of 16 × 16"));

    let mirror = Options {
        mirror: true,
        ..Options::default()
    };
    let source = open(root.path(), mirror).unwrap().source;
    assert_eq!(source.len(), 6);
    let (plain, flipped) = (source.get(1).unwrap().0, source.get(4).unwrap().0);
    assert_eq!(plain.get_pixel(3, 5), flipped.get_pixel(12, 5));
    assert!(source.get(6).is_err());
}

#[test]
fn bad_pictures_are_named_or_skipped() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join(name);
    write_png(&file("a.png"), &picture(16, 1)).unwrap();
    write_png(&file("small.png"), &picture(8, 1)).unwrap();
    write_png(&file("wide.png"), &RgbImage::new(16, 8)).unwrap();
    fs::write(file("grey.png"), grey(16)).unwrap();
    fs::write(file("text.png"), "hello").unwrap();
    let whole = encode_png(&picture(16, 1)).unwrap();
    fs::write(file("torn.png"), &whole[..whole.len() - 20]).unwrap();
    let text = refusal(root.path(), Options::default());
    assert!(text.contains("5 of 6 pictures"), "{text}");
    assert!(text.contains("grey.png (grey, expected colour)"), "{text}");
    assert!(
        text.contains("small.png (8 × 8, expected 16 × 16)"),
        "{text}"
    );
    assert!(text.contains("--skip-bad") && text.contains("and 2 more"));

    let skip = Options {
        skip_bad: true,
        ..Options::default()
    };
    let opened = open(root.path(), skip).unwrap();
    assert_eq!((opened.source.len(), opened.skipped.len()), (1, 5));
    assert!(
        opened
            .skipped
            .iter()
            .any(|line| line.starts_with("wide.png"))
    );
    fs::remove_file(file("a.png")).unwrap();
    fs::remove_file(file("small.png")).unwrap();
    fs::remove_file(file("grey.png")).unwrap();
    let text = refusal(root.path(), skip);
    assert!(
        text.contains("not square"),
        "nothing is left to train on: {text}"
    );
}

#[cfg(unix)]
#[test]
fn a_picture_that_cannot_be_read_is_named() {
    let root = tempfile::tempdir().unwrap();
    write_png(&root.path().join("a.png"), &picture(16, 1)).unwrap();
    let nowhere = root.path().join("nowhere");
    std::os::unix::fs::symlink(nowhere, root.path().join("lost.png")).unwrap();
    let text = refusal(root.path(), Options::default());
    assert!(
        text.contains("1 of 2 pictures") && text.contains("lost.png"),
        "{text}"
    );
    let skip = Options {
        skip_bad: true,
        ..Options::default()
    };
    let opened = open(root.path(), skip).unwrap();
    assert_eq!((opened.source.len(), opened.skipped.len()), (1, 1));
}

#[test]
fn what_holds_no_pictures_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let text = refusal(root.path(), Options::default());
    assert!(text.contains("holds no picture"), "{text}");
    let text = refusal(&root.path().join("absent"), Options::default());
    assert!(text.contains("absent"), "{text}");
    let file = root.path().join("x.zip");
    fs::write(&file, "no zip").unwrap();
    let text = refusal(&file, Options::default());
    assert!(text.contains("x.zip: is neither"), "{text}");
}

#[test]
fn a_zip_with_labels() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("set.zip");
    let png = |shade| encode_png(&picture(16, shade)).unwrap();
    let json = |labels: &str| format!("{{\"labels\": {labels}}}").into_bytes();
    let with = |labels: &str| {
        let files = [
            ("00000/b.png", png(2)),
            ("00000/a.png", png(1)),
            ("dataset.json", json(labels)),
        ];
        archive(&path, &files);
    };
    let labels = Options {
        labels: true,
        ..Options::default()
    };
    with("[[\"00000/a.png\", 2], [\"00000/b.png\", 0]]");
    let source = open(&path, labels).unwrap().source;
    assert_eq!((source.len(), source.label_dim()), (2, 3));
    let (first, label) = source.get(0).unwrap();
    assert_eq!(
        (first.get_pixel(0, 0).0[0], label),
        (1, vec![0.0, 0.0, 1.0])
    );
    assert_eq!(
        open(&path, Options::default()).unwrap().source.label_dim(),
        0
    );

    with("[[\"00000/a.png\", [0.5, 1]], [\"00000/b.png\", [2, 3]]]");
    let source = open(&path, labels).unwrap().source;
    assert_eq!(source.get(1).unwrap().1, [2.0, 3.0]);

    for (bad, part) in [
        ("[[\"00000/a.png\", 1]]", "no label for 00000/b.png"),
        ("null", "no labels"),
        ("[[\"00000/a.png\", 1], [\"00000/b.png\", [1]]]", "mixes"),
        (
            "[[\"00000/a.png\", [1, 2]], [\"00000/b.png\", [1]]]",
            "lengths",
        ),
        (
            "[[\"00000/a.png\", 4000000000], [\"00000/b.png\", 1]]",
            "size",
        ),
        ("[[\"00000/a.png\", -1]]", "not as expected"),
    ] {
        with(bad);
        let text = refusal(&path, labels);
        assert!(text.contains(part), "{text}");
    }
    archive(&path, &[("a.png", png(1))]);
    assert!(refusal(&path, labels).contains("dataset.json"));
}

#[test]
fn a_zip_that_climbs_out_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("set.zip");
    let png = encode_png(&picture(16, 1)).unwrap();
    for name in [
        "../evil.png",
        "a/../../evil.png",
        "/evil.png",
        "..\\evil.png",
    ] {
        archive(&path, &[("a.png", png.clone()), (name, png.clone())]);
        let text = refusal(
            &path,
            Options {
                skip_bad: true,
                ..Options::default()
            },
        );
        assert!(
            text.contains("evil.png") && text.contains("leads out"),
            "{text}"
        );
    }
}

#[test]
fn portraits_depend_on_seed_and_index_alone() {
    let of = |seed| Portraits::new(seed, Domain::Photo, 32).unwrap();
    let source = of(1);
    let (pictures, _) = batch(&source, &[5, 0, 4_294_967_295]).unwrap();
    assert_eq!(pictures[0], source.get(5).unwrap().0);
    assert_ne!(pictures[0], pictures[1]);
    assert_ne!(pictures[0], of(2).get(5).unwrap().0);
    assert_eq!(pictures[2].dimensions(), (32, 32));
    assert!(source.get(1 << 32).is_err());
    assert!(Portraits::new(1, Domain::Photo, 1 << 20).is_err());
}
