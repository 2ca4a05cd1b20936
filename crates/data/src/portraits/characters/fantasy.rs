//! Elf, vampire and devil.

use super::{HAIR, behind, both, extra, pointed_ear, reskin};
use crate::portraits::colour::{mix, rgb, times};
use crate::portraits::factors::{HairStyle, Hat};
use crate::portraits::layer::{Paint, Part};
use crate::portraits::scene::Scene;
use crate::portraits::shape::Shape;

pub(super) fn elf(scene: &mut Scene) {
    let head = scene.head.clone();
    let skin = mix(head.skin, rgb(0xf3e0b0), 0.25);
    scene.remove(&[Part::Ear]);
    scene.change(&[Part::Iris], |layer| {
        if !layer.tone_only {
            layer.paint = Paint::Flat(mix(layer.paint.at([0.0, 0.0]), rgb(0x57d04a), 0.6));
        }
    });
    let cloak = rgb(0x2f6b2c);
    scene.paint(
        &[Part::Body],
        &Paint::Vertical([cloak, times(cloak, 0.5)], [0.8, 1.0]),
    );
    scene.paint(&[Part::Hat], &Paint::Flat(rgb(0x3c7a34)));
    let collar: Vec<_> = (0..7)
        .map(|i| {
            let x = 0.5 + 0.062 * (i as f32 - 3.0);
            let y = 0.865 + 0.006 * (i as f32 - 3.0).powi(2);
            let leaf = Shape::Polygon(vec![
                [x - 0.035, y],
                [x, y - 0.03],
                [x + 0.035, y],
                [x, y + 0.075],
            ]);
            let green = if i % 2 == 0 {
                rgb(0x5fae3f)
            } else {
                rgb(0x86c552)
            };
            extra(leaf, green).upright().line(0.7)
        })
        .collect();
    scene.after(Part::Neck, collar);
    // A hood hides ears as little as hair does: they stand out through it.
    scene.on_top(both(|side| pointed_ear(&head, side, 0.155, skin)));
    scene.on_top(both(|side| {
        pointed_ear(&head, side, 0.09, mix(skin, rgb(0xb05a48), 0.45)).line(0.3)
    }));
    if scene.factors.hat == Hat::None {
        let band = Shape::curve(
            head.place(-0.85, -0.52),
            head.place(0.0, -0.43),
            head.place(0.85, -0.52),
            0.009,
        );
        let [x, y] = head.place(0.0, -0.40);
        scene.on_top([
            extra(band, rgb(0xe8c347)).gloss(0.5),
            extra(Shape::circle([x, y], 0.018), rgb(0x2fd07a)).gloss(0.5),
        ]);
    }
}

pub(super) fn vampire(scene: &mut Scene) {
    behind(
        scene,
        &Paint::Vertical([rgb(0x140f22), rgb(0x46203a)], [0.0, 1.0]),
    );
    let skin = reskin(scene, rgb(0xe3e4ea), 0.3);
    let head = scene.head.clone();
    scene.change(&[Part::Lid], |layer| {
        layer.paint = Paint::Flat(rgb(0x3a2038));
        layer.opacity = layer.opacity.max(0.6);
    });
    scene.change(&[Part::Iris], |layer| {
        if !layer.tone_only {
            layer.paint = Paint::Flat(rgb(0xd01218));
        }
    });
    scene.change(&[Part::Mouth], |layer| {
        if layer.line > 0.5 {
            layer.paint = Paint::Flat(rgb(0x8c0f1c));
        }
    });
    // Darker hair that comes to a point on the forehead.
    scene.change(HAIR, |layer| {
        let own = layer.paint.at([0.5, 0.4]);
        layer.paint = Paint::Strands {
            colours: [times(own, 0.35), times(own, 0.75)],
            across: 60.0,
            down: 8.0,
            seed: 3,
        };
    });
    if scene.factors.hair_style != HairStyle::Bald && scene.factors.hat == Hat::None {
        let peak = Shape::Polygon(vec![
            head.place(-0.55, -0.72),
            head.place(0.55, -0.72),
            head.place(0.0, -0.36),
        ]);
        scene.after(Part::Hair, [extra(peak, times(head.hair, 0.5)).line(0.3)]);
    }
    scene.paint(&[Part::Body], &Paint::Flat(rgb(0x17141c)));
    let shirt = Shape::Polygon(vec![[0.43, 0.86], [0.57, 0.86], [0.5, 1.05]]);
    scene.after(Part::Neck, [extra(shirt, rgb(0xefeaea)).upright()]);
    // The collar stands up behind the jaw, red inside.
    let wing = |side: f32, by: f32| {
        let x = |d: f32| 0.5 + side * (d + by);
        Shape::Polygon(vec![
            [x(0.09), 0.90],
            [x(0.33), 0.56 - by],
            [x(0.31), 0.80],
            [x(0.20), 1.0],
        ])
    };
    let collar = both(|side| extra(wing(side, 0.022), rgb(0x100d14)).upright());
    let lining = both(|side| extra(wing(side, 0.0), rgb(0xa3101f)).upright().line(0.4));
    let at = scene
        .layers
        .iter()
        .position(|layer| layer.part == Part::Neck);
    let at = at.unwrap_or(1);
    scene
        .layers
        .splice(at..at, collar.into_iter().chain(lining));
    let fangs = both(|side| {
        let [x, y] = head.place(0.11 * side, 0.565);
        let x = x + 0.02 * head.turn.sin();
        let tooth = Shape::Polygon(vec![[x - 0.012, y], [x + 0.012, y], [x, y + 0.048]]);
        extra(tooth, mix(skin, [1.0; 3], 0.8)).line(0.4)
    });
    scene.after(Part::Mouth, fangs);
}

