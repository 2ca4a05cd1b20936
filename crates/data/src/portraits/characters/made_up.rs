//! Characters that have no name: an ordinary person in other colours.

use super::{HAIR, SKIN, behind, reskin};
use crate::portraits::layer::{Paint, Part};
use crate::portraits::look::Colours;
use crate::portraits::scene::Scene;

pub(super) fn recolour(colours: &Colours, scene: &mut Scene) {
    if let Some(skin) = colours.skin {
        reskin(scene, skin, 0.3);
    }
    if let Some((spot, amount)) = colours.spots {
        let seed = scene.head.seed ^ 0x51;
        scene.change(SKIN, |layer| {
            if !layer.tone_only {
                layer.paint = Paint::Blotches {
                    colours: [layer.paint.at([0.5, 0.5]), spot],
                    per: 11.0,
                    amount,
                    seed,
                };
            }
        });
    }
    let parts = [
        (HAIR, colours.hair),
        (&[Part::Iris], colours.iris),
        (&[Part::Body], colours.cloth),
    ];
    for (parts, colour) in parts {
        if let Some(colour) = colour {
            scene.paint(parts, &Paint::Flat(colour));
        }
    }
    if let Some(ground) = colours.ground {
        behind(scene, &Paint::Vertical(ground, [0.0, 1.0]));
    }
}
