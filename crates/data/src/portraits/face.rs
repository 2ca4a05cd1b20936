//! The face of an ordinary person: ears, skin with its lines, eyes, nose and mouth.

use super::colour::{mix, rgb, times};
use super::factors::Factors;
use super::layer::{Layer, Paint, Part};
use super::scene::Head;
use super::shape::Shape;

pub(super) fn ears(layers: &mut Vec<Layer>, head: &Head) {
    for side in [-1.0, 1.0] {
        let (sin, cos) = head.turn.sin_cos();
        // Ears sit behind the middle of the head, so they go the other way when it turns.
        let x = head.at[0] + head.radii[0] * (side * cos * 1.02 - 0.25 * sin);
        let at = [x, head.at[1] + 0.06 * head.radii[1]];
        let radii = [0.035 * (0.75 + 0.4 * side * -sin), 0.06];
        layers.push(
            Layer::flat(
                Part::Ear,
                Shape::Ellipse { at, radii },
                times(head.skin, 0.94),
            )
            .round(at, [0.06, 0.08], 0.8),
        );
    }
}

pub(super) fn skin(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let centre = head.place(0.0, 0.1);
    let rim = mix(head.skin, rgb(0xa0503c), 0.18);
    let mut face = Layer::new(
        Part::Face,
        head.outline(0.0),
        Paint::Radial([head.skin, rim], centre, 0.34),
    )
    .shadow(0.55)
    .gloss(0.16);
    face.relief = head.relief();
    layers.push(face);

    let blush = mix(head.skin, rgb(0xd04a40), 0.45);
    for u in [-0.52, 0.52] {
        let shape = Shape::Ellipse {
            at: head.place(u, 0.28),
            radii: [0.05 * head.squeeze(u, 0.28), 0.035],
        };
        layers.push(tone(Part::Wrinkle, shape, blush, head, 0.03, 0.35));
    }
    wrinkles(layers, head, f);
}

/// Lines of age: from the nose to the mouth, on the forehead, under the eyes.
fn wrinkles(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let strength = ((f.age - 0.35) / 0.65).clamp(0.0, 1.0);
    if strength == 0.0 {
        return;
    }
    let dark = times(head.skin, 0.55);
    let mut line = |shape, opacity: f32| {
        let layer = tone(Part::Wrinkle, shape, dark, head, 0.004, opacity * strength);
        layers.push(layer.line(0.6 * strength));
    };
    for side in [-1.0, 1.0] {
        let fold = Shape::curve(
            head.place(0.24 * side, 0.27),
            head.place(0.36 * side, 0.4),
            head.place(0.40 * side, 0.54),
            0.004,
        );
        line(fold, 0.75);
        let bag = Shape::curve(
            head.place(0.2 * side, 0.10),
            head.place(0.38 * side, 0.155),
            head.place(0.56 * side, 0.09),
            0.003,
        );
        line(bag, 0.7);
    }
    for v in [-0.47, -0.37] {
        let crease = Shape::curve(
            head.place(-0.36, v),
            head.place(0.0, v - 0.03),
            head.place(0.36, v),
            0.003,
        );
        line(crease, 0.6);
    }
}

pub(super) fn eyes(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let size = 0.85 + 0.4 * f.eye_size;
    for side in [-1.0_f32, 1.0] {
        let (u, v) = (0.4 * side, -0.02);
        let at = head.place(u, v);
        let squeeze = head.squeeze(u, v);
        let half = 0.056 * size * squeeze;
        let (up, down) = (0.030 * size, 0.022 * size);
        let open = Shape::Lens {
            at,
            half,
            up,
            down,
            bow: 0.004,
        };
        // The socket, a little darker than the skin.
        let socket = Shape::Ellipse {
            at: [at[0], at[1] - 0.008],
            radii: [half * 1.25, 0.042],
        };
        let dark = mix(times(head.skin, 0.62), rgb(0x60302a), 0.15);
        layers.push(tone(Part::Lid, socket, dark, head, 0.018, 0.4));
        let white = Paint::Vertical(
            [rgb(0xb9b4b4), rgb(0xf4f1ee)],
            [at[1] - up, at[1] + 0.2 * down],
        );
        layers.push(Layer::new(Part::Sclera, open.clone(), white).line(0.5));
        // Eyes look a little further the way the head turns.
        let iris_at = [at[0] + 0.010 * head.turn.sin(), at[1] - 0.002];
        let r = 0.024 * size;
        let disc = |r: f32| {
            let round = Shape::Ellipse {
                at: iris_at,
                radii: [r * squeeze.min(1.0), r],
            };
            round.and(open.clone())
        };
        let iris = Paint::Radial(
            [mix(head.iris, [1.0; 3], 0.18), times(head.iris, 0.7)],
            iris_at,
            r,
        );
        layers.push(Layer::new(Part::Iris, disc(r), iris).line(0.3));
        layers.push(Layer::flat(Part::Iris, disc(0.45 * r), rgb(0x0c0a0a)).line(0.0));
        let glint = Shape::circle(
            [iris_at[0] + 0.3 * r * f.light, iris_at[1] - 0.4 * r],
            0.24 * r,
        );
        layers.push(
            Layer::flat(Part::Iris, glint, [1.0; 3])
                .line(0.0)
                .tone_only(),
        );
        let lash = Shape::curve(
            [at[0] - half, at[1] - 0.002],
            [at[0], at[1] - up],
            [at[0] + half, at[1] - 0.002],
            0.0055,
        );
        layers.push(Layer::flat(Part::Lid, lash, mix(rgb(0x241612), head.hair, 0.15)).line(0.8));
        brow(layers, head, f, side);
    }
}

