//! Whether a caption of one portrait is also true of another.
//!
//! A caption always names its domain, and says some of the person's traits in the words of
//! [`domex_data::portraits::caption`]. What it says is what its own portrait has, so it is enough to know
//! which traits are spoken of.

use domex_data::portraits::{Domain, Factors, Glasses, phrases};

/// Beyond this, a smile or a turn is spoken of.
const SPOKEN: f32 = 0.45;

/// Whether `text`, a caption of the first portrait, is true of the second.
pub(super) fn holds(text: &str, own: (&Factors, Domain), other: (&Factors, Domain)) -> bool {
    let (a, b) = (own.0, other.0);
    // "An old sepia photo" says nothing of the person.
    let names = phrases(own.1).iter().filter(|name| text.contains(**name));
    let name = names.max_by_key(|name| name.len());
    let text = &name.map_or_else(|| text.to_owned(), |name| text.replacen(name, "", 1));
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let silent_or = |words: &[&str], alike: bool| alike || !says(words);
    // −1, 0 or 1
    let side = |x: f32| i8::from(x > SPOKEN) - i8::from(x < -SPOKEN);
    own.1 == other.1
        && silent_or(
            &[" hair", " bob", "bald"],
            a.hair_colour == b.hair_colour || says(&["bald", "without hair"]),
        )
        && silent_or(STYLES, a.hair_style == b.hair_style)
        && silent_or(&["glasses"], glasses(text, a, b))
        && silent_or(
            &[
                "full beard",
                "bearded",
                "goatee",
                "moustache",
                "mustache",
                "clean shaven",
                "without a beard",
            ],
            a.beard == b.beard,
        )
        && silent_or(&["with a beard"], b.beard.index() >= 2)
        && silent_or(&[" cap", "beanie", "hat"], a.hat == b.hat)
        && silent_or(
            &["smil", "laugh", "frown", "sad"],
            side(a.smile) == side(b.smile),
        )
        && silent_or(&["left", "right"], side(a.yaw) == side(b.yaw))
        && silent_or(&[" old", "wrinkles"], b.age > 0.7)
}

const STYLES: &[&str] = &[
    "curly",
    "long ",
    "short ",
    " bun",
    " bob",
    "bald",
    "without hair",
];

/// "With glasses" is true of round and square ones.
fn glasses(text: &str, a: &Factors, b: &Factors) -> bool {
    let frames = |f: &Factors| matches!(f.glasses, Glasses::Round | Glasses::Square);
    let shape = text.contains("round glasses") || text.contains("square glasses");
    a.glasses == b.glasses || (!shape && frames(a) && frames(b))
}

#[cfg(test)]
mod tests {
    use domex_data::portraits::caption;
    use domex_random::Streams;

    use super::*;

    #[test]
    fn a_caption_is_true_of_its_own_portrait_and_not_of_one_that_differs() {
        let mut stream = Streams::new(4).stream("truth");
        let (mut kept, mut said) = (0, 0);
        for _ in 0..300 {
            let own = Factors::draw(&mut stream);
            let text = caption(&own, Domain::Sketch, &mut stream);
            assert!(
                holds(&text, (&own, Domain::Sketch), (&own, Domain::Sketch)),
                "{text}"
            );
            assert!(
                !holds(&text, (&own, Domain::Sketch), (&own, Domain::Robot)),
                "{text}"
            );
            let mut other = own.clone();
            other.yaw = -own.yaw;
            let speaks = text.contains("left") || text.contains("right");
            said += usize::from(speaks);
            assert_eq!(
                holds(&text, (&own, Domain::Sketch), (&other, Domain::Sketch)),
                !speaks,
                "{text}"
            );
            kept += usize::from(!speaks);
        }
        assert!(said > 20 && kept > 100);
    }

    #[test]
    fn the_name_of_a_domain_says_nothing_of_the_person() {
        let mut young = Factors::draw(&mut Streams::new(4).stream("truth"));
        young.age = 0.1;
        let both = (&young, Domain::Sepia);
        assert!(holds("an old sepia photo of a person", both, both));
        let old = "an old sepia photo of a person old and with a bob";
        let mut other = young.clone();
        other.age = 0.9;
        assert!(!holds(old, (&other, Domain::Sepia), both));
    }
}
