//! Calls of `domex`, as they would be typed, and the files of tasks that they read.

use domex_data::portraits::{Domain, phrases};

use super::part::{EVAL, Part, RUN};

/// How often and on what all is measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Latents of each domain where there are [four](Self::FULL).
    pub pictures: usize,
    pub seed: u64,
}

/// Arguments of one call.
pub type Call = Vec<String>;

/// A domain's name, and the words for it.
pub type Goal = (String, String);

/// Domains in their plainest words.
pub fn goals(domains: &[Domain]) -> Vec<Goal> {
    let goal = |domain: &Domain| (domain.name().to_owned(), phrases(*domain)[0].to_owned());
    domains.iter().map(goal).collect()
}

/// The text of a file of tasks; `of_each` adds lines to the task of that number.
pub fn tasks(goals: &[Goal], of_each: impl Fn(usize) -> String) -> String {
    let task = |(at, (name, words)): (usize, &Goal)| {
        let more = of_each(at);
        format!("[[tasks]]\nname = {name:?}\ntarget = {words:?}\n{more}\n")
    };
    goals.iter().enumerate().map(task).collect()
}

impl Measured {
    /// So many domains are measured on all pictures.
    const FULL: usize = 4;

    /// The words of a line, with the seed.
    pub fn call(self, line: &str) -> Call {
        let words = line.split_whitespace().map(str::to_owned);
        let seed = ["--seed".to_owned(), self.seed.to_string()];
        words.chain(seed).collect()
    }

    /// `domex expand` with more flags.
    pub fn expand(self, steps: usize, more: &str) -> Call {
        self.call(&format!("expand --out {RUN} --steps {steps} {more}"))
    }

    /// `domex eval`, on fewer latents where there are many domains.
    pub fn eval(self, model: &str, domains: usize, more: &str) -> Call {
        let each = (self.pictures * Self::FULL / domains.max(Self::FULL)).max(16);
        self.call(&format!(
            "eval --model {model} --pictures {each} --out {EVAL} {more}"
        ))
    }

    /// Pictures of a domain in a folder of its name.
    pub fn draw(self, domain: Domain, count: usize) -> Call {
        self.call(&format!(
            "data portraits --domains {domain} --count {count} --out {domain}"
        ))
    }

    /// An expansion of the shipped generator by a file of tasks, and its measures.
    pub fn by_tasks(
        self,
        folder: &str,
        text: String,
        (steps, domains): (usize, usize),
        more: &str,
    ) -> Part {
        Part {
            folder: folder.to_owned(),
            files: vec![("tasks.toml", text)],
            calls: vec![
                self.expand(steps, &format!("--tasks tasks.toml {more}")),
                self.eval(EXPANDED, domains, SOURCE),
            ],
        }
    }
}

/// The model that a call of `expand` leaves.
pub const EXPANDED: &str = "run/model.safetensors";

/// What all but the autoencoder began as.
pub const SOURCE: &str = "--source portraits";

/// The same people in every domain, of a row's folder.
pub const PEOPLE: &str = "people.png";

impl Part {
    /// Has its measured model draw [people](PEOPLE); an adapted generator has no domains to draw them in.
    pub fn show(&mut self, by: Measured) {
        let Some(eval) = self.calls.last() else {
            return;
        };
        let model = eval[2].clone();
        let adapted = eval.iter().any(|word| word == "--domain");
        let domains = if adapted { "" } else { "--domains all" };
        let line = format!("generate --model {model} {domains} --seeds 0-7 --out {PEOPLE}");
        self.calls.push(by.call(&line));
    }
}
