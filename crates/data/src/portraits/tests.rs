use std::collections::BTreeSet;

use domex_random::{Stream, Streams};
use image::RgbImage;

use super::lanes::Points;
use super::*;

fn stream(name: &str) -> Stream {
    Streams::new(3).stream(name)
}

fn people(n: usize) -> Vec<Factors> {
    let mut stream = stream("people");
    (0..n).map(|_| Factors::draw(&mut stream)).collect()
}

/// Mean absolute difference, in grey levels.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let sum: u64 = a
        .as_raw()
        .iter()
        .zip(b.as_raw())
        .map(|(x, y)| u64::from(x.abs_diff(*y)))
        .sum();
    sum as f64 / a.as_raw().len() as f64
}

#[test]
fn a_portrait_is_a_function_of_factors_domain_and_seed() {
    for person in people(3) {
        for &domain in Domain::ALL {
            let one = render(&person, domain, 5, 48);
            assert_eq!(one, render(&person, domain, 5, 48), "{domain}");
        }
        let photo = render(&person, Domain::Photo, 5, 48);
        assert_ne!(photo, render(&person, Domain::Photo, 6, 48));
    }
}

#[test]
fn every_domain_looks_different_from_every_other() {
    for person in people(2) {
        let pictures: Vec<_> = Domain::ALL
            .iter()
            .map(|&domain| (domain, render(&person, domain, 1, 64)))
            .collect();
        for (i, (a, first)) in pictures.iter().enumerate() {
            for (b, second) in &pictures[..i] {
                let d = difference(first, second);
                assert!(d > 4.0, "{a} and {b} differ by {d:.2} grey levels only");
            }
        }
    }
}

#[test]
fn a_person_on_another_occasion_keeps_what_makes_the_person() {
    let people = people(2);
    let same = people[0].on_occasion_of(&people[1]);
    let pose = |f: &Factors| (f.yaw, f.tilt, f.smile, f.light, f.background_hue);
    assert_eq!(pose(&same), pose(&people[1]));
    assert_eq!(same.on_occasion_of(&people[0]), people[0]);
}

#[test]
fn each_factor_changes_the_picture() {
    let mut base = people(1).remove(0);
    (base.glasses, base.beard, base.hat) = (Glasses::None, Beard::None, Hat::None);
    (base.hair_style, base.age, base.yaw) = (HairStyle::Short, 0.2, 0.0);
    let before = render(&base, Domain::Photo, 1, 64);
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Factors));
    let changes: &[Change<'_>] = &[
        ("yaw", &|f| f.yaw = 0.9),
        ("tilt", &|f| f.tilt = if f.tilt > 0.0 { -1.0 } else { 1.0 }),
        ("face width", &|f| f.face_width = 1.0 - f.face_width.round()),
        ("skin", &|f| f.skin = 1.0 - f.skin.round()),
        ("hair style", &|f| f.hair_style = HairStyle::Long),
        ("hair colour", &|f| {
            f.hair_colour = if f.hair_colour == HairColour::Grey {
                HairColour::Black
            } else {
                HairColour::Grey
            }
        }),
        ("smile", &|f| {
            f.smile = if f.smile > 0.0 { -1.0 } else { 1.0 }
        }),
        ("glasses", &|f| f.glasses = Glasses::Square),
        ("beard", &|f| f.beard = Beard::Full),
        ("hat", &|f| f.hat = Hat::Cap),
        ("age", &|f| f.age = 1.0),
        ("light", &|f| {
            f.light = if f.light > 0.0 { -1.0 } else { 1.0 }
        }),
        ("background", &|f| {
            f.background_hue = (f.background_hue + 0.5) % 1.0;
        }),
        ("cloth", &|f| f.cloth_hue = (f.cloth_hue + 0.5) % 1.0),
    ];
    for (name, change) in changes {
        let mut other = base.clone();
        change(&mut other);
        let d = difference(&before, &render(&other, Domain::Photo, 1, 64));
        // The smallest, a smile, is some twenty pixels of the mouth.
        assert!(d > 0.08, "{name} changes {d:.3} grey levels only");
    }
}

#[test]
fn sizes_and_factors_out_of_range_are_brought_within() {
    let person = &people(1)[0];
    assert_eq!(render(person, Domain::Photo, 0, 0).width(), *SIZES.start());
    assert_eq!(render(person, Domain::Photo, 0, 33).dimensions(), (33, 33));
    let mut odd = person.clone();
    (odd.yaw, odd.face_width, odd.skin, odd.smile) = (f32::NAN, f32::INFINITY, -7.0, 1e30);
    let mut mended = person.clone();
    (mended.yaw, mended.face_width, mended.skin, mended.smile) = (0.0, 1.0, 0.0, 1.0);
    assert_eq!(
        render(&odd, Domain::Photo, 0, 32),
        render(&mended, Domain::Photo, 0, 32)
    );
}

