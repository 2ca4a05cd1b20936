//! What varies from portrait to portrait: the factors, their ranges, and how they are drawn.

use std::fmt;
use std::str::FromStr;

use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A factor with named values, the names being those of labels and captions.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$case_doc:meta])* $case:ident = $text:literal / $weight:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$case_doc])* $case,)+ }

        impl $name {
            /// All values, in the order of their labels.
            pub const ALL: &'static [Self] = &[$(Self::$case,)+];
            /// How often each occurs, in the same order; they add up to 1.
            pub const SHARES: &'static [f32] = &[$($weight,)+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$case => $text,)+ }
            }

            /// Its place among [`ALL`](Self::ALL).
            pub fn index(self) -> usize {
                self as usize
            }

            fn of(number: f32) -> Self {
                Self::ALL[pick(Self::SHARES, number)]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::ALL.iter().copied().find(|v| v.name() == text).ok_or_else(|| Error::Unknown {
                    what: $what,
                    found: text.to_owned(),
                    known: Self::ALL.iter().map(|v| v.name()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

choices! {
    /// How the hair is worn.
    HairStyle, "hair style" {
        /// No hair.
        Bald = "bald" / 0.08,
        /// Close to the head.
        Short = "short" / 0.22,
        /// Combed to one side.
        Parted = "parted" / 0.16,
        /// A round of curls.
        Curly = "curly" / 0.14,
        /// Straight, to the chin.
        Bob = "bob" / 0.14,
        /// Over the shoulders.
        Long = "long" / 0.16,
        /// Tied on top of the head.
        Bun = "bun" / 0.10,
    }
}

choices! {
    /// Colour of hair, brows and beard.
    HairColour, "hair colour" {
        /// Nearly black.
        Black = "black" / 0.24,
        /// Brown.
        Brown = "brown" / 0.28,
        /// Blond.
        Blond = "blond" / 0.20,
        /// Red.
        Red = "red" / 0.14,
        /// Grey to white.
        Grey = "grey" / 0.14,
    }
}

choices! {
    /// Colour of the irises.
    EyeColour, "eye colour" {
        /// Brown.
        Brown = "brown" / 0.40,
        /// Blue.
        Blue = "blue" / 0.30,
        /// Green.
        Green = "green" / 0.30,
    }
}

choices! {
    /// What is worn on the nose.
    Glasses, "glasses" {
        /// Nothing.
        None = "none" / 0.64,
        /// Round thin frames.
        Round = "round" / 0.12,
        /// Square thick frames.
        Square = "square" / 0.12,
        /// Dark lenses.
        Sun = "sunglasses" / 0.12,
    }
}

choices! {
    /// Hair of the face.
    Beard, "beard" {
        /// Shaved.
        None = "none" / 0.62,
        /// On the upper lip.
        Moustache = "moustache" / 0.10,
        /// Around the mouth.
        Goatee = "goatee" / 0.12,
        /// The whole jaw.
        Full = "full" / 0.16,
    }
}

choices! {
    /// What is worn on the head.
    Hat, "hat" {
        /// Nothing.
        None = "none" / 0.76,
        /// A cap with a visor.
        Cap = "cap" / 0.08,
        /// A knitted hat.
        Beanie = "beanie" / 0.08,
        /// A hat with a brim all around.
        Brimmed = "brimmed" / 0.08,
    }
}

choices! {
    /// What is behind the person.
    Background, "background" {
        /// One colour, a little darker at the edges.
        Plain = "plain" / 0.40,
        /// From light to dark.
        Gradient = "gradient" / 0.35,
        /// Lights out of focus.
        Bokeh = "bokeh" / 0.25,
    }
}

/// Everything that decides who is seen, and how; a domain and a seed decide the rest.
///
/// Numbers are in `[0, 1]`, or in `[-1, 1]` where it says so. [`render`](super::render) clamps
/// what lies outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factors {
    /// Where the face looks, −1 (to the picture's left) to 1.
    pub yaw: f32,
    /// The head leaning, −1 to 1.
    pub tilt: f32,
    /// Narrow to wide.
    pub face_width: f32,
    /// Square to pointed chin.
    pub jaw: f32,
    /// Light to dark.
    pub skin: f32,
    /// How the hair is worn.
    pub hair_style: HairStyle,
    /// Short to long, within the style.
    pub hair_length: f32,
    /// Colour of hair, brows and beard.
    pub hair_colour: HairColour,
    /// Small to large.
    pub eye_size: f32,
    /// Colour of the irises.
    pub eye_colour: EyeColour,
    /// Thin to thick brows.
    pub brows: f32,
    /// Small to large.
    pub nose: f32,
    /// Narrow to wide.
    pub mouth: f32,
    /// Sad (−1) to a broad smile (1).
    pub smile: f32,
    /// What is worn on the nose.
    pub glasses: Glasses,
    /// Hair of the face.
    pub beard: Beard,
    /// What is worn on the head.
    pub hat: Hat,
    /// No lines to many.
    pub age: f32,
    /// Where the light comes from, −1 (the picture's left) to 1.
    pub light: f32,
    /// Cold (−1) to warm (1) light.
    pub warmth: f32,
    /// What is behind.
    pub background: Background,
    /// Hue of what is behind, once around the circle.
    pub background_hue: f32,
    /// Dark to bright.
    pub background_value: f32,
    /// Hue of clothes and hat, once around the circle.
    pub cloth_hue: f32,
}

impl Factors {
    /// How many numbers decide them.
    pub const NUMBERS: usize = 24;

    /// Factors as they occur: each independent of the others, numbers uniform, named values by
    /// their shares. Takes the same count of numbers from the stream whatever comes out.
    pub fn draw(stream: &mut Stream) -> Self {
        Self::of(&std::array::from_fn(|_| stream.uniform_f32()))
    }

    /// Factors of numbers in `[0, 1)`, one for each: where the numbers are uniform, the factors are as they occur.
    pub fn of(numbers: &[f32; Self::NUMBERS]) -> Self {
        let mut numbers = numbers.iter().copied();
        let mut unit = || numbers.next().unwrap_or(0.5);
        let (yaw, tilt) = (2.0 * unit() - 1.0, 2.0 * unit() - 1.0);
        let (face_width, jaw, skin, hair_length) = (unit(), unit(), unit(), unit());
        let (eye_size, brows, nose, mouth) = (unit(), unit(), unit(), unit());
        let (smile, age) = (2.0 * unit() - 1.0, unit());
        let (light, warmth) = (2.0 * unit() - 1.0, 2.0 * unit() - 1.0);
        let (background_hue, background_value, cloth_hue) = (unit(), unit(), unit());
        Self {
            yaw,
            tilt,
            face_width,
            jaw,
            skin,
            hair_style: HairStyle::of(unit()),
            hair_length,
            hair_colour: HairColour::of(unit()),
            eye_size,
            eye_colour: EyeColour::of(unit()),
            brows,
            nose,
            mouth,
            smile,
            glasses: Glasses::of(unit()),
            beard: Beard::of(unit()),
            hat: Hat::of(unit()),
            age,
            light,
            warmth,
            background: Background::of(unit()),
            background_hue,
            background_value,
            cloth_hue,
        }
    }

    /// This person on another occasion: pose, expression, light, clothes and background are `other`'s, all else stays.
    #[must_use]
    pub fn on_occasion_of(&self, other: &Self) -> Self {
        Self {
            yaw: other.yaw,
            tilt: other.tilt,
            smile: other.smile,
            light: other.light,
            warmth: other.warmth,
            background: other.background,
            background_hue: other.background_hue,
            background_value: other.background_value,
            cloth_hue: other.cloth_hue,
            ..self.clone()
        }
    }

    /// The same, with every number within its range.
    pub(crate) fn clamped(&self) -> Self {
        let mut f = self.clone();
        for x in [
            &mut f.face_width,
            &mut f.jaw,
            &mut f.skin,
            &mut f.hair_length,
            &mut f.eye_size,
            &mut f.brows,
            &mut f.nose,
            &mut f.mouth,
            &mut f.age,
            &mut f.background_hue,
            &mut f.background_value,
            &mut f.cloth_hue,
        ] {
            *x = within(*x, 0.0);
        }
        for x in [
            &mut f.yaw,
            &mut f.tilt,
            &mut f.smile,
            &mut f.light,
            &mut f.warmth,
        ] {
            *x = within(*x, -1.0);
        }
        f
    }
}

/// `x` in `[low, 1]`; what is no number becomes the middle.
fn within(x: f32, low: f32) -> f32 {
    if x.is_nan() {
        0.5 * (low + 1.0)
    } else {
        x.clamp(low, 1.0)
    }
}

/// The index that a uniform number falls on.
fn pick(shares: &[f32], u: f32) -> usize {
    let mut sum = 0.0;
    shares
        .iter()
        .position(|share| {
            sum += share;
            u < sum
        })
        .unwrap_or(shares.len() - 1)
}
