//! Clown and astronaut.

use super::{HAIR, behind, both, extra, eye, reskin};
use crate::portraits::colour::{hsv, mix, rgb, times};
use crate::portraits::factors::HairColour;
use crate::portraits::layer::{Layer, Paint, Part};
use crate::portraits::noise::uniform;
use crate::portraits::scene::Scene;
use crate::portraits::shape::Shape;

pub(super) fn clown(scene: &mut Scene) {
    reskin(scene, rgb(0xfbf6f2), 0.12);
    let head = scene.head.clone();
    // Dyed hair: each colour of hair has its own dye.
    let dye = match scene.factors.hair_colour {
        HairColour::Black => rgb(0x2a6cf0),
        HairColour::Brown => rgb(0xf08a1c),
        HairColour::Blond => rgb(0xf2d21e),
        HairColour::Red => rgb(0xe8241e),
        HairColour::Grey => rgb(0x3cc24a),
    };
    scene.remove(&[Part::Hair, Part::HairBack, Part::Wrinkle]);
    scene.change(&[Part::Beard, Part::Brow], |layer| {
        layer.paint = Paint::Flat(dye);
    });
    let curls = both(|side| {
        let x = head.at[0] + side * (head.radii[0] + 0.045) - 0.03 * head.turn.sin();
        let puff = Shape::Union(vec![
            Shape::circle([x, head.at[1] - 0.10], 0.095),
            Shape::circle([x - 0.015 * side, head.at[1] + 0.03], 0.075),
        ]);
        let wool = Paint::Strands {
            colours: [times(dye, 0.65), mix(dye, [1.0; 3], 0.25)],
            across: 30.0,
            down: 30.0,
            seed: 6,
        };
        Layer::new(Part::HairBack, puff.wavy(0.02, 26.0, head.seed), wool)
            .round([x, head.at[1] - 0.06], [0.14, 0.17], 0.9)
            .shadow(0.3)
    });
    let at = scene
        .layers
        .iter()
        .position(|layer| layer.part == Part::Face);
    let at = at.unwrap_or(1);
    scene.layers.splice(at..at, curls);
    let paint = hsv(scene.factors.cloth_hue + 0.5, 0.85, 0.85);
    let mut makeup = Vec::new();
    for side in [-1.0, 1.0] {
        let (at, half) = eye(&head, side);
        let diamond = Shape::Polygon(vec![
            [at[0], at[1] - 0.105],
            [at[0] + 0.55 * half, at[1]],
            [at[0], at[1] + 0.085],
            [at[0] - 0.55 * half, at[1]],
        ]);
        makeup.push(extra(diamond, paint).line(0.4));
    }
    let [x, y] = head.place(0.0, 0.56);
    let x = x + 0.02 * head.turn.sin();
    let grin = Shape::Lens {
        at: [x, y + 0.012],
        half: 0.125 * head.squeeze(0.0, 0.55),
        up: 0.035,
        down: 0.055,
        bow: 0.035 * scene.factors.smile + 0.012,
    };
    makeup.push(extra(grin, rgb(0xe01a22)));
    scene.after(Part::Face, makeup);
    let [nx, ny] = head.place(0.0, 0.22);
    let ball = [nx + 0.055 * head.turn.sin(), ny];
    let r = 0.050 + 0.014 * scene.factors.nose;
    scene.after(
        Part::Mouth,
        [extra(Shape::circle(ball, r), rgb(0xf01c1c))
            .round(ball, [1.2 * r, 1.2 * r], 0.95)
            .gloss(0.6)
            .shadow(0.4)],
    );
    // A ruff.
    let ruff = (0..9).map(|i| {
        let t = (i as f32 - 4.0) / 4.0;
        let at = [0.5 + 0.205 * t, 0.855 + 0.045 * (1.0 - t * t)];
        let colour = if i % 2 == 0 { rgb(0xfdfdfd) } else { paint };
        extra(Shape::circle(at, 0.046), colour)
            .upright()
            .round(at, [0.06, 0.06], 0.8)
    });
    let ruff: Vec<_> = ruff.collect();
    scene.after(Part::Neck, ruff);
}

