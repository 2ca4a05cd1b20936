//! Zombie, ghost and alien.

use super::{HAIR, SKIN, behind, both, extra, eye, reskin};
use crate::portraits::colour::{mix, rgb, times};
use crate::portraits::layer::{Paint, Part};
use crate::portraits::scene::Scene;
use crate::portraits::shape::Shape;

pub(super) fn zombie(scene: &mut Scene) {
    let skin = reskin(scene, rgb(0x86a866), 0.5);
    let rot = Paint::Blotches {
        colours: [skin, rgb(0x4c6a3f)],
        per: 11.0,
        amount: 0.42,
        seed: scene.head.seed ^ 0x20b,
    };
    scene.change(SKIN, |layer| {
        if !layer.tone_only {
            layer.paint = rot.clone();
        }
    });
    scene.change(&[Part::Lid], |layer| {
        layer.paint = Paint::Flat(rgb(0x241a22));
        layer.opacity = layer.opacity.max(0.8);
    });
    scene.paint(&[Part::Sclera], &Paint::Flat(rgb(0xd9d79a)));
    scene.change(&[Part::Iris], |layer| layer.opacity *= 0.35);
    scene.paint(&[Part::Mouth], &Paint::Flat(rgb(0x3a0f14)));
    scene.change(HAIR, |layer| {
        let grey = mix(layer.paint.at([0.5, 0.5]), rgb(0x4a4a40), 0.55);
        layer.paint = Paint::Strands {
            colours: [times(grey, 0.5), grey],
            across: 60.0,
            down: 12.0,
            seed: 5,
        };
    });
    let cloth = mix(scene.head.cloth, rgb(0x3c382c), 0.6);
    scene.paint(
        &[Part::Body],
        &Paint::Blotches {
            colours: [cloth, times(cloth, 0.35)],
            per: 14.0,
            amount: 0.45,
            seed: scene.head.seed ^ 9,
        },
    );
    let head = scene.head.clone();
    // A wound on one cheek, a stitched cut over the other eye, blood from the mouth.
    let side = if head.seed.is_multiple_of(2) {
        1.0
    } else {
        -1.0
    };
    let wound = head.place(0.5 * side, 0.32);
    let gash = Shape::Ellipse {
        at: wound,
        radii: [0.036, 0.026],
    };
    let mut added = vec![
        extra(gash.clone().wavy(0.008, 60.0, head.seed), rgb(0x8e1a1c)),
        extra(Shape::circle(wound, 0.012), rgb(0x4a0a0e)).line(0.3),
    ];
    let (from, to) = (
        head.place(-0.55 * side, -0.55),
        head.place(-0.2 * side, -0.34),
    );
    added.push(extra(Shape::stroke(from, to, 0.006), rgb(0x5a1418)));
    for t in [0.15, 0.5, 0.85] {
        let at = [
            from[0] + t * (to[0] - from[0]),
            from[1] + t * (to[1] - from[1]),
        ];
        let stitch = Shape::stroke(
            [at[0] + 0.012, at[1] - 0.018],
            [at[0] - 0.012, at[1] + 0.018],
            0.0035,
        );
        added.push(extra(stitch, rgb(0x16100e)).line(0.5));
    }
    let corner = head.place(0.2 * side, 0.6);
    let drip = Shape::Stroke {
        a: corner,
        b: [corner[0], corner[1] + 0.06],
        r: [0.010, 0.004],
    };
    added.push(extra(drip, rgb(0x9a1216)).line(0.4));
    scene.after(Part::Mouth, added);
}

