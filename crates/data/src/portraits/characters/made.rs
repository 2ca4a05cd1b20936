//! Robot, statue, snowman and puppet.

use super::{HAIR, SKIN, behind, both, extra, eye};
use crate::portraits::colour::{luma, mix, rgb, times};
use crate::portraits::factors::EyeColour;
use crate::portraits::layer::{Layer, Paint, Part};
use crate::portraits::noise::uniform;
use crate::portraits::scene::Scene;
use crate::portraits::shape::Shape;

pub(super) fn robot(scene: &mut Scene) {
    scene.remove(&[
        Part::HairBack,
        Part::Hair,
        Part::Beard,
        Part::Brow,
        Part::Wrinkle,
        Part::Mouth,
        Part::Ear,
        Part::Nose,
        Part::Sclera,
        Part::Iris,
        Part::Lid,
    ]);
    let head = scene.head.clone();
    // Darker people are made of darker metal.
    let metal = mix(rgb(0xc9d2db), rgb(0x7d8894), scene.factors.skin);
    let brushed = Paint::Vertical(
        [mix(metal, [1.0; 3], 0.25), times(metal, 0.55)],
        [0.2, 0.75],
    );
    scene.change(&[Part::Face], |layer| {
        layer.paint = brushed.clone();
        layer.gloss = 0.55;
    });
    scene.paint(
        &[Part::Neck],
        &Paint::Stripes([times(metal, 0.35), times(metal, 0.6)], 26.0),
    );
    scene.change(&[Part::Body], |layer| {
        layer.paint = Paint::Vertical(
            [mix(metal, head.cloth, 0.35), times(metal, 0.4)],
            [0.8, 1.0],
        );
        layer.gloss = 0.4;
    });
    let lamp = match scene.factors.eye_colour {
        EyeColour::Brown => rgb(0xff8a1e),
        EyeColour::Blue => rgb(0x35d8ff),
        EyeColour::Green => rgb(0x5cff5a),
    };
    let r = 0.036 + 0.012 * scene.factors.eye_size;
    let seam = times(metal, 0.42);
    let mut added = Vec::new();
    let line = |points: [[f32; 2]; 3]| {
        extra(Shape::curve(points[0], points[1], points[2], 0.004), seam).line(0.8)
    };
    added.push(line([
        head.place(-0.92, -0.36),
        head.place(0.0, -0.30),
        head.place(0.92, -0.36),
    ]));
    added.push(line([
        head.place(0.0, -1.0),
        head.place(0.0, -0.65),
        head.place(0.0, -0.32),
    ]));
    for (u, v) in [
        (-0.72, -0.46),
        (0.72, -0.46),
        (-0.12, -0.42),
        (0.12, -0.42),
        (-0.7, 0.35),
        (0.7, 0.35),
    ] {
        added.push(
            extra(Shape::circle(head.place(u, v), 0.010), times(metal, 0.5))
                .line(0.5)
                .gloss(0.4),
        );
    }
    for side in [-1.0, 1.0] {
        let (at, half) = eye(&head, side);
        let squeeze = (half / 0.056).min(1.0);
        let disc = |r: f32| Shape::Ellipse {
            at,
            radii: [r * squeeze, r],
        };
        added.push(extra(disc(1.5 * r), rgb(0x22262c)));
        let glow = Paint::Radial([mix(lamp, [1.0; 3], 0.75), lamp], at, r);
        let mut light = Layer::new(Part::Extra, disc(r), glow).line(0.6);
        light.relief = crate::portraits::layer::Relief::Even(1.25);
        added.push(light);
    }
    // A grille that bends with the smile.
    let [x, y] = head.place(0.0, 0.56);
    let (x, bow) = (x + 0.02 * head.turn.sin(), 0.026 * scene.factors.smile);
    let half = (0.075 + 0.02 * scene.factors.mouth) * head.squeeze(0.0, 0.55);
    let grille = |up: f32| Shape::Lens {
        at: [x, y + 0.3 * bow],
        half,
        up,
        down: up,
        bow,
    };
    added.push(extra(grille(0.034), rgb(0x22262c)));
    for i in -3..=3 {
        let t = i as f32 / 3.6;
        let (bx, by) = (x + t * half, y + 0.3 * bow - bow * t * t);
        let tall = 0.030 * (1.0 - t * t);
        let bar = Shape::stroke([bx, by - tall], [bx, by + tall], 0.005);
        added.push(extra(bar, mix(metal, [1.0; 3], 0.3)).line(0.0));
    }
    scene.after(Part::Face, added);
    let (sin, cos) = head.turn.sin_cos();
    let bolts = both(|side| {
        let bolt = Shape::Rect {
            at: [
                head.at[0] + head.radii[0] * (side * cos * 1.04 - 0.2 * sin),
                head.at[1],
            ],
            half: [0.028, 0.055],
            round: 0.012,
            angle: 0.0,
        };
        extra(bolt, times(metal, 0.55)).gloss(0.3)
    });
    let [top_x, top_y] = [head.at[0] - 0.05 * sin, head.at[1] - head.radii[1]];
    let rod = Shape::stroke([top_x, top_y], [top_x, top_y - 0.10], 0.007);
    let antenna = [
        extra(rod, times(metal, 0.6)),
        extra(Shape::circle([top_x, top_y - 0.11], 0.022), rgb(0xff3b30)).gloss(0.5),
    ];
    let at = scene
        .layers
        .iter()
        .position(|layer| layer.part == Part::Face);
    let at = at.unwrap_or(1);
    scene
        .layers
        .splice(at..at, bolts.into_iter().chain(antenna));
}