pub(super) fn astronaut(scene: &mut Scene) {
    let seed = scene.head.seed;
    behind(
        scene,
        &Paint::Vertical([rgb(0x04050f), rgb(0x0d1533)], [0.0, 1.0]),
    );
    scene.remove(&[Part::Hat]);
    let head = scene.head.clone();
    let at = [head.at[0] + 0.015 * head.turn.sin(), head.at[1] + 0.01];
    let inside = Shape::Ellipse {
        at,
        radii: [0.268, 0.300],
    };
    scene.change(HAIR, |layer| {
        layer.shape = layer.shape.clone().and(inside.clone());
    });
    let stars = (0..22).map(|i| {
        let draw = |k: i32| uniform(i, k, seed ^ 0x57a2);
        let star = Shape::circle([draw(0), draw(1)], 0.004 + 0.006 * draw(2));
        extra(star, mix(rgb(0xfff3c8), rgb(0xcfe0ff), draw(3)))
            .upright()
            .line(0.0)
    });
    let planet = [0.5 + 0.42 * (uniform(1, 9, seed) - 0.5).signum(), 0.16];
    let planet = extra(
        Shape::circle(planet, 0.10),
        hsv(uniform(2, 9, seed), 0.5, 0.8),
    )
    .upright()
    .round(planet, [0.12, 0.12], 0.95);
    let sky: Vec<_> = stars.chain([planet]).collect();
    scene.after(Part::Background, sky);
    let white = rgb(0xf2f4f6);
    scene.paint(
        &[Part::Body],
        &Paint::Vertical([white, rgb(0xa8b0ba)], [0.8, 1.05]),
    );
    let shell = extra(
        Shape::Ellipse {
            at,
            radii: [0.325, 0.355],
        },
        white,
    )
    .round(at, [0.36, 0.40], 0.9)
    .shadow(0.3)
    .gloss(0.3);
    let lining = extra(inside.clone(), rgb(0x39424e)).line(0.6);
    let first = scene
        .layers
        .iter()
        .position(|layer| layer.part == Part::HairBack || layer.part == Part::Body);
    let first = first.unwrap_or(1);
    scene.layers.splice(first..first, [shell, lining]);
    // The suit closes over the neck; patches in the colour of the clothes.
    let ring = Shape::Rect {
        at: [0.5, 0.845],
        half: [0.215, 0.034],
        round: 0.03,
        angle: 0.0,
    };
    let patches = both(|side| {
        let patch = Shape::Rect {
            at: [0.5 + 0.24 * side, 0.94],
            half: [0.038, 0.026],
            round: 0.006,
            angle: 0.1 * side,
        };
        extra(patch, mix(head.cloth, rgb(0xe05a1e), 0.4)).upright()
    });
    scene.on_top([extra(ring, rgb(0xb8c0ca)).upright().gloss(0.4).shadow(0.3)]);
    scene.on_top(patches);
    // Glass, and what it mirrors.
    let glass = extra(inside, rgb(0x9fc4e8)).opacity(0.13).line(0.0);
    let mirror = Shape::Stroke {
        a: [at[0] - 0.205, at[1] - 0.03],
        b: [at[0] - 0.12, at[1] - 0.215],
        r: [0.012, 0.020],
    };
    let rim = Shape::Ellipse {
        at,
        radii: [0.29, 0.32],
    };
    let rim = extra(rim.ring(0.05), mix(white, rgb(0xd7a53a), 0.25))
        .round(at, [0.36, 0.40], 0.9)
        .gloss(0.3);
    scene.on_top([
        glass,
        extra(mirror, [1.0; 3])
            .soft(0.008)
            .opacity(0.65)
            .tone_only(),
        rim,
    ]);
}