#[test]
fn a_larger_picture_shows_the_same() {
    let person = &people(1)[0];
    let small = render(person, Domain::Photo, 2, 64);
    let large = render(person, Domain::Photo, 2, 256);
    let shrunk = image::imageops::resize(&large, 64, 64, image::imageops::FilterType::Triangle);
    assert!(difference(&small, &shrunk) < 4.0);
}

#[test]
fn named_factors_occur_by_their_shares() {
    let people = people(4000);
    let share = |test: &dyn Fn(&Factors) -> bool| {
        people.iter().filter(|f| test(f)).count() as f32 / people.len() as f32
    };
    for (i, &style) in HairStyle::ALL.iter().enumerate() {
        assert!((share(&|f| f.hair_style == style) - HairStyle::SHARES[i]).abs() < 0.03);
    }
    for shares in [
        HairStyle::SHARES,
        HairColour::SHARES,
        EyeColour::SHARES,
        Glasses::SHARES,
        Beard::SHARES,
        Hat::SHARES,
        Background::SHARES,
    ] {
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_character_in_a_technique_is_neither_alone() {
    let person = &people(1)[0];
    let both = render_both(person, Some(Domain::Robot), Some(Domain::Sketch), 1, 64);
    for domain in [Domain::Photo, Domain::Robot, Domain::Sketch] {
        assert!(
            difference(&both, &render(person, domain, 1, 64)) > 3.0,
            "{domain}"
        );
    }
}

#[test]
fn captions_name_the_domain_and_no_factor_that_the_person_has_not() {
    let mut words = stream("words");
    for person in people(40) {
        for &domain in Domain::ALL {
            let text = caption(&person, domain, &mut words);
            let named = phrases(domain).iter().any(|name| text.contains(name));
            assert!(named || domain == Domain::Photo, "{domain}: {text}");
            if person.glasses == Glasses::None {
                assert!(!text.contains("with glasses") && !text.contains("wearing glasses"));
            }
            if person.beard == Beard::None {
                assert!(!text.contains("with a beard") && !text.contains("goatee"));
            }
        }
    }
}

#[test]
fn names_are_unique_and_parse_back() {
    let names: BTreeSet<_> = Domain::ALL.iter().map(|domain| domain.name()).collect();
    assert_eq!(names.len(), Domain::ALL.len());
    assert!(Domain::of(Family::Rendering).count() + Domain::of(Family::Character).count() >= 24);
    for &domain in Domain::ALL {
        assert_eq!(domain.name().parse::<Domain>().unwrap(), domain);
        let json = serde_json::to_string(&domain).unwrap();
        assert_eq!(json, format!("\"{}\"", domain.name()));
    }
    let error = "sketchy".parse::<Domain>().unwrap_err().to_string();
    assert!(
        error.contains("sketchy") && error.contains("watercolour"),
        "{error}"
    );
}

/// Layers are only looked at within the bounds of their shapes.
#[test]
fn shapes_lie_within_their_bounds() {
    for (seed, person) in people(6).iter().enumerate() {
        let mut scenes = vec![Scene::person(person, seed as u32)];
        for character in Domain::of(Family::Character) {
            let mut scene = scenes[0].clone();
            characters::turn_into(character, &mut scene);
            scenes.push(scene);
        }
        for layer in scenes.iter().flat_map(|scene| &scene.layers) {
            let b = layer.shape.bounds();
            for i in 0..40 {
                for j in 0..40 {
                    let p = [i as f32 / 39.0, j as f32 / 39.0];
                    let outside = p[0] < b[0] || p[1] < b[1] || p[0] > b[2] || p[1] > b[3];
                    let [d, ..] = layer.shape.distances(&Points::row(p, 0.0));
                    assert!(!outside || d > -1e-3, "{:?}", layer.shape);
                }
            }
        }
    }
}

#[test]
fn held_out_domains_are_renderings_and_characters_in_equal_parts() {
    let of = |family| {
        Domain::of(family)
            .filter(|domain| domain.is_held_out())
            .count()
    };
    assert_eq!((of(Family::Rendering), of(Family::Character)), (3, 3));
    assert!(!Domain::Photo.is_held_out());
}
