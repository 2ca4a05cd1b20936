//! Texts for a step: one sentence for each domain.
//!
//! Which words name a domain, and the sentence around them, are drawn anew each time, so that the text
//! text encoder learns to look past both.

use domex_random::Stream;

use crate::Result;
use crate::scenes::{Question, Scenes};

/// What stands before the words of an answer.
const PERSONS: [&str; 4] = [
    "a photo of a person",
    "a person",
    "a portrait of a person",
    "a photograph of a face",
];

/// Every phrase of every domain, and the sentences they stand in.
#[derive(Debug, Clone)]
pub struct Sentences {
    phrases: Vec<Vec<String>>,
    templates: Vec<String>,
    questions: Vec<Question>,
}

impl Sentences {
    /// Those of a world. A domain without phrases is called by its name.
    pub fn of(scenes: &dyn Scenes) -> Self {
        let names = scenes
            .factors()
            .first()
            .map_or(&[][..], |domain| &domain.classes);
        let phrases = names.iter().enumerate().map(|(domain, name)| {
            let phrases = scenes.phrases(domain);
            if phrases.is_empty() {
                vec![name.clone()]
            } else {
                phrases
            }
        });
        let mut templates = scenes.templates();
        if templates.is_empty() {
            templates.push("{}".into());
        }
        Self {
            phrases: phrases.collect(),
            templates,
            questions: scenes.questions(),
        }
    }

    /// One sentence for each domain.
    ///
    /// # Errors
    ///
    /// Never: no list is empty.
    pub fn draw(&self, stream: &mut Stream) -> Result<Vec<String>> {
        let one = |phrases: &Vec<String>| {
            let phrase = &phrases[stream.index(phrases.len())?];
            let template = &self.templates[stream.index(self.templates.len())?];
            Ok(template.replace("{}", phrase))
        };
        self.phrases.iter().map(one).collect()
    }

    /// A sentence for each answer of each question, in one list, and how many each question has.
    ///
    /// # Errors
    ///
    /// An answer without words.
    pub fn answers(&self, stream: &mut Stream) -> Result<(Vec<String>, Vec<usize>)> {
        let mut sentences = Vec::new();
        for answer in self.questions.iter().flat_map(|question| &question.answers) {
            let words = &answer[stream.index(answer.len())?];
            let person = PERSONS[stream.index(PERSONS.len())?];
            sentences.push(format!("{person} {words}"));
        }
        let counts = self.questions.iter().map(|question| question.answers.len());
        Ok((sentences, counts.collect()))
    }

    /// The first phrase of each domain in every template, or in `most` of them, domain by domain.
    pub fn plain(&self, most: usize) -> Vec<Vec<String>> {
        let one = |phrases: &Vec<String>| {
            let templates = self.templates.iter().take(most);
            templates
                .map(|template| template.replace("{}", &phrases[0]))
                .collect()
        };
        self.phrases.iter().map(one).collect()
    }

    /// Every phrase in every template, for a vocabulary.
    pub fn all(&self) -> impl Iterator<Item = String> {
        let phrases = self.phrases.iter().flatten();
        phrases.flat_map(|phrase| {
            self.templates
                .iter()
                .map(move |template| template.replace("{}", phrase))
        })
    }
}
