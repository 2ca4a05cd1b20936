//! Captions: a domain and factors in words, by templates and synonyms. Factors are said of the person, also those that a
//! character or a technique hides: a robot may have red hair. The networks that ship learnt from these words.

use domex_random::Stream;

use super::domain::{Domain, Family};
use super::factors::{Beard, Factors, Glasses, HairColour, HairStyle, Hat};

/// Names of a domain in running text, the plainest first. A rendering's fits before "of a
/// person", a character's stands for the person.
pub fn phrases(domain: Domain) -> &'static [&'static str] {
    match domain {
        Domain::Photo => &["photo", "photograph", "picture", "studio photo", "snapshot"],
        Domain::Sketch => &[
            "sketch",
            "pencil sketch",
            "pencil drawing",
            "graphite drawing",
        ],
        Domain::Ink => &["ink drawing", "black ink drawing", "pen and ink drawing"],
        Domain::Watercolour => &["watercolour", "watercolour painting", "watercolor painting"],
        Domain::Oil => &["oil painting", "oil portrait", "thick oil painting"],
        Domain::PixelArt => &["pixel art", "8-bit pixel art", "pixel art image"],
        Domain::Mosaic => &["mosaic", "stone mosaic", "tile mosaic"],
        Domain::Comic => &["comic", "comic book drawing", "cartoon"],
        Domain::Neon => &["neon sign", "neon light drawing", "neon lights image"],
        Domain::Thermal => &["thermal image", "infrared image", "heat camera image"],
        Domain::Blueprint => &["blueprint", "blueprint drawing", "technical blueprint"],
        Domain::LowPoly => &["low-poly render", "low poly image", "polygon art image"],
        Domain::Embroidery => &["embroidery", "embroidered image", "needlework"],
        Domain::StainedGlass => &[
            "stained glass window",
            "stained glass image",
            "church window",
        ],
        Domain::Sepia => &["sepia photograph", "old sepia photo", "vintage brown photo"],
        Domain::Zombie => &["zombie", "undead zombie", "rotting zombie"],
        Domain::Robot => &["robot", "metal robot", "android"],
        Domain::Statue => &["statue", "marble statue", "stone bust"],
        Domain::Elf => &["elf", "forest elf", "fantasy elf"],
        Domain::Clown => &["clown", "circus clown", "red-nosed clown"],
        Domain::Vampire => &["vampire", "pale vampire", "dracula"],
        Domain::Astronaut => &["astronaut", "spaceman", "astronaut in a helmet"],
        Domain::Snowman => &["snowman", "man of snow", "snowman with a carrot nose"],
        Domain::Ghost => &["ghost", "pale ghost", "spooky ghost"],
        Domain::Alien => &["alien", "green alien", "extraterrestrial"],
        Domain::Devil => &["devil", "red devil", "horned demon"],
        Domain::Puppet => &["puppet", "wooden puppet", "marionette"],
    }
}

/// A caption that names the domain and, most of the time, some of the factors. Which words and
/// which factors is drawn from `stream`.
pub fn caption(factors: &Factors, domain: Domain, stream: &mut Stream) -> String {
    match domain.family() {
        Family::Character => caption_both(factors, Some(domain), None, stream),
        _ => caption_both(factors, None, Some(domain), stream),
    }
}

/// The same for a character in a technique.
pub fn caption_both(
    factors: &Factors,
    character: Option<Domain>,
    rendering: Option<Domain>,
    stream: &mut Stream,
) -> String {
    let style = pick(phrases(rendering.unwrap_or(Domain::Photo)), stream);
    const ANYBODY: &[&str] = &[
        "person",
        "face",
        "head",
        "man or woman",
        "portrait of a person",
    ];
    let who = pick(character.map_or(ANYBODY, phrases), stream);
    let mut traits = traits(factors, stream);
    // All, some or none of what can be said.
    let said = [0, 1, 1, 2, 2, 3, 9][place(7, stream)].min(traits.len());
    shuffle(&mut traits, stream);
    traits.truncate(said);
    let details = join(&traits);
    let plain_photo = rendering.is_none_or(|domain| domain == Domain::Photo);
    let text = match (place(3, stream), plain_photo && character.is_some()) {
        // A photographed character needs no word for the photograph.
        (0, true) => format!("{} {who}", article(who)),
        (1, false) => format!("{style} of {} {who}", article(who)),
        _ => format!("{} {style} of {} {who}", article(style), article(who)),
    };
    if details.is_empty() {
        text
    } else {
        format!("{text} {details}")
    }
}

