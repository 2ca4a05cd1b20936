//! Beard, glasses and hat.

use super::colour::{mix, rgb, times};
use super::factors::{Beard, Factors, Glasses, Hat};
use super::hair::strands;
use super::layer::{Layer, Paint, Part};
use super::scene::Head;
use super::shape::{P, Shape};

pub(super) fn beard(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let [x, y] = head.place(0.0, 0.55);
    let x = x + 0.02 * head.turn.sin();
    let moustache = |half: f32, drop: f32| Shape::Lens {
        at: [x, y - 0.034],
        half,
        up: 0.016,
        down: 0.014,
        bow: -drop,
    };
    let mouth = Shape::Lens {
        at: [x, y + 0.006],
        half: 0.075,
        up: 0.017,
        down: 0.026,
        bow: 0.02 * f.smile,
    };
    let shape = match f.beard {
        Beard::None => return,
        Beard::Moustache => moustache(0.095, 0.018),
        Beard::Goatee => {
            let chin = Shape::Ellipse {
                at: [x, y + 0.075],
                radii: [0.078, 0.085],
            };
            Shape::Union(vec![chin.without(mouth), moustache(0.085, 0.03)])
        }
        Beard::Full => {
            let cheeks = Shape::Ellipse {
                at: head.place(0.0, 0.02),
                radii: [head.radii[0] * 0.86, head.radii[1] * 0.42],
            };
            let low = Shape::Half {
                y: head.at[1] + 0.02,
                above: false,
            };
            let jaw = head.outline(0.016).and(low).without(cheeks).without(mouth);
            Shape::Union(vec![jaw, moustache(0.10, 0.02)])
        }
    };
    let shape = shape.wavy(0.006, 40.0, head.seed ^ 0xbea);
    layers.push(
        Layer::new(Part::Beard, shape, strands(head, 60.0, 22.0))
            .relief(head.relief())
            .soft(0.005)
            .line(0.6)
            .shadow(0.15),
    );
}

pub(super) fn glasses(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    if f.glasses == Glasses::None {
        return;
    }
    let v = 0.0;
    let frame = match f.glasses {
        Glasses::Round => rgb(0x8a6a30),
        _ => rgb(0x151316),
    };
    let width = match f.glasses {
        Glasses::Round => 0.009,
        Glasses::Square => 0.016,
        _ => 0.012,
    };
    // Frames stand a little before the face.
    let ahead = 0.012 * head.turn.sin();
    let mut rims = Vec::new();
    let mut inner = Vec::new();
    for side in [-1.0_f32, 1.0] {
        let u = 0.42 * side;
        let [x, y] = head.place(u, v);
        let at = [x + ahead, y + 0.004];
        let half = 0.078 * head.squeeze(u, v);
        let lens = match f.glasses {
            Glasses::Round => Shape::Ellipse {
                at,
                radii: [half, 0.066],
            },
            Glasses::Square => Shape::Rect {
                at,
                half: [half, 0.052],
                round: 0.014,
                angle: 0.0,
            },
            _ => Shape::Rect {
                at: [at[0], at[1] + 0.006],
                half: [half * 1.05, 0.056],
                round: 0.035,
                angle: 0.0,
            },
        };
        layers.push(match f.glasses {
            Glasses::Sun => {
                let tint =
                    Paint::Vertical([rgb(0x17161c), rgb(0x54505c)], [at[1] - 0.05, at[1] + 0.06]);
                Layer::new(Part::Glasses, lens.clone(), tint).gloss(0.3)
            }
            _ => Layer::flat(Part::Glasses, lens.clone(), rgb(0xdfe9f2))
                .opacity(0.14)
                .line(0.0),
        });
        // The sky mirrors in the upper corner.
        let mirror = Shape::Stroke {
            a: [at[0] - 0.45 * half, at[1] + 0.01],
            b: [at[0] - 0.05 * half, at[1] - 0.03],
            r: [0.004, 0.009],
        };
        layers.push(
            Layer::flat(Part::Glasses, mirror, [1.0; 3])
                .soft(0.004)
                .opacity(0.4)
                .tone_only(),
        );
        inner.push([at[0] - side * half, at[1] - 0.012]);
        let temple = [
            head.at[0] + side * head.radii[0] * head.turn.cos(),
            at[1] - 0.012,
        ];
        rims.push(lens.ring(width));
        rims.push(Shape::stroke(
            [at[0] + side * half, at[1] - 0.014],
            temple,
            0.4 * width,
        ));
    }
    rims.push(Shape::stroke(inner[0], inner[1], 0.45 * width));
    layers.push(
        Layer::flat(Part::Glasses, Shape::Union(rims), frame)
            .line(0.7)
            .shadow(0.3)
            .gloss(0.2),
    );
}

