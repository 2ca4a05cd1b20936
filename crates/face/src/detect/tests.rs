use image::Rgb;

use super::*;

/// Finds a face wherever a place is brighter than a half: see `tests/data/make_samples.py`.
fn detector() -> Detector {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bright.safetensors");
    Detector::load(path, &Device::Cpu).unwrap()
}

/// Black, with a spot of 8 × 8 pixels and a shade at each place.
fn picture(width: u32, height: u32, spots: &[(u32, u32, u8)]) -> RgbImage {
    let mut picture = RgbImage::new(width, height);
    for &(x, y, shade) in spots {
        for (i, j) in (0..64).map(|i| (i % 8, i / 8)) {
            picture.put_pixel(x + i, y + j, Rgb([shade; 3]));
        }
    }
    picture
}

fn near(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3)
}

#[test]
fn a_level_is_decoded_by_the_formula() {
    let (rows, columns, stride) = (2, 3, 16);
    let mut values = vec![-30f32; CHANNELS * 6];
    let place = 4; // x 1, y 1
    let mut set = |channel: usize, value: f32| values[channel * 6 + place] = value;
    set(0, 3.0);
    set(1, 2.0);
    let predicted = [
        0.5,
        -0.25,
        0.0,
        2f32.ln(),
        1.,
        2.,
        3.,
        4.,
        5.,
        6.,
        7.,
        8.,
        -1.,
        -2.,
    ];
    for (i, value) in predicted.into_iter().enumerate() {
        set(2 + i, value);
    }
    let faces = decode(&values, rows, columns, stride);
    let [face] = faces.as_slice() else {
        panic!("{faces:?}");
    };
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    assert!((face.score - (sigmoid(3.0) * sigmoid(2.0)).sqrt()).abs() < 1e-6);
    // Centre (24, 12), 16 × 32.
    assert!(near(&face.bounds, &[16.0, -4.0, 16.0, 32.0]), "{face:?}");
    assert!(near(&face.landmarks[0], &[32.0, 48.0]), "{face:?}");
    assert!(near(&face.landmarks[4], &[0.0, -16.0]), "{face:?}");

    // A size that is no number is no face, and neither is what the network is not sure of.
    values[4 * 6 + place] = 800.0;
    assert!(decode(&values, rows, columns, stride).is_empty());
    values[4 * 6 + place] = 0.0;
    values[place] = 0.0;
    assert!(decode(&values, rows, columns, stride).is_empty());
}

#[test]
fn of_overlapping_boxes_the_surest_is_kept() {
    let face = |score: f64, x: f64, width: f64| Face {
        score,
        bounds: [x, 0.0, width, 10.0],
        landmarks: [[0.0; 2]; 5],
    };
    // The second shares a third with the first; the third a fifth.
    let faces = vec![
        face(0.9, 0.0, 10.0),
        face(0.95, 5.0, 10.0),
        face(0.93, 11.7, 10.0),
    ];
    let scores: Vec<f64> = distinct(faces).iter().map(|face| face.score).collect();
    assert_eq!(scores, [0.95, 0.93]);
}

#[test]
fn several_looks_have_a_mean_also_through_the_mirror() {
    let face = Face {
        score: 0.9,
        bounds: [10.0, 20.0, 30.0, 40.0],
        landmarks: [[15., 30.], [33., 31.], [24., 40.], [17., 50.], [31., 52.]],
    };
    let mirrored = face.mirrored(100.0);
    assert_eq!(mirrored.bounds, [60.0, 20.0, 30.0, 40.0]);
    // The left eye in the picture comes first there, too.
    assert_eq!(mirrored.landmarks[0], [67.0, 31.0]);
    assert_eq!(mirrored.landmarks[3], [69.0, 52.0]);
    assert_eq!(mirrored.mirrored(100.0), face);
    let mean = Face::mean(&[face.clone(), face.moved([1.0; 2], [2.0, -4.0])]).unwrap();
    assert_eq!(mean, face.moved([1.0; 2], [1.0, -2.0]));
    assert_eq!(Face::mean(&[]), None);
}

#[test]
fn faces_come_in_pixels_of_their_picture_the_largest_first() {
    let small = picture(640, 480, &[(80, 160, 200), (320, 240, 255), (560, 40, 100)]);
    let faces = detector().faces(&small).unwrap();
    assert_eq!(faces.len(), 2);
    let face = &faces[0];
    assert!(near(&face.bounds, &[312.0, 228.0, 16.0, 24.0]), "{face:?}");
    assert!(near(&face.landmarks[1], &[328.0, 232.0]), "{face:?}");
    assert_eq!(face.centre(), [320.0, 240.0]);
    assert!(faces[1].area() < face.area() && faces[1].bounds[0] < 80.0);
    // Each of them can be looked at again, and stays itself.
    for face in &faces {
        let again = detector().refined(&small, face).unwrap();
        assert!(near(&again.centre(), &face.centre()), "{again:?}");
    }

    // Twice as large, the same faces are.
    let large = image::imageops::resize(&small, 1280, 960, image::imageops::Nearest);
    let face = &detector().faces(&large).unwrap()[0];
    assert!(near(&face.bounds, &[624.0, 456.0, 32.0, 48.0]), "{face:?}");
}

#[test]
fn small_faces_of_large_pictures_are_looked_for_last() {
    // At 640 pixels the spot is one pixel, between those that the first convolution looks at; at 1280 it is two.
    let mut large = RgbImage::new(2560, 32);
    for (x, y) in (0..16).map(|i| (1028 + i % 4, 4 + i / 4)) {
        large.put_pixel(x, y, Rgb([255; 3]));
    }
    let faces = detector().faces(&large).unwrap();
    assert_eq!(faces.len(), 1, "{faces:?}");
    // 16 pixels at most, of twice the size.
    assert!((20.0..=32.0).contains(&faces[0].bounds[2]), "{faces:?}");
}

#[test]
fn where_there_is_none_none_is_found() {
    assert!(
        detector()
            .faces(&RgbImage::new(300, 20))
            .unwrap()
            .is_empty()
    );
    assert!(detector().faces(&RgbImage::new(1, 1)).unwrap().is_empty());
    assert!(detector().faces(&RgbImage::new(0, 5)).is_err());
}