/// What can be said of the factors, each as a phrase that begins with "with", "wearing" or an
/// adjective after a comma.
fn traits(f: &Factors, stream: &mut Stream) -> Vec<String> {
    let mut all = Vec::new();
    all.push(match f.hair_style {
        HairStyle::Bald => pick(&["bald", "without hair"], stream).to_owned(),
        style => {
            let colour = match f.hair_colour {
                HairColour::Blond => pick(&["blond", "blonde", "fair"], stream),
                HairColour::Red => pick(&["red", "ginger"], stream),
                HairColour::Grey => pick(&["grey", "gray", "white"], stream),
                HairColour::Black => pick(&["black", "dark black"], stream),
                HairColour::Brown => pick(&["brown", "chestnut"], stream),
            };
            match (style, place(2, stream)) {
                (HairStyle::Curly, 0) => format!("with curly {colour} hair"),
                (HairStyle::Long, 0) => format!("with long {colour} hair"),
                (HairStyle::Short, 0) => format!("with short {colour} hair"),
                (HairStyle::Bun, 0) => format!("with {colour} hair in a bun"),
                (HairStyle::Bob, 0) => format!("with a {colour} bob"),
                _ => format!("with {colour} hair"),
            }
        }
    });
    match f.glasses {
        Glasses::None => {
            if place(4, stream) == 0 {
                all.push("without glasses".to_owned());
            }
        }
        Glasses::Sun => {
            all.push(pick(&["wearing sunglasses", "with dark glasses"], stream).to_owned());
        }
        Glasses::Round => all.push(
            pick(
                &["with round glasses", "wearing glasses", "with glasses"],
                stream,
            )
            .to_owned(),
        ),
        Glasses::Square => all.push(
            pick(
                &["with square glasses", "wearing glasses", "with glasses"],
                stream,
            )
            .to_owned(),
        ),
    }
    match f.beard {
        Beard::None => {
            if place(4, stream) == 0 {
                all.push(pick(&["without a beard", "clean shaven"], stream).to_owned());
            }
        }
        Beard::Full => {
            all.push(pick(&["with a full beard", "with a beard", "bearded"], stream).to_owned());
        }
        Beard::Goatee => all.push(pick(&["with a goatee", "with a beard"], stream).to_owned()),
        Beard::Moustache => {
            all.push(pick(&["with a moustache", "with a mustache"], stream).to_owned());
        }
    }
    match f.hat {
        Hat::None => {}
        Hat::Cap => all.push(pick(&["wearing a cap", "with a baseball cap"], stream).to_owned()),
        Hat::Beanie => {
            all.push(pick(&["wearing a beanie", "with a knitted hat"], stream).to_owned());
        }
        Hat::Brimmed => all.push(pick(&["wearing a hat", "with a brimmed hat"], stream).to_owned()),
    }
    if f.smile > 0.45 {
        all.push(pick(&["smiling", "with a smile", "laughing"], stream).to_owned());
    } else if f.smile < -0.45 {
        all.push(pick(&["frowning", "looking sad"], stream).to_owned());
    }
    if f.yaw < -0.45 {
        all.push(pick(&["looking left", "turned to the left"], stream).to_owned());
    } else if f.yaw > 0.45 {
        all.push(pick(&["looking right", "turned to the right"], stream).to_owned());
    }
    if f.age > 0.8 {
        all.push(pick(&["old", "with wrinkles"], stream).to_owned());
    }
    all
}

/// "with red hair, wearing a cap and smiling".
fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn pick(words: &[&'static str], stream: &mut Stream) -> &'static str {
    words[place(words.len(), stream)]
}

fn place(n: usize, stream: &mut Stream) -> usize {
    ((stream.uniform_f32() * n as f32) as usize).min(n - 1)
}

fn shuffle(words: &mut [String], stream: &mut Stream) {
    for i in (1..words.len()).rev() {
        words.swap(i, place(i + 1, stream));
    }
}
