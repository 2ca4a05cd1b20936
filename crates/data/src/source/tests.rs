use std::fs;
use std::io::Write as _;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use image::{Rgb, RgbImage};

use super::*;
use crate::picture::{encode_png, write_png};
use crate::portraits::{Domain, SIZES};

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
    assert!(text.contains("4 of 6 pictures"), "{text}");
    assert!(
        text.contains("small.png (8 × 8, expected 16 × 16 as most are)"),
        "{text}"
    );
    assert!(text.contains("--skip-bad") && text.contains("and 1 more"));

    let skip = Options {
        skip_bad: true,
        ..Options::default()
    };
    let opened = open(root.path(), skip).unwrap();
    assert_eq!((opened.source.len(), opened.skipped.len()), (2, 4));
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
        labels: LabelsFrom::Json,
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

    with("[[\"00000\\\\a.png\", 2.0], [\"00000/b.png\", 0.0]]");
    let source = open(&path, labels).unwrap().source;
    assert_eq!(source.get(0).unwrap().1, [0.0, 0.0, 1.0]);
    let marked = [b"\xef\xbb\xbf".to_vec(), json("[[\"a.png\", 0]]")].concat();
    archive(&path, &[("a.png", png(1)), ("dataset.json", marked)]);
    assert_eq!(open(&path, labels).unwrap().source.label_dim(), 1);

    for (bad, part) in [
        ("[[\"00000/a.png\", 1]]", "no label for 00000/b.png"),
        (
            "[[\"00000/a.png\", \"cat\"]]",
            "the label of \"00000/a.png\" is \"cat\"; a label is the number of a class",
        ),
        ("[[\"00000/a.png\", 0.5]]", "is 0.5"),
        ("[[\"00000/a.png\", [1, null]]]", "is [1,null]"),
        ("[\"00000/a.png\"]", "entry 0"),
        ("{\"00000/a.png\": 1}", "no list"),
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
        ("[[\"00000/a.png\", -1]]", "is -1"),
        (
            "[[\"00000/a.png\", 1], [\"00000\\\\a.png\", 0], [\"00000/b.png\", 1]]",
            "two labels for \"00000/a.png\"",
        ),
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
fn a_zip_may_have_backslashes_between_folders() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("set.zip");
    let png = |shade| encode_png(&picture(16, shade)).unwrap();
    let json = br#"{"labels": [["00000/a.png", 0], ["00000/b.png", 1]]}"#;
    archive(
        &path,
        &[
            ("00000\\b.png", png(2)),
            ("00000\\a.png", png(1)),
            ("dataset.json", json.to_vec()),
        ],
    );
    let labels = Options {
        labels: LabelsFrom::Json,
        ..Options::default()
    };
    let source = open(&path, labels).unwrap().source;
    assert_eq!((source.len(), source.label_dim()), (2, 2));
    assert_eq!(source.get(0).unwrap().0.get_pixel(0, 0).0[0], 1);
    archive(&path, &[("x\\a.png", png(1)), ("x/a.png", png(2))]);
    assert!(refusal(&path, Options::default()).contains("\"x/a.png\" twice"));
}

#[test]
fn the_first_picture_does_not_decide() {
    let root = tempfile::tempdir().unwrap();
    write_png(&root.path().join("000_thumb.png"), &picture(32, 1)).unwrap();
    for i in 1..4 {
        write_png(&root.path().join(format!("{i}.png")), &picture(16, 1)).unwrap();
    }
    let text = refusal(root.path(), Options::default());
    assert!(text.contains("1 of 4 pictures") && text.contains("000_thumb.png"));
    let skip = Options {
        skip_bad: true,
        ..Options::default()
    };
    let opened = open(root.path(), skip).unwrap();
    assert_eq!((opened.source.len(), opened.source.resolution()), (3, 16));
}

#[test]
fn grey_pictures_are_one_channel_and_three_among_coloured_ones() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join(name);
    for name in ["a.png", "b.png"] {
        fs::write(file(name), grey(16)).unwrap();
    }
    let opened = open(root.path(), Options::default()).unwrap();
    assert_eq!(opened.source.channels(), 1);
    assert!(opened.source.describe().contains("16 × 16, grey"));
    for name in ["c.png", "d.png", "e.png"] {
        write_png(&file(name), &picture(16, 1)).unwrap();
    }
    let opened = open(root.path(), Options::default()).unwrap();
    assert_eq!((opened.source.channels(), opened.source.len()), (3, 5));
    assert!(
        opened.notices[0].contains("2 of 5 pictures are grey"),
        "{:?}",
        opened.notices
    );
}

#[test]
fn transparency_shows_the_background_and_is_told() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a.png");
    image::RgbaImage::from_pixel(16, 16, image::Rgba([9, 9, 9, 0]))
        .save(&path)
        .unwrap();
    write_png(&root.path().join("b.png"), &picture(16, 1)).unwrap();
    let on = |background: &str| {
        let options = Options {
            background: background.parse().unwrap(),
            ..Options::default()
        };
        open(root.path(), options).unwrap()
    };
    let opened = on("white");
    assert_eq!(opened.source.get(0).unwrap().0.get_pixel(3, 3).0, [255; 3]);
    assert!(opened.notices[0].starts_with("1 of 2 pictures are transparent"));
    let blue = on("#0000ff").source.get(0).unwrap().0;
    assert_eq!(blue.get_pixel(3, 3).0, [0, 0, 255]);
}

