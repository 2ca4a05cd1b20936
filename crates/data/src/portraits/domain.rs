//! The domains: a photograph, and what else a portrait can be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// What kind of change a domain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// The source domain.
    Photo,
    /// Another technique: the person stays, the picture changes.
    Rendering,
    /// Somebody else: the person changes, the picture is a photograph.
    Character,
}

macro_rules! domains {
    ($($(#[$doc:meta])* $case:ident $family:ident $name:literal,)+) => {
        /// What a portrait is. Names are those of labels, files and the command line.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Domain { $($(#[$doc])* $case,)+ }

        impl Domain {
            /// All domains, the photograph first, in the order of their labels.
            pub const ALL: &'static [Self] = &[$(Self::$case,)+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)+ }
            }

            /// Which kind of change it is.
            pub fn family(self) -> Family {
                match self { $(Self::$case => Family::$family,)+ }
            }
        }
    };
}

domains! {
    /// A photograph, the source domain.
    Photo Photo "photo",

    /// A pencil sketch on paper.
    Sketch Rendering "sketch",
    /// Black ink on white.
    Ink Rendering "ink",
    /// Washes of watercolour.
    Watercolour Rendering "watercolour",
    /// Thick strokes of oil paint.
    Oil Rendering "oil",
    /// Large pixels of few colours.
    PixelArt Rendering "pixel-art",
    /// Stones set in mortar.
    Mosaic Rendering "mosaic",
    /// A comic with flat colours, thick lines and dots.
    Comic Rendering "comic",
    /// Neon tubes in the dark.
    Neon Rendering "neon",
    /// A picture of a thermal camera.
    Thermal Rendering "thermal",
    /// White lines on blue.
    Blueprint Rendering "blueprint",
    /// Flat triangles.
    LowPoly Rendering "low-poly",
    /// Coloured thread on cloth.
    Embroidery Rendering "embroidery",
    /// Panes of glass in lead.
    StainedGlass Rendering "stained-glass",
    /// An old brown photograph.
    Sepia Rendering "sepia",

    /// Green skin, dark sockets, wounds.
    Zombie Character "zombie",
    /// Metal plates and lamps for eyes.
    Robot Character "robot",
    /// White marble.
    Statue Character "statue",
    /// Pointed ears, a green hood.
    Elf Character "elf",
    /// White face, red nose, coloured curls.
    Clown Character "clown",
    /// Pale skin, red eyes, fangs, a high collar.
    Vampire Character "vampire",
    /// A white helmet among stars.
    Astronaut Character "astronaut",
    /// Snow, coal and a carrot.
    Snowman Character "snowman",
    /// A pale shape that one sees through.
    Ghost Character "ghost",
    /// Green-grey skin and huge black eyes.
    Alien Character "alien",
    /// Red skin and horns.
    Devil Character "devil",
    /// A wooden puppet.
    Puppet Character "puppet",
}

impl Domain {
    /// Domains that no setting was chosen by looking at, half of them renderings and half characters: the teacher that ships
    /// has never seen them, and every table shows them apart.
    pub const HELD_OUT: [Self; 6] = [
        Self::Watercolour,
        Self::Neon,
        Self::LowPoly,
        Self::Elf,
        Self::Devil,
        Self::Puppet,
    ];

    /// Whether it is [held out](Self::HELD_OUT).
    pub fn is_held_out(self) -> bool {
        Self::HELD_OUT.contains(&self)
    }

    /// Its place among [`ALL`](Self::ALL).
    pub fn index(self) -> usize {
        self as usize
    }

    /// The domains of a family, in the order of their labels.
    pub fn of(family: Family) -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(move |domain| domain.family() == family)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Domain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|domain| domain.name() == text)
            .ok_or_else(|| Error::Unknown {
                what: "domain",
                found: text.to_owned(),
                known: Self::ALL
                    .iter()
                    .map(|domain| domain.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}
