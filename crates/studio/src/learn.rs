//! Expansions that are begun from the page.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// Domains of one expansion.
const MOST_DOMAINS: usize = 16;

/// Letters of a domain's words.
const LONGEST_WORDS: usize = 200;

/// Steps of one expansion.
const MOST_STEPS: u64 = 100_000;

/// Runs expansions of the studio's model, each in a process of its own that goes on when the studio ends. A run is its folder.
pub trait Learner: Send + Sync {
    /// Begins a run in a folder that is not there yet.
    ///
    /// # Errors
    ///
    /// No process can be started.
    fn begin(&self, wanted: &Wanted, folder: &Path) -> domex_error::Result<()>;

    /// Goes on with a run that was stopped.
    ///
    /// # Errors
    ///
    /// As of [`begin`](Self::begin).
    fn resume(&self, folder: &Path) -> domex_error::Result<()>;

    /// Has a run save and stop. It may take a step's time.
    ///
    /// # Errors
    ///
    /// The folder cannot be written.
    fn stop(&self, folder: &Path) -> domex_error::Result<()>;

    /// Makes domains in one pass, by networks that have seen others, in place of a run: the folder, which is not there yet, gets a
    /// model with them beside those of the studio's model. It takes seconds.
    ///
    /// # Errors
    ///
    /// No network serves the studio's model, or one of the domains is there already. Nothing is left of the folder.
    fn adapt(&self, given: &Given, folder: &Path) -> domex_error::Result<()>;

    /// How far a run is.
    fn progress(&self, folder: &Path) -> Progress;

    /// The model of a run, once it is done.
    fn model(&self, folder: &Path) -> Option<PathBuf>;

    /// The newest picture of the same people in all domains, as PNG.
    fn picture(&self, folder: &Path) -> Option<Vec<u8>>;
}

/// What is to be learnt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// A domain each, in words.
    pub domains: Vec<String>,
    /// Steps of training.
    pub steps: u64,
}

/// What domains are made of in one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// A domain each, in words.
    Words(Vec<String>),
    /// One domain by a picture, under this name.
    Picture(Box<RgbImage>, String),
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// What it does.
    pub state: State,
    /// Steps that are done, as of its last line.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Until the end, where that is known.
    pub seconds_left: Option<f64>,
    /// The loss of each domain, as of its last line.
    pub losses: BTreeMap<String, f64>,
    /// The step of its newest picture.
    pub picture: Option<u64>,
    /// What a run that failed, or that ended by itself before its end, said.
    pub told: Option<String>,
}

/// What a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It trains.
    Running,
    /// It can be resumed.
    Stopped,
    /// Its model is there.
    Done,
    /// It ended with an error before its first snapshot.
    Failed,
}

impl Wanted {
    /// Refuses what is no list of words.
    ///
    /// # Errors
    ///
    /// No domain or too many; words that are empty, too long, or that name files as the command line does; steps out of range.
    pub fn check(&self) -> Result<(), Refusal> {
        check_domains(&self.domains)?;
        match (1..=MOST_STEPS).contains(&self.steps) {
            true => Ok(()),
            false => Err(Refusal::Settings(format!(
                "{} steps; give 1 to {MOST_STEPS}",
                self.steps
            ))),
        }
    }
}

/// Refuses what is no list of words, as [`Wanted::check`] does.
///
/// # Errors
///
/// No domain or too many; words that are empty, too long, or that name files as the command line does.
pub fn check_domains(domains: &[String]) -> Result<(), Refusal> {
    let refused = |text: String| Err(Refusal::Settings(text));
    if !(1..=MOST_DOMAINS).contains(&domains.len()) {
        let found = domains.len();
        return refused(format!("{found} domains at once; give 1 to {MOST_DOMAINS}"));
    }
    for words in domains {
        if words.trim().is_empty() || words.chars().count() > LONGEST_WORDS {
            return refused(format!(
                "a domain is said in 1 to {LONGEST_WORDS} letters, such as \"pencil sketch\""
            ));
        }
        // `name=@file` of `domex expand` reads pictures of any folder.
        let sign = |c: char| c.is_control() || matches!(c, '=' | '@');
        if let Some(sign) = words.chars().find(|&c| sign(c)) {
            return refused(format!(
                "{words:?}: {sign:?} cannot be part of a domain's words here; pictures are for `domex expand`"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_learnt_here() {
        let wanted = |words: &str, steps| Wanted {
            domains: vec![words.to_owned()],
            steps,
        };
        assert!(wanted("an old, grey elf", 400).check().is_ok());
        for (words, steps) in [
            ("", 400),
            ("  ", 400),
            ("a=@/etc/passwd", 400),
            ("@secret.png", 400),
            ("a\nb", 400),
            ("elf", 0),
            ("elf", u64::MAX),
        ] {
            assert!(wanted(words, steps).check().is_err(), "{words:?} {steps}");
        }
        let none = Wanted {
            domains: Vec::new(),
            steps: 1,
        };
        assert!(none.check().is_err());
    }
}
