//! What can be asked of a photographed portrait in words: hair colour, glasses, beard.

use domex_data::portraits::{Beard, Factors, Glasses, HairColour, HairStyle, Hat};

use crate::scenes;

/// A trait, its answers in words, and the answer that is right, if it can be seen.
pub(super) struct Question {
    name: &'static str,
    answers: &'static [&'static [&'static str]],
    pub right: fn(&Factors) -> Option<usize>,
}

pub(super) const QUESTIONS: &[Question] = &[
    Question {
        name: "hair colour",
        answers: &[
            &["with black hair", "with dark black hair"],
            &["with brown hair", "with chestnut hair"],
            &["with blond hair", "with blonde hair", "with fair hair"],
            &["with red hair", "with ginger hair"],
            &["with grey hair", "with gray hair", "with white hair"],
        ],
        right: |f| {
            let seen = f.hair_style != HairStyle::Bald && f.hat == Hat::None;
            seen.then_some(match f.hair_colour {
                HairColour::Black => 0,
                HairColour::Brown => 1,
                HairColour::Blond => 2,
                HairColour::Red => 3,
                HairColour::Grey => 4,
            })
        },
    },
    Question {
        name: "glasses",
        answers: &[
            &["without glasses"],
            &["with glasses", "wearing glasses"],
            &["wearing sunglasses", "with dark glasses"],
        ],
        right: |f| {
            Some(match f.glasses {
                Glasses::None => 0,
                Glasses::Round | Glasses::Square => 1,
                Glasses::Sun => 2,
            })
        },
    },
    Question {
        name: "beard",
        answers: &[
            &["without a beard", "clean shaven"],
            &["with a moustache", "with a mustache"],
            &["with a goatee"],
            &["with a full beard", "bearded"],
        ],
        right: |f| {
            Some(match f.beard {
                Beard::None => 0,
                Beard::Moustache => 1,
                Beard::Goatee => 2,
                Beard::Full => 3,
            })
        },
    },
];

/// The same as a world tells them.
pub(super) fn all() -> Vec<scenes::Question> {
    let words = |words: &&[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let one = |question: &Question| scenes::Question {
        name: question.name.to_owned(),
        answers: question.answers.iter().map(words).collect(),
    };
    QUESTIONS.iter().map(one).collect()
}