/// The middle of a hat's lower edge.
pub(super) fn hat_at(head: &Head) -> P {
    let shift = -0.10 * head.turn.sin() * head.radii[0];
    [head.at[0] + shift, head.at[1] - 0.42 * head.radii[1]]
}

pub(super) fn hat(layers: &mut Vec<Layer>, head: &Head, f: &Factors) {
    let centre = hat_at(head);
    let wide = head.radii[0] + 0.045;
    let cloth = mix(head.cloth, rgb(0x202028), 0.2);
    let dome = |tall: f32| {
        let round = Shape::Ellipse {
            at: centre,
            radii: [wide, tall],
        };
        round.and(Shape::Half {
            y: centre[1] + 0.02,
            above: true,
        })
    };
    let lit = |layer: Layer| layer.round([centre[0], centre[1]], [wide * 1.15, 0.28], 0.95);
    match f.hat {
        Hat::None => {}
        Hat::Cap => {
            layers.push(lit(Layer::flat(Part::Hat, dome(0.21), cloth)).shadow(0.4));
            let x = centre[0] + 0.55 * head.turn.sin() * head.radii[0];
            let visor = Shape::Lens {
                at: [x, centre[1] + 0.022],
                half: wide * 0.98,
                up: 0.022,
                down: 0.052,
                bow: -0.022,
            };
            layers.push(Layer::flat(Part::Hat, visor, times(cloth, 0.7)).shadow(0.6));
            layers.push(Layer::flat(
                Part::Hat,
                Shape::circle([centre[0], centre[1] - 0.205], 0.014),
                times(cloth, 0.8),
            ));
        }
        Hat::Beanie => {
            let wool = Paint::Strands {
                colours: [times(cloth, 0.75), mix(cloth, [1.0; 3], 0.12)],
                across: 55.0,
                down: 10.0,
                seed: 11,
            };
            layers.push(lit(Layer::new(Part::Hat, dome(0.23), wool)).shadow(0.3));
            let fold = Shape::Rect {
                at: [centre[0], centre[1] - 0.005],
                half: [wide + 0.008, 0.036],
                round: 0.03,
                angle: 0.0,
            };
            layers.push(lit(Layer::flat(Part::Hat, fold, mix(cloth, [1.0; 3], 0.22))).shadow(0.4));
            let pompom = [centre[0], centre[1] - 0.245];
            let ball = Shape::circle(pompom, 0.042).wavy(0.01, 60.0, 3);
            layers.push(
                Layer::flat(Part::Hat, ball, mix(cloth, [1.0; 3], 0.45)).round(
                    pompom,
                    [0.05, 0.05],
                    0.9,
                ),
            );
        }
        Hat::Brimmed => {
            let felt = mix(cloth, rgb(0x6b5236), 0.35);
            let crown = Shape::Rect {
                at: [centre[0], centre[1] - 0.085],
                half: [wide * 0.84, 0.125],
                round: 0.06,
                angle: 0.0,
            };
            layers.push(lit(Layer::flat(Part::Hat, crown, felt)));
            let band = Shape::Rect {
                at: [centre[0], centre[1] + 0.005],
                half: [wide * 0.85, 0.024],
                round: 0.004,
                angle: 0.0,
            };
            layers.push(lit(Layer::flat(Part::Hat, band, times(felt, 0.4))));
            let brim = Shape::Ellipse {
                at: [centre[0], centre[1] + 0.034],
                radii: [wide * 1.42, 0.036],
            };
            layers.push(lit(Layer::flat(Part::Hat, brim, times(felt, 0.88))).shadow(0.6));
        }
    }
}
