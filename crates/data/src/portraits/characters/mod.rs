//! Characters: changes to an ordinary person's layers.

mod fantasy;
mod made;
mod made_up;
mod stage;
mod strangers;

use super::colour::{Rgb, mix};
use super::domain::Domain;
use super::layer::{Layer, Paint, Part};
use super::look::Colours;
use super::scene::{Head, Scene};
use super::shape::{P, Shape};

/// Turns an ordinary person into a character; any other domain leaves it as it is.
pub(super) fn turn_into(character: Domain, scene: &mut Scene) {
    match character {
        Domain::Zombie => strangers::zombie(scene),
        Domain::Ghost => strangers::ghost(scene),
        Domain::Alien => strangers::alien(scene),
        Domain::Elf => fantasy::elf(scene),
        Domain::Vampire => fantasy::vampire(scene),
        Domain::Devil => fantasy::devil(scene),
        Domain::Robot => made::robot(scene),
        Domain::Statue => made::statue(scene),
        Domain::Snowman => made::snowman(scene),
        Domain::Puppet => made::puppet(scene),
        Domain::Clown => stage::clown(scene),
        Domain::Astronaut => stage::astronaut(scene),
        _ => {}
    }
}

/// Gives parts of an ordinary person other colours.
pub(super) fn recolour(colours: &Colours, scene: &mut Scene) {
    made_up::recolour(colours, scene);
}

/// What skin covers.
const SKIN: &[Part] = &[Part::Face, Part::Neck, Part::Ear, Part::Nose];

/// What is hair.
const HAIR: &[Part] = &[Part::Hair, Part::HairBack, Part::Beard, Part::Brow];

/// A layer that a character adds.
fn extra(shape: Shape, colour: Rgb) -> Layer {
    Layer::flat(Part::Extra, shape, colour)
}

/// Gives skin another colour, keeping a little of the person's own lightness; nostrils and other
/// changes of tone become darker forms of it.
fn reskin(scene: &mut Scene, colour: Rgb, own: f32) -> Rgb {
    let skin = mix(
        colour,
        super::colour::times(colour, 0.55),
        own * scene.factors.skin,
    );
    scene.change(SKIN, |layer| {
        let tone = if layer.tone_only { 0.45 } else { 1.0 };
        layer.paint = Paint::Flat(super::colour::times(skin, tone));
    });
    scene.change(&[Part::Wrinkle], |layer| {
        layer.paint = Paint::Flat(super::colour::times(skin, 0.7));
    });
    skin
}

/// One background without lights.
fn behind(scene: &mut Scene, paint: &Paint) {
    let mut first = true;
    scene.layers.retain(|layer| {
        let keep = layer.part != Part::Background || first;
        first &= layer.part != Part::Background;
        keep
    });
    scene.paint(&[Part::Background], paint);
}

/// Both sides of the face: `make` gets −1 and 1.
fn both(make: impl Fn(f32) -> Layer) -> [Layer; 2] {
    [make(-1.0), make(1.0)]
}

/// Where an eye is, and half its width for the turn.
fn eye(head: &Head, side: f32) -> (P, f32) {
    let (u, v) = (0.4 * side, -0.02);
    (head.place(u, v), 0.056 * head.squeeze(u, v))
}

/// A pointed ear of this length.
fn pointed_ear(head: &Head, side: f32, length: f32, colour: Rgb) -> Layer {
    let (sin, cos) = head.turn.sin_cos();
    let x = head.at[0] + head.radii[0] * (side * cos * 0.95 - 0.2 * sin);
    let y = head.at[1] + 0.10 * head.radii[1];
    let long = length * (0.8 + 0.35 * -side * sin);
    let tip = [x + side * long, y - 0.75 * length];
    let shape = Shape::Polygon(vec![
        [x, y - 0.06],
        [x + side * 0.45 * long, y - 0.075 - 0.2 * length],
        tip,
        [x + side * 0.5 * long, y + 0.005],
        [x, y + 0.065],
    ]);
    extra(shape, colour).round([x, y], [0.16, 0.14], 0.7)
}
