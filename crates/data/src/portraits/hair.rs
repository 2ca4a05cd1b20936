//! Hair behind the head and in front of it.

use super::colour::{mix, times};
use super::factors::{Factors, HairStyle, Hat};
use super::layer::{Layer, Paint, Part};
use super::scene::Head;
use super::shape::Shape;
use super::wear::hat_at;

/// The paint of hair: streaks between a lighter and a darker tone.
pub(super) fn strands(head: &Head, across: f32, down: f32) -> Paint {
    Paint::Strands {
        colours: [
            times(head.hair, 0.62),
            mix(times(head.hair, 1.15), [1.0; 3], 0.10),
        ],
        across,
        down,
        seed: head.seed ^ 0x4a17,
    }
}

/// How far hair goes from the skull, and how low the sides hang (`v` of the face).
struct Cut {
    volume: f32,
    sides: f32,
}

fn cut(f: &Factors) -> Cut {
    let long = f.hair_length;
    match f.hair_style {
        HairStyle::Bald => Cut {
            volume: 0.0,
            sides: -1.0,
        },
        HairStyle::Short => Cut {
            volume: 0.014 + 0.012 * long,
            sides: 0.0,
        },
        HairStyle::Parted => Cut {
            volume: 0.028 + 0.012 * long,
            sides: 0.05 + 0.1 * long,
        },
        HairStyle::Curly => Cut {
            volume: 0.055 + 0.045 * long,
            sides: 0.15 + 0.25 * long,
        },
        HairStyle::Bob => Cut {
            volume: 0.035,
            sides: 0.45 + 0.3 * long,
        },
        HairStyle::Long => Cut {
            volume: 0.035,
            sides: 1.2,
        },
        HairStyle::Bun => Cut {
            volume: 0.02,
            sides: 0.1,
        },
    }
}

/// The round of the skull with its hair, which goes against the turn of the face.
fn skull(head: &Head, volume: f32) -> Shape {
    Shape::Ellipse {
        at: skull_at(head),
        radii: [head.radii[0] * 1.02 + volume, head.radii[1] * 0.86 + volume],
    }
}

fn skull_at(head: &Head) -> [f32; 2] {
    [
        head.at[0] - 0.16 * head.turn.sin() * head.radii[0],
        head.at[1] - 0.16 * head.radii[1],
    ]
}

pub(super) fn back(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    if f.hair_style == HairStyle::Bald {
        return;
    }
    let Cut { volume, sides } = cut(f);
    let at = skull_at(head);
    let mut parts = vec![skull(head, volume)];
    let bottom = head.at[1] + sides * head.radii[1];
    match f.hair_style {
        HairStyle::Bob => parts.push(Shape::Rect {
            at: [at[0], 0.5 * (at[1] + bottom)],
            half: [head.radii[0] + volume + 0.012, 0.5 * (bottom - at[1])],
            round: 0.05,
            angle: 0.0,
        }),
        HairStyle::Long => {
            let bottom = 0.84 + 0.14 * f.hair_length;
            parts.push(Shape::Rect {
                at: [at[0], 0.5 * (at[1] + bottom)],
                half: [head.radii[0] + volume + 0.022, 0.5 * (bottom - at[1])],
                round: 0.07,
                angle: 0.0,
            });
        }
        HairStyle::Bun if f.hat == Hat::None => parts.push(Shape::circle(
            [
                at[0] - 0.03 * head.turn.sin(),
                at[1] - head.radii[1] * 0.86 - 0.055,
            ],
            0.062 + 0.012 * f.hair_length,
        )),
        _ => {}
    }
    let shape = Shape::Union(parts);
    let shape = match f.hair_style {
        HairStyle::Curly => shape.wavy(0.03, 17.0, head.seed),
        _ => shape.wavy(0.006, 30.0, head.seed),
    };
    let shape = under_hat(shape, head, f);
    layers.push(
        Layer::new(Part::HairBack, shape, strands(head, 60.0, 7.0))
            .round(at, [head.radii[0] * 1.4, head.radii[1] * 1.5], 0.9)
            .shadow(0.2),
    );
    if f.hair_style == HairStyle::Bun && f.hat == Hat::None {
        // The knot catches light of its own.
        let knot = [
            at[0] - 0.03 * head.turn.sin(),
            at[1] - head.radii[1] * 0.86 - 0.055,
        ];
        layers.push(
            Layer::new(
                Part::HairBack,
                Shape::circle(knot, 0.06),
                strands(head, 40.0, 40.0),
            )
            .round(knot, [0.07, 0.07], 0.95)
            .line(0.8),
        );
    }
}

/// A hat presses the hair down.
fn under_hat(shape: Shape, head: &Head, f: &Factors) -> Shape {
    match f.hat {
        Hat::None => shape,
        _ => shape.and(Shape::Half {
            y: hat_at(head)[1] - 0.01,
            above: false,
        }),
    }
}

pub(super) fn front(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    if f.hair_style == HairStyle::Bald {
        return;
    }
    let Cut { volume, sides } = cut(f);
    // What the hair leaves free: the face, below the hairline.
    let [x, y] = head.place(0.0, 0.32);
    let opening = |dx: f32, up: f32| Shape::Ellipse {
        at: [x + dx, y],
        radii: [head.radii[0] * 0.93, head.radii[1] * up],
    };
    let free = match f.hair_style {
        HairStyle::Parted => {
            // Combed to one side: the hairline falls from the parting.
            let side = if f.hair_length < 0.5 { -1.0 } else { 1.0 };
            let wedge = Shape::Ellipse {
                at: [x + side * 0.30 * head.radii[0], y],
                radii: [head.radii[0] * 0.72, head.radii[1] * 0.93],
            };
            Shape::Union(vec![opening(0.0, 0.66), wedge])
        }
        HairStyle::Bob => opening(0.0, 0.70),
        HairStyle::Short => opening(0.0, 0.93),
        _ => opening(0.0, 0.84),
    };
    let hanging = Shape::Union(vec![skull(head, volume), head.outline(0.6 * volume)]);
    let low = head.at[1] + sides.min(0.75) * head.radii[1];
    let mut shape = hanging.without(free).and(Shape::Half {
        y: low,
        above: true,
    });
    shape = match f.hair_style {
        HairStyle::Curly => shape.wavy(0.022, 19.0, head.seed ^ 7),
        HairStyle::Short => shape.wavy(0.008, 45.0, head.seed ^ 7),
        _ => shape.wavy(0.005, 34.0, head.seed ^ 7),
    };
    let shape = under_hat(shape, head, f);
    let paint = match f.hair_style {
        HairStyle::Curly => strands(head, 26.0, 26.0),
        _ => strands(head, 75.0, 9.0),
    };
    layers.push(
        Layer::new(Part::Hair, shape, paint)
            .round(
                skull_at(head),
                [head.radii[0] * 1.3, head.radii[1] * 1.2],
                0.95,
            )
            .shadow(0.4)
            .gloss(0.28),
    );
}