pub(super) fn devil(scene: &mut Scene) {
    behind(
        scene,
        &Paint::Vertical([rgb(0x1c0606), rgb(0xb8400c)], [0.0, 1.0]),
    );
    let skin = reskin(scene, rgb(0xd63a26), 0.5);
    let head = scene.head.clone();
    scene.remove(&[Part::Ear]);
    scene.change(&[Part::Sclera], |layer| {
        layer.paint = Paint::Flat(rgb(0xf7d64a));
    });
    scene.change(&[Part::Lid], |layer| {
        layer.paint = Paint::Flat(rgb(0x4a0a0a));
    });
    scene.change(&[Part::Brow], |layer| {
        layer.paint = Paint::Flat(rgb(0x180808));
        layer.opacity = 1.0;
    });
    scene.change(&[Part::Mouth], |layer| {
        if layer.line > 0.5 {
            layer.paint = Paint::Flat(rgb(0x5a0a0c));
        }
    });
    scene.paint(
        &[Part::Body],
        &Paint::Vertical([rgb(0x3a0a10), rgb(0x14060a)], [0.8, 1.0]),
    );
    scene.change(&[Part::Hair, Part::HairBack, Part::Beard], |layer| {
        let own = layer.paint.at([0.5, 0.4]);
        layer.paint = Paint::Strands {
            colours: [times(own, 0.4), times(own, 0.8)],
            across: 60.0,
            down: 8.0,
            seed: 4,
        };
    });
    scene.on_top(both(|side| {
        pointed_ear(&head, side, 0.10, times(skin, 0.92))
    }));
    let mut horns = Vec::new();
    for side in [-1.0, 1.0] {
        let root = head.place(0.50 * side, -0.74);
        let bend = [root[0] + 0.065 * side, root[1] - 0.055];
        let tip = [root[0] + 0.055 * side, root[1] - 0.155];
        let horn = Shape::Union(vec![
            Shape::Stroke {
                a: root,
                b: bend,
                r: [0.036, 0.027],
            },
            Shape::Stroke {
                a: bend,
                b: tip,
                r: [0.027, 0.004],
            },
        ]);
        horns.push(
            extra(horn, rgb(0x2a1a16))
                .round([bend[0], bend[1]], [0.09, 0.12], 0.9)
                .gloss(0.35)
                .shadow(0.2),
        );
    }
    scene.on_top(horns);
    let [x, y] = head.place(0.0, 0.80);
    let goatee = Shape::Polygon(vec![[x - 0.032, y], [x + 0.032, y], [x + 0.006, y + 0.115]]);
    scene.after(Part::Mouth, [extra(goatee, rgb(0x180a0a)).line(0.5)]);
}