pub(super) fn ghost(scene: &mut Scene) {
    behind(
        scene,
        &Paint::Vertical([rgb(0x0a1020), rgb(0x22304c)], [0.0, 1.0]),
    );
    let veil = rgb(0xdcebf4);
    scene.change(
        &[
            Part::HairBack,
            Part::Body,
            Part::Neck,
            Part::Ear,
            Part::Face,
            Part::Nose,
            Part::Beard,
            Part::Hair,
            Part::Hat,
            Part::Glasses,
            Part::Brow,
        ],
        |layer| {
            let own = layer.paint.at([0.5, 0.5]);
            layer.paint = Paint::Vertical(
                [
                    mix(own, veil, 0.78),
                    mix(mix(own, veil, 0.78), rgb(0x3c5578), 0.55),
                ],
                [0.3, 1.0],
            );
            layer.opacity *= 0.8;
            layer.soft = layer.soft.max(0.006);
            layer.gloss = 0.0;
        },
    );
    scene.remove(&[Part::Wrinkle, Part::Lid]);
    // Hollow eyes and an open mouth.
    scene.paint(&[Part::Sclera, Part::Iris], &Paint::Flat(rgb(0x0c1224)));
    let head = scene.head.clone();
    let mouth = head.place(0.0, 0.58);
    let hollow = rgb(0x0c1224);
    let gape = Shape::Ellipse {
        at: mouth,
        radii: [0.034, 0.045 + 0.012 * scene.factors.smile],
    };
    scene.remove(&[Part::Mouth]);
    let eyes = both(|side| {
        let (at, half) = eye(&head, side);
        extra(
            Shape::Ellipse {
                at: [at[0], at[1] + 0.008],
                radii: [0.9 * half, 0.052],
            },
            hollow,
        )
        .soft(0.006)
        .line(0.7)
    });
    scene.after(Part::Nose, eyes);
    scene.after(Part::Nose, [extra(gape, hollow).soft(0.006).line(0.7)]);
    // It glows.
    let glow = Shape::Ellipse {
        at: [0.5, 0.6],
        radii: [0.30, 0.40],
    };
    let glow = extra(glow, rgb(0x7fa8d8))
        .soft(0.16)
        .opacity(0.55)
        .tone_only();
    scene.after(Part::Background, [glow]);
}

pub(super) fn alien(scene: &mut Scene) {
    scene.remove(&[
        Part::Hair,
        Part::HairBack,
        Part::Brow,
        Part::Beard,
        Part::Ear,
        Part::Sclera,
        Part::Iris,
        Part::Lid,
        Part::Wrinkle,
        Part::Nose,
    ]);
    let skin = reskin(scene, rgb(0x9ccf7c), 0.45);
    let head = scene.head.clone();
    let skull = [head.at[0], head.at[1] - 0.085];
    let radii = [head.radii[0] * 1.22, head.radii[1] * 0.92];
    let dome = Shape::Ellipse { at: skull, radii };
    scene.change(&[Part::Face], |layer| {
        layer.shape = Shape::Union(vec![layer.shape.clone(), dome.clone()]);
        layer.gloss = 0.35;
        layer.paint = Paint::Vertical([skin, times(skin, 0.72)], [skull[1] - 0.1, 0.75]);
    });
    scene.paint(&[Part::Mouth], &Paint::Flat(times(skin, 0.4)));
    let cloth = mix(scene.head.cloth, rgb(0xb8c0cc), 0.7);
    scene.paint(
        &[Part::Body],
        &Paint::Vertical([cloth, times(cloth, 0.5)], [0.8, 1.0]),
    );
    let size = 0.9 + 0.25 * scene.factors.eye_size;
    let mut added = Vec::new();
    for side in [-1.0, 1.0] {
        let (at, half) = eye(&head, side);
        let wide = 1.15 * half * size;
        // Almonds that rise to the outside.
        let almond = Shape::Stroke {
            a: [at[0] - 0.45 * side * wide, at[1] + 0.030],
            b: [at[0] + 0.65 * side * wide, at[1] - 0.030],
            r: [0.046 * size, 0.030 * size],
        };
        added.push(extra(almond, rgb(0x08090c)).gloss(0.5));
        let glint = Shape::circle([at[0] - 0.2 * wide, at[1] - 0.006], 0.012);
        added.push(extra(glint, [0.92; 3]).line(0.0).tone_only());
    }
    for side in [-1.0, 1.0] {
        let [x, y] = head.place(0.07 * side, 0.3);
        let reach = 0.02 * head.turn.sin();
        added.push(
            extra(
                Shape::stroke([x + reach, y - 0.012], [x + reach, y + 0.010], 0.005),
                times(skin, 0.35),
            )
            .line(0.5),
        );
    }
    scene.after(Part::Face, added);
}
