use super::*;

/// A face whose eyes and mouth are 2 `unit` wide, `unit` above and below `centre`, turned by an angle.
fn face(centre: [f64; 2], unit: f64, angle: f64) -> Face {
    let (sin, cos) = angle.sin_cos();
    let point = |[x, y]: [f64; 2]| {
        let (x, y) = (x * unit, y * unit);
        [centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos]
    };
    Face {
        score: 1.0,
        bounds: [0.0; 4],
        landmarks: [[-1., -1.], [1., -1.], [0., 0.], [-1., 1.], [1., 1.]].map(point),
    }
}

/// Each channel a ramp, so that a pixel says where it was.
fn ramps(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 40]))
}

fn near(a: [f64; 2], b: [f64; 2]) -> bool {
    (a[0] - b[0]).abs() < 1e-9 && (a[1] - b[1]).abs() < 1e-9
}

#[test]
fn the_square_follows_the_formula() {
    // Eyes 20 apart, the mouth 20 below: half a side is max(2 · 20, 1.8 · 20), the centre a tenth below the eyes.
    let square = Square::around(&face([100.0, 90.0], 10.0, 0.0)).unwrap();
    assert!(near(square.centre, [100.0, 82.0]) && near(square.half, [40.0, 0.0]));
    // A head turned aside: the eyes are near one another, and the mouth decides.
    let mut aside = face([100.0, 90.0], 10.0, 0.0);
    for landmark in &mut aside.landmarks {
        landmark[0] = 100.0 + (landmark[0] - 100.0) / 4.0;
    }
    assert!(near(Square::around(&aside).unwrap().half, [36.0, 0.0]));
    // It turns with the head.
    let turned = Square::around(&face([100.0, 90.0], 10.0, 0.3)).unwrap();
    let (sin, cos) = 0.3f64.sin_cos();
    assert!(near(turned.half, [40.0 * cos, 40.0 * sin]));
    assert!(near(turned.centre, [100.0 + 8.0 * sin, 90.0 - 8.0 * cos]));
}

#[test]
fn points_that_fix_no_square_are_refused() {
    for unit in [0.0, f64::NAN, f64::INFINITY] {
        let error = Square::around(&face([3.0, 4.0], unit, 0.0)).unwrap_err();
        assert!(error.to_string().contains("fix no square"), "{error}");
    }
}

#[test]
fn an_upright_square_at_its_own_size_is_a_crop() {
    let picture = ramps(200, 150);
    let square = Square {
        centre: [100.0, 70.0],
        half: [32.0, 0.0],
    };
    assert!(!square.leaves(&picture));
    let cut = square.cut(&picture, 64, Outside::Mirrored).unwrap();
    let crop = crop_imm(&picture, 68, 38, 64, 64).to_image();
    assert_eq!(cut, crop);
}

#[test]
fn a_turned_square_is_turned_back() {
    // By a quarter: right of the square is below in the picture.
    let picture = ramps(200, 150);
    let square = Square {
        centre: [100.0, 70.0],
        half: [0.0, 32.0],
    };
    let cut = square.cut(&picture, 64, Outside::Mirrored).unwrap();
    for (i, j) in [(0, 0), (63, 0), (10, 50)] {
        let expected = [131 - j as u8, 38 + i as u8, 40];
        assert_eq!(cut.get_pixel(i, j).0, expected);
    }
    // Upright landmarks of a turned head come out where those of an upright one do.
    let angle = 0.4;
    let square = Square::around(&face([100.0, 75.0], 8.0, angle)).unwrap();
    let mut dotted = RgbImage::new(200, 150);
    let [eye, ..] = face([100.0, 75.0], 8.0, angle).landmarks;
    for (x, y) in (0..9).map(|i| (i % 3, i / 3)) {
        let at = eye.map(|v| v.floor() as u32 - 1);
        dotted.put_pixel(at[0] + x, at[1] + y, Rgb([255; 3]));
    }
    let cut = square.cut(&dotted, 128, Outside::Mirrored).unwrap();
    let brightest = cut.enumerate_pixels().max_by_key(|(.., pixel)| pixel.0[0]);
    let (x, y, _) = brightest.unwrap();
    // The left eye is a quarter of the side left of the centre and a twentieth above it.
    assert!(x.abs_diff(48) <= 3 && y.abs_diff(61) <= 4, "{x} {y}");
}

#[test]
fn fine_stripes_become_grey_when_many_pixels_become_few() {
    let stripes = RgbImage::from_fn(1024, 1024, |x, _| Rgb([255 * (x % 2) as u8; 3]));
    for half in [[500.0, 0.0], [350.0, 100.0]] {
        let square = Square {
            centre: [512.0, 512.0],
            half,
        };
        let cut = square.cut(&stripes, 32, Outside::Mirrored).unwrap();
        let off = cut.pixels().map(|pixel| pixel.0[0].abs_diff(127)).max();
        assert!(off.unwrap() < 8, "{half:?}: {off:?}");
    }
}

#[test]
fn a_small_square_is_enlarged() {
    let square = Square {
        centre: [50.0, 50.0],
        half: [4.0, 0.0],
    };
    let cut = square.cut(&ramps(100, 100), 64, Outside::Mirrored).unwrap();
    let columns: Vec<u8> = (0..64).map(|x| cut.get_pixel(x, 5).0[0]).collect();
    assert_eq!((columns[4], columns[60]), (46, 53));
    assert!(columns.is_sorted());
}

#[test]
fn beyond_the_border_the_picture_is_mirrored_and_fades_to_one_colour() {
    // The square reaches 40 pixels beyond the left edge.
    let picture = RgbImage::from_fn(200, 200, |x, y| Rgb([((x / 4 + y / 4) % 2) as u8 * 200; 3]));
    let square = Square {
        centre: [24.0, 100.0],
        half: [64.0, 0.0],
    };
    assert!(square.leaves(&picture));
    let cut = square.cut(&picture, 128, Outside::Mirrored).unwrap();
    let contrast = |column: u32| {
        let column = (0..128).map(|y| cut.get_pixel(column, y).0[0]);
        column.clone().max().unwrap() - column.min().unwrap()
    };
    // Untouched far inside, soft at the edge, nearly flat at the far border.
    assert_eq!(contrast(100), 200);
    assert!(contrast(40) < 120, "{}", contrast(40));
    assert!(contrast(1) < 40, "{}", contrast(1));
    // Of a mask nothing is known there.
    let white = RgbImage::from_pixel(200, 200, Rgb([255; 3]));
    let mask = square.cut(&white, 128, Outside::Black).unwrap();
    assert_eq!(mask.get_pixel(10, 64).0, [0; 3]);
    assert_eq!(mask.get_pixel(60, 64).0, [255; 3]);
}

#[test]
fn indices_are_mirrored_without_repeating_the_border() {
    let indices: Vec<u32> = (-5..8).map(|i| mirrored(i, 4)).collect();
    assert_eq!(indices, [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
    assert_eq!(mirrored(-7, 1), 0);
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let square = Square {
        centre: [500.0, 50.0],
        half: [20.0, 0.0],
    };
    assert!(square.cut(&ramps(100, 100), 32, Outside::Mirrored).is_err());
    let square = Square {
        centre: [50.0, 50.0],
        ..square
    };
    assert!(square.cut(&ramps(100, 100), 0, Outside::Mirrored).is_err());
    assert!(
        square
            .cut(&RgbImage::new(0, 0), 8, Outside::Mirrored)
            .is_err()
    );
}
