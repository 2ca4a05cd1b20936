//! What is known of a portrait, as classes.
//!
//! Numbers become bins of equal width; the domain comes first.

use domex_data::portraits::{
    Background, Beard, Domain, EyeColour, Factors, Glasses, HairColour, HairStyle, Hat,
};
use domex_judge::Factor;

/// A factor's name, its classes, and the class that a portrait has.
struct Label {
    name: &'static str,
    classes: fn() -> Vec<&'static str>,
    of: fn(&Factors) -> usize,
}

macro_rules! named {
    ($name:literal, $choice:ident, $field:ident) => {
        Label {
            name: $name,
            classes: || $choice::ALL.iter().map(|choice| choice.name()).collect(),
            of: |factors| factors.$field.index(),
        }
    };
}

/// The bin of `x` in `[low, 1]`.
fn bin(x: f32, low: f32, bins: usize) -> usize {
    let share = ((x - low) / (1.0 - low)).clamp(0.0, 1.0);
    ((share * bins as f32) as usize).min(bins - 1)
}

const LABELS: &[Label] = &[
    named!("hair style", HairStyle, hair_style),
    named!("hair colour", HairColour, hair_colour),
    named!("eye colour", EyeColour, eye_colour),
    named!("glasses", Glasses, glasses),
    named!("beard", Beard, beard),
    named!("hat", Hat, hat),
    named!("background", Background, background),
    Label {
        name: "yaw",
        classes: || vec!["left", "centre", "right"],
        of: |factors| bin(factors.yaw, -1.0, 3),
    },
    Label {
        name: "skin",
        classes: || vec!["light", "medium", "dark"],
        of: |factors| bin(factors.skin, 0.0, 3),
    },
    Label {
        name: "smile",
        classes: || vec!["sad", "neutral", "smiling"],
        of: |factors| bin(factors.smile, -1.0, 3),
    },
    Label {
        name: "age",
        classes: || vec!["young", "old"],
        of: |factors| bin(factors.age, 0.0, 2),
    },
    Label {
        name: "light",
        classes: || vec!["left", "centre", "right"],
        of: |factors| bin(factors.light, -1.0, 3),
    },
    Label {
        name: "face width",
        classes: || vec!["narrow", "medium", "wide"],
        of: |factors| bin(factors.face_width, 0.0, 3),
    },
];

/// All factors.
pub(super) fn factors() -> Vec<Factor> {
    let domain = Factor::new("domain", Domain::ALL.iter().map(|domain| domain.name()));
    let others = LABELS
        .iter()
        .map(|label| Factor::new(label.name, (label.classes)()));
    std::iter::once(domain).chain(others).collect()
}

/// The classes of a portrait, in the same order.
pub(super) fn classes(factors: &Factors, domain: Domain) -> Vec<u32> {
    let others = LABELS.iter().map(|label| (label.of)(factors) as u32);
    std::iter::once(domain.index() as u32)
        .chain(others)
        .collect()
}