fn brow(layers: &mut Vec<Layer>, head: &Head, f: &Factors, side: f32) {
    // Sad brows rise towards the nose, a smile lifts the middle.
    let inner = head.place(0.17 * side, -0.235 - 0.04 * (-f.smile).max(0.0));
    let middle = head.place(0.40 * side, -0.30 - 0.02 * f.smile.max(0.0));
    let outer = head.place(0.66 * side, -0.20);
    let r = 0.006 + 0.009 * f.brows;
    let colour = mix(times(head.hair, 0.8), rgb(0x3a2a20), 0.25);
    layers.push(
        Layer::flat(Part::Brow, Shape::curve(inner, middle, outer, r), colour)
            .soft(0.004)
            .line(0.9),
    );
}

pub(super) fn nose(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let size = 0.8 + 0.5 * f.nose;
    // A nose stands out of the face: the turn moves its tip further than the skin beside it.
    let reach = 0.055 * head.turn.sin();
    let [x, y] = head.place(0.0, 0.27);
    let tip = [x + reach, y];
    let bridge = head.place(0.0, -0.08);
    let r = 0.026 * size;
    let shape = Shape::Stroke {
        a: bridge,
        b: tip,
        r: [0.012 * size, r],
    };
    let skin = mix(head.skin, rgb(0xd06a50), 0.10);
    let at = [0.5 * (tip[0] + bridge[0]), tip[1] - 0.035];
    layers.push(
        Layer::flat(Part::Nose, shape, skin)
            .round(at, [0.045 * size, 0.11], 0.95)
            .soft(0.012)
            .shadow(0.35)
            .gloss(0.22),
    );
    let dark = times(mix(head.skin, rgb(0x502018), 0.35), 0.55);
    for side in [-1.0, 1.0] {
        let nostril = Shape::Ellipse {
            at: [
                tip[0] + side * 0.55 * r * head.turn.cos(),
                tip[1] + 0.72 * r,
            ],
            radii: [0.32 * r, 0.2 * r],
        };
        layers.push(tone(Part::Nose, nostril, dark, head, 0.003, 0.85).line(0.8));
    }
    let wing = Shape::curve(
        [tip[0] - r, tip[1] + 0.45 * r],
        [tip[0], tip[1] + 1.05 * r],
        [tip[0] + r, tip[1] + 0.45 * r],
        0.003,
    );
    layers.push(tone(Part::Nose, wing, dark, head, 0.003, 0.45).line(0.9));
}

pub(super) fn mouth(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let [x, y] = head.place(0.0, 0.55);
    let at = [x + 0.02 * head.turn.sin(), y];
    let half = (0.062 + 0.03 * f.mouth + 0.018 * f.smile.max(0.0)) * head.squeeze(0.0, 0.55);
    // A mouth turns up further than down.
    let bow = if f.smile > 0.0 { 0.026 } else { 0.013 } * f.smile;
    // Corners go up and the middle down together.
    let at = [at[0], at[1] + 0.35 * bow];
    let open = ((f.smile - 0.35) / 0.65).max(0.0);
    let lip = mix(head.skin, rgb(0xa8323a), 0.52);
    let lips = Shape::Lens {
        at,
        half,
        up: 0.016,
        down: 0.021 + 0.018 * open,
        bow,
    };
    layers.push(
        Layer::new(
            Part::Mouth,
            lips,
            Paint::Vertical([times(lip, 0.82), lip], [at[1] - 0.01, at[1] + 0.02]),
        )
        .line(0.7)
        .gloss(0.1),
    );
    if open > 0.0 {
        let gap = |up: f32, down: f32, half: f32| Shape::Lens {
            at,
            half,
            up,
            down,
            bow,
        };
        let inside = gap(0.006, 0.006 + 0.026 * open, 0.88 * half);
        layers.push(Layer::flat(Part::Mouth, inside, rgb(0x3c1414)).line(0.4));
        let teeth = gap(0.004, 0.002 + 0.015 * open, 0.8 * half);
        layers.push(Layer::flat(Part::Mouth, teeth, rgb(0xf2ece2)).line(0.2));
    } else {
        let seam = Shape::curve(
            [at[0] - half, at[1] - bow],
            [at[0], at[1] + 0.002],
            [at[0] + half, at[1] - bow],
            0.0035,
        );
        layers.push(Layer::flat(Part::Mouth, seam, times(lip, 0.45)).line(1.0));
    }
    let under = Shape::Ellipse {
        at: [at[0], at[1] + 0.042 + 0.02 * open],
        radii: [0.5 * half, 0.008],
    };
    layers.push(tone(
        Part::Wrinkle,
        under,
        times(head.skin, 0.6),
        head,
        0.008,
        0.4,
    ));
}

/// A soft change of the skin's tone.
fn tone(
    part: Part,
    shape: Shape,
    colour: super::colour::Rgb,
    head: &Head,
    soft: f32,
    opacity: f32,
) -> Layer {
    Layer::flat(part, shape, colour)
        .relief(head.relief())
        .soft(soft)
        .opacity(opacity)
        .tone_only()
}