pub(super) fn statue(scene: &mut Scene) {
    let seed = scene.head.seed;
    scene.remove(&[Part::Iris]);
    for layer in &mut scene.layers {
        if layer.part == Part::Background {
            continue;
        }
        // Marble keeps a little of what was light and dark.
        let own = luma(layer.paint.at([0.5, 0.5]));
        let tone = if layer.tone_only {
            0.62
        } else {
            0.80 + 0.16 * own
        };
        let stone = rgb(0xf1efe9).map(|x| x * tone);
        layer.paint = Paint::Blotches {
            colours: [stone, times(stone, 0.86)],
            per: 7.0,
            amount: 0.35,
            seed: seed ^ 0x57a,
        };
        layer.gloss = layer.gloss.max(0.12);
        if layer.part == Part::Glasses {
            layer.opacity = layer.opacity.max(0.75);
        }
    }
    scene.change(&[Part::Background], |layer| {
        if let Paint::Vertical(c, _) | Paint::Radial(c, _, _) = &mut layer.paint {
            for colour in c {
                *colour = mix(*colour, rgb(0x4e545c), 0.45);
            }
        }
    });
}

pub(super) fn snowman(scene: &mut Scene) {
    let seed = scene.head.seed;
    behind(
        scene,
        &Paint::Vertical([rgb(0x6f9fd8), rgb(0xe8f1fa)], [0.0, 1.0]),
    );
    scene.remove(&[
        Part::HairBack,
        Part::Hair,
        Part::Beard,
        Part::Brow,
        Part::Wrinkle,
        Part::Mouth,
        Part::Ear,
        Part::Nose,
        Part::Sclera,
        Part::Iris,
        Part::Lid,
        Part::Neck,
    ]);
    let head = scene.head.clone();
    let snow = Paint::Blotches {
        colours: [rgb(0xfdfeff), rgb(0xdfeaf6)],
        per: 20.0,
        amount: 0.4,
        seed: seed ^ 0x5a0,
    };
    let ball = Shape::Ellipse {
        at: head.at,
        radii: [head.radii[0] * 1.15, head.radii[1] * 0.92],
    };
    scene.change(&[Part::Face], |layer| {
        layer.shape = ball.clone().wavy(0.006, 25.0, seed);
        layer.paint = snow.clone();
        layer.gloss = 0.1;
    });
    let belly = Shape::Ellipse {
        at: [0.5, 1.06],
        radii: [0.36, 0.33],
    };
    scene.change(&[Part::Body], |layer| {
        layer.shape = belly.clone();
        layer.paint = snow.clone();
    });
    let coal = rgb(0x17171b);
    let mut added = Vec::new();
    let r = 0.026 + 0.010 * scene.factors.eye_size;
    for side in [-1.0, 1.0] {
        let (at, half) = eye(&head, side);
        let lump = Shape::Ellipse {
            at,
            radii: [r * (half / 0.056).min(1.0), r],
        };
        added.push(extra(lump.wavy(0.004, 80.0, seed), coal).gloss(0.4));
    }
    let bow = 0.30 * scene.factors.smile;
    for i in -2..=2 {
        let u = 0.16 * i as f32;
        let v = 0.56 + 0.35 * bow - bow * (i as f32 / 2.0).powi(2);
        added.push(extra(Shape::circle(head.place(u, v), 0.015), coal));
    }
    let root = head.place(0.0, 0.20);
    let tip = [root[0] + 0.16 * head.turn.sin() + 0.03, root[1] + 0.035];
    let carrot = Shape::Stroke {
        a: root,
        b: tip,
        r: [0.034 + 0.012 * scene.factors.nose, 0.006],
    };
    added.push(
        extra(carrot, rgb(0xf2801e))
            .round(root, [0.16, 0.05], 0.9)
            .shadow(0.4),
    );
    scene.after(Part::Face, added);
    // A scarf in the colour of the clothes, with an end that hangs down.
    let cloth = mix(head.cloth, rgb(0xd0303a), 0.35);
    let scarf = Shape::Rect {
        at: [0.5, 0.765],
        half: [0.185, 0.042],
        round: 0.04,
        angle: 0.0,
    };
    let end = Shape::Rect {
        at: [0.60, 0.87],
        half: [0.042, 0.10],
        round: 0.012,
        angle: -0.15,
    };
    scene.after(
        Part::Body,
        [
            extra(end, times(cloth, 0.85)).upright().shadow(0.3),
            extra(scarf, cloth).upright().shadow(0.3),
        ],
    );
    let buttons = [0.90, 0.97].map(|y| extra(Shape::circle([0.48, y], 0.018), coal).upright());
    scene.after(Part::Body, buttons);
    let flakes = (0..14).map(|i| {
        let draw = |k: i32| uniform(i, k, seed ^ 0xf1a);
        let flake = Shape::circle([draw(0), draw(1)], 0.007 + 0.007 * draw(2));
        extra(flake, [1.0; 3]).upright().line(0.0)
    });
    let flakes: Vec<_> = flakes.collect();
    scene.after(Part::Background, flakes);
}