#[test]
fn every_known_ending_is_read_and_the_rest_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = |name: &str| root.path().join(name);
    let known = ["a.bmp", "b.tiff", "c.ppm", "d.png", "e.gif", "f.webp"];
    for name in known {
        picture(16, 1).save(file(name)).unwrap();
    }
    for name in ["g.jfif", "h.jpe"] {
        let format = image::ImageFormat::Jpeg;
        picture(16, 1).save_with_format(file(name), format).unwrap();
    }
    fs::write(file("i.heic"), "not read").unwrap();
    let opened = open(root.path(), Options::default()).unwrap();
    assert_eq!(opened.source.len(), 8);
    assert!(
        opened.notices[0].contains("1 .heic (i.heic)"),
        "{:?}",
        opened.notices
    );
}

#[test]
fn pictures_of_any_size_are_cropped_and_resized_on_request() {
    let root = tempfile::tempdir().unwrap();
    // Red in the middle square, blue beside it.
    let wide = RgbImage::from_fn(40, 20, |x, _| match (10..30).contains(&x) {
        true => Rgb([200, 0, 0]),
        false => Rgb([0, 0, 200]),
    });
    write_png(&root.path().join("a.png"), &wide).unwrap();
    write_png(&root.path().join("b.png"), &picture(8, 1)).unwrap();
    let resize = Options {
        resize: Some(16),
        ..Options::default()
    };
    let source = open(root.path(), resize).unwrap().source;
    assert_eq!((source.len(), source.resolution()), (2, 16));
    let picture = source.get(0).unwrap().0;
    assert!(picture.pixels().all(|pixel| pixel.0 == [200, 0, 0]));
}

#[test]
fn pictures_are_counted_by_their_names_in_all_sub_folders() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("more")).unwrap();
    for name in ["a.png", "more/b.png", "more/c.txt"] {
        fs::write(root.path().join(name), "not looked at").unwrap();
    }
    assert_eq!(count(root.path()).unwrap(), 2);
}

#[test]
fn folders_are_classes_on_request() {
    let root = tempfile::tempdir().unwrap();
    for name in ["dog/1.png", "cat/2.png", "cat/old/3.png"] {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(&path, &picture(16, 1)).unwrap();
    }
    let options = Options {
        labels: LabelsFrom::Folders,
        ..Options::default()
    };
    let opened = open(root.path(), options).unwrap();
    assert_eq!(opened.classes, ["cat", "dog"]);
    let labels: Vec<_> = (0..3).map(|i| opened.source.label(i).unwrap()).collect();
    assert_eq!(labels, [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
    write_png(&root.path().join("stray.png"), &picture(16, 1)).unwrap();
    assert!(refusal(root.path(), options).contains("stray.png"));
}

#[test]
fn what_was_seen_is_kept_until_the_file_changes() {
    let root = tempfile::tempdir().unwrap();
    let (set, cache) = (root.path().join("set"), root.path().join("cache"));
    fs::create_dir(&set).unwrap();
    let file = set.join("a.png");
    let whole = encode_png(&picture(16, 1)).unwrap();
    let torn = vec![0; whole.len()];
    let write = |bytes: &[u8], age: u64| {
        fs::write(&file, bytes).unwrap();
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        let handle = fs::File::options().append(true).open(&file).unwrap();
        handle.set_modified(time).unwrap();
    };
    let look = || {
        let watch = Watch {
            cache: Some(&cache),
            progress: None,
        };
        open_watched(&set, Options::default(), watch)
    };
    // Same size and time: what was seen stands, so the file is not decoded again.
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let dated = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        let handle = fs::File::options().append(true).open(&file).unwrap();
        handle.set_modified(time).unwrap();
    };
    dated(&whole);
    assert!(look().is_ok());
    dated(&torn);
    assert!(look().is_ok());
    write(&torn, 60);
    assert!(look().is_err());
    // A file this young is not relied on.
    write(&whole, 0);
    assert!(look().is_ok());
    fs::write(&file, &torn).unwrap();
    assert!(look().is_err());
}

#[test]
fn the_look_is_counted() {
    let root = tempfile::tempdir().unwrap();
    for i in 0..3 {
        write_png(&root.path().join(format!("{i}.png")), &picture(16, 1)).unwrap();
    }
    let counts = std::sync::Mutex::new((0, 0));
    let progress = |progress| {
        let mut counts = counts.lock().unwrap();
        match progress {
            Progress::Begun(total) => counts.0 = total,
            Progress::Picture => counts.1 += 1,
        }
    };
    let watch = Watch {
        cache: None,
        progress: Some(&progress),
    };
    open_watched(root.path(), Options::default(), watch).unwrap();
    assert_eq!(*counts.lock().unwrap(), (3, 3));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_named_or_skipped() {
    use std::os::unix::ffi::OsStrExt as _;
    let root = tempfile::tempdir().unwrap();
    write_png(&root.path().join("a.png"), &picture(16, 1)).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"b\xff.png");
    fs::copy(root.path().join("a.png"), root.path().join(name)).unwrap();
    assert!(refusal(root.path(), Options::default()).contains("not UTF-8"));
    let skip = Options {
        skip_bad: true,
        ..Options::default()
    };
    let opened = open(root.path(), skip).unwrap();
    assert_eq!((opened.source.len(), opened.skipped.len()), (1, 1));
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
    let sized = |size| Portraits::new(1, Domain::Photo, size);
    assert!(sized(*SIZES.end()).is_ok() && sized(SIZES.end() + 1).is_err());
}
