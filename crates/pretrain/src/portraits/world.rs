//! Portraits as scenes.

use domex_data::portraits::{self, Domain, Factors};
use domex_judge::Factor;
use domex_random::{Stream, Streams};

use super::{labels, questions, templates::TEMPLATES, truth};
use crate::scenes::{Question, Scene, Scenes, Triplet};

/// The portrait renderer. A scene's seed decides its factors and its grain.
#[derive(Debug, Clone)]
pub struct World {
    factors: Vec<Factor>,
    domains: Vec<Domain>,
}

impl World {
    /// All domains, the photograph first.
    pub fn new() -> Self {
        Self {
            factors: labels::factors(),
            domains: Domain::ALL.to_vec(),
        }
    }

    /// The factors of a seed.
    pub fn factors_of(seed: u64) -> Factors {
        Factors::draw(&mut Streams::new(seed).stream("factors"))
    }

    fn domain(&self, index: usize) -> Domain {
        self.domains.get(index).copied().unwrap_or(Domain::Photo)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Scenes for World {
    fn factors(&self) -> &[Factor] {
        &self.factors
    }

    fn scene(&self, domain: usize, seed: u64, size: u32) -> Scene {
        let (factors, domain) = (Self::factors_of(seed), self.domain(domain));
        Scene {
            picture: portraits::render(&factors, domain, seed, size),
            classes: labels::classes(&factors, domain),
        }
    }

    fn caption(&self, domain: usize, seed: u64, words: u64) -> String {
        let mut stream = Streams::new(words).stream("caption");
        portraits::caption(&Self::factors_of(seed), self.domain(domain), &mut stream)
    }

    fn holds(&self, caption: &str, own: (usize, u64), other: (usize, u64)) -> bool {
        if own.0 != other.0 {
            return false; // every caption names its domain
        }
        let (a, b) = (Self::factors_of(own.1), Self::factors_of(other.1));
        truth::holds(
            caption,
            (&a, self.domain(own.0)),
            (&b, self.domain(other.0)),
        )
    }

    fn questions(&self) -> Vec<Question> {
        questions::all()
    }

    /// Of photographs only: elsewhere colours and small things are not what they were.
    fn answer(&self, question: usize, domain: usize, seed: u64) -> Option<usize> {
        let photo = self.domain(domain) == Domain::Photo;
        let question = questions::QUESTIONS.get(question).filter(|_| photo)?;
        (question.right)(&Self::factors_of(seed))
    }

    fn phrases(&self, domain: usize) -> Vec<String> {
        let phrases = portraits::phrases(self.domain(domain));
        phrases.iter().map(|&phrase| phrase.to_owned()).collect()
    }

    fn templates(&self) -> Vec<String> {
        TEMPLATES
            .iter()
            .map(|&template| template.to_owned())
            .collect()
    }

    /// Near: one number of the person moves, or one trait is another's. Far: the same and more; or
    /// another domain.
    fn triplet(&self, seed: u64, size: u32) -> Triplet {
        let mut stream = Streams::new(seed).stream("triplet");
        let mut pick = |n: usize| (stream.uniform_f32() * n as f32) as usize;
        let domain = self.domain(pick(self.domains.len()));
        let other = self.domain(pick(self.domains.len()));
        let kind = pick(3);
        let reference = Self::factors_of(seed);
        let donor = Factors::draw(&mut stream);
        let (near, far) = match kind {
            // One number, a little and a lot.
            0 => number(&reference, &mut stream),
            // Some traits of another person, and more of them.
            _ => traits(&reference, &donor, &mut stream),
        };
        let draw = |factors: &Factors, domain| portraits::render(factors, domain, seed, size);
        let far = match kind {
            // The same person in another domain is further than a trait.
            2 if other != domain => draw(&near, other),
            _ => draw(&far, domain),
        };
        Triplet {
            reference: draw(&reference, domain),
            near: draw(&near, domain),
            far,
        }
    }
}

/// One of the numbers that are seen most, moved a little and further the same way.
fn number(reference: &Factors, stream: &mut Stream) -> (Factors, Factors) {
    let (mut near, mut far) = (reference.clone(), reference.clone());
    /// A number and the low end of its range.
    type Field = fn(&mut Factors) -> (&mut f32, f32);
    let fields: [Field; 7] = [
        |f| (&mut f.yaw, -1.0),
        |f| (&mut f.tilt, -1.0),
        |f| (&mut f.face_width, 0.0),
        |f| (&mut f.skin, 0.0),
        |f| (&mut f.smile, -1.0),
        |f| (&mut f.light, -1.0),
        |f| (&mut f.background_value, 0.0),
    ];
    let field = fields[(stream.uniform_f32() * fields.len() as f32) as usize % fields.len()];
    let (value, low) = field(&mut near);
    // Towards the farther end of its range.
    let middle = 0.5 * (low + 1.0);
    let end = if *value < middle { 1.0 } else { low };
    let (some, more) = (
        0.1 + 0.3 * stream.uniform_f32(),
        0.7 + 0.3 * stream.uniform_f32(),
    );
    let start = *value;
    *value = start + some * (end - start);
    *field(&mut far).0 = start + more * (end - start);
    (near, far)
}

/// Traits of `donor`, one group in the near one, at least two in the far one.
fn traits(reference: &Factors, donor: &Factors, stream: &mut Stream) -> (Factors, Factors) {
    let groups: [fn(&mut Factors, &Factors); 5] = [
        |f, d| (f.hair_style, f.hair_colour) = (d.hair_style, d.hair_colour),
        |f, d| (f.glasses, f.eye_colour) = (d.glasses, d.eye_colour),
        |f, d| (f.beard, f.smile) = (d.beard, d.smile),
        |f, d| (f.skin, f.face_width, f.jaw) = (d.skin, d.face_width, d.jaw),
        |f, d| {
            (f.background, f.background_hue, f.background_value) =
                (d.background, d.background_hue, d.background_value);
        },
    ];
    let order = stream.permutation(groups.len());
    let (mut near, mut far) = (reference.clone(), reference.clone());
    groups[order[0]](&mut near, donor);
    let more = 2 + (stream.uniform_f32() * 3.0) as usize;
    for &group in order.iter().take(more) {
        groups[group](&mut far, donor);
    }
    (near, far)
}