pub(super) fn puppet(scene: &mut Scene) {
    let head = scene.head.clone();
    let wood = mix(rgb(0xe2b577), rgb(0x8a5a2c), scene.factors.skin);
    let grain = Paint::Strands {
        colours: [times(wood, 0.72), mix(wood, [1.0; 3], 0.12)],
        across: 46.0,
        down: 3.0,
        seed: head.seed ^ 0x90d,
    };
    scene.change(SKIN, |layer| {
        layer.paint = if layer.tone_only {
            Paint::Flat(times(wood, 0.4))
        } else {
            grain.clone()
        };
        layer.gloss = 0.3;
    });
    scene.remove(&[Part::Wrinkle]);
    let yarn = HAIR.iter().filter(|&&part| part != Part::Brow).copied();
    let yarn: Vec<_> = yarn.collect();
    scene.change(&yarn, |layer| {
        layer.paint = Paint::Strands {
            colours: [times(head.hair, 0.45), mix(head.hair, [1.0; 3], 0.22)],
            across: 26.0,
            down: 5.0,
            seed: 8,
        };
    });
    scene.paint(&[Part::Sclera], &Paint::Flat(rgb(0xfffaf0)));
    scene.paint(
        &[Part::Body],
        &Paint::Vertical([rgb(0xc02a2a), rgb(0x7a1418)], [0.8, 1.0]),
    );
    let dark = times(wood, 0.28);
    let mut added = Vec::new();
    for side in [-1.0, 1.0] {
        // The jaw is a piece of its own.
        let joint = Shape::curve(
            head.place(0.36 * side, 0.46),
            head.place(0.34 * side, 0.70),
            head.place(0.27 * side, 0.97),
            0.006,
        );
        added.push(extra(joint, dark));
        let cheek = head.place(0.55 * side, 0.30);
        added.push(
            extra(Shape::circle(cheek, 0.034), rgb(0xe0483c))
                .opacity(0.85)
                .line(0.3),
        );
    }
    let [x, y] = head.place(0.0, 0.24);
    let peg = Shape::Stroke {
        a: [x, y],
        b: [x + 0.13 * head.turn.sin() + 0.012, y + 0.012],
        r: [0.028, 0.022],
    };
    added.push(
        Layer::new(Part::Extra, peg, grain)
            .round([x, y], [0.09, 0.05], 0.9)
            .shadow(0.4),
    );
    let buttons =
        [0.93, 0.98].map(|y| extra(Shape::circle([0.5, y], 0.014), rgb(0xf2d048)).upright());
    scene.after(Part::Body, buttons);
    scene.after(Part::Mouth, added);
    let strings = both(|side| {
        let from = [
            head.at[0] + side * 0.75 * head.radii[0],
            head.at[1] - 0.55 * head.radii[1],
        ];
        let string = Shape::stroke(from, [0.5 + 0.30 * side, -0.05], 0.004);
        extra(string, rgb(0xf0ead8)).upright().line(0.5)
    });
    scene.on_top(strings);
}
