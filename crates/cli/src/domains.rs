//! The domains of an expanded model, as verbs that make pictures use them.

use candle_core::Tensor;
use domex_error::user_error;
use domex_latent::subspace::{Layout, Subspaces};
use domex_latent::{Expansion, Generator};

/// The word for every domain.
const ALL: &str = "all";

/// The name of what is not moved, in tables and grids.
pub const BASE: &str = "base";

/// Words that stand where names of domains do, and what they mean there.
const TAKEN: [(&str, &str); 2] = [
    (ALL, "--domains all means every domain"),
    (BASE, "base is what is shown beside all domains"),
];

/// Refuses such a word as a new domain's name; `mend` says how it gets another.
pub fn check_name(name: &str, mend: &str) -> domex_error::Result<()> {
    let taken = TAKEN.iter().find(|(word, _)| *word == name.trim());
    match taken {
        None => Ok(()),
        Some((_, meaning)) => Err(user_error(format!(
            "a domain cannot be called {name:?}, as {meaning}; {mend}"
        ))),
    }
}

/// Domains and their strengths.
pub type Parts = Vec<(String, f64)>;

/// Base and directions in the type and on the device of the latents.
pub struct Domains<'a> {
    expansion: &'a Expansion,
    subspaces: Subspaces,
    mean: Tensor,
}

impl<'a> Domains<'a> {
    /// Of an expanded generator. `flag` is what asked for them.
    pub fn of(
        generator: &dyn Generator,
        expansion: Option<&'a Expansion>,
        flag: &str,
    ) -> domex_error::Result<Self> {
        let expansion = expansion.ok_or_else(|| {
            user_error(format!(
                "{flag}: the model has no domains; give one that `domex expand` made, as --model"
            ))
        })?;
        let (device, dtype) = (generator.device(), generator.dtype());
        Ok(Self {
            expansion,
            subspaces: expansion
                .layout
                .subspaces(&expansion.basis, device, dtype)?,
            mean: expansion.mean.to_device(device)?.to_dtype(dtype)?,
        })
    }

    /// Names, dimensions and distances.
    pub fn layout(&self) -> &Layout {
        &self.expansion.layout
    }

    /// Base and directions.
    pub fn subspaces(&self) -> &Subspaces {
        &self.subspaces
    }

    /// The mean latent `[D]`.
    pub fn mean(&self) -> &Tensor {
        &self.mean
    }

    /// Latents `[n, rows, D]` on the base subspace.
    pub fn base(&self, ws: &Tensor) -> domex_error::Result<Tensor> {
        Ok(self.subspaces.project(ws, Some(&self.mean))?)
    }

    /// Base latents, moved by `alpha` times its distance along each named domain's direction.
    pub fn moved(&self, base: &Tensor, parts: &[(String, f64)]) -> domex_error::Result<Tensor> {
        let parts: Vec<(&str, f64)> = parts
            .iter()
            .map(|(name, alpha)| (name.as_str(), *alpha))
            .collect();
        Ok(self
            .subspaces
            .compose(base, &self.layout().strengths(&parts)?)?)
    }

    /// What `--set elf=1,sketch` says, all such flags together. A domain without a number has strength 1.
    pub fn parts(&self, flag: &str, texts: &[String]) -> domex_error::Result<Parts> {
        let known = self.names();
        let mut parts = Parts::new();
        for text in texts {
            for (name, alpha) in split(flag, text, &known)? {
                self.layout().domain(&name)?;
                if parts.iter().any(|(earlier, _)| *earlier == name) {
                    return Err(user_error(format!("{flag} {text}: {name} is there twice")));
                }
                parts.push((name, alpha));
            }
        }
        Ok(parts)
    }

    /// The domains of `--domains a,b=0.7` or `all`, checked, in the order asked for; and what should be said of it.
    pub fn chosen(&self, text: &str) -> domex_error::Result<(Parts, Option<String>)> {
        if text.trim() != ALL {
            return Ok((self.parts("--domains", &[text.to_owned()])?, None));
        }
        let names = self.names();
        // A model of an earlier version, or of a file that people wrote, may have it.
        let is_name = names.iter().any(|name| name == ALL);
        let notice = is_name.then(|| {
            "every domain is drawn; --domains all=1 draws the one that is called all".to_owned()
        });
        Ok((names.into_iter().map(|name| (name, 1.0)).collect(), notice))
    }

    fn names(&self) -> Vec<String> {
        let domains = self.layout().domains().iter();
        domains.map(|domain| domain.name.clone()).collect()
    }
}

/// Cuts `elf=0.7,an old, grey elf` at the commas that are not within a known name. Names need not be known: who asks
/// for them says so.
fn split(flag: &str, text: &str, known: &[String]) -> domex_error::Result<Parts> {
    let pieces: Vec<&str> = text.split(',').collect();
    let mut parts = Parts::new();
    let mut from = 0;
    while from < pieces.len() {
        // A stretch ends with the next number at the latest. The longest that is a known name, else all of it up to a
        // number, else one piece.
        let numbered = |at: &usize| pieces[*at - 1].contains('=');
        let number = (from + 1..=pieces.len()).find(numbered);
        let is_name = |part: &str| known.iter().any(|name| name == part.trim());
        let named = |to: &usize| {
            let part = pieces[from..*to].join(",");
            is_name(&part) || is_name(name_of(&part))
        };
        let to = (from + 1..=number.unwrap_or(pieces.len()))
            .rev()
            .find(named)
            .or(number)
            .unwrap_or(from + 1);
        let part = pieces[from..to].join(",");
        // A name may hold the sign that stands before a strength.
        parts.push(match is_name(&part) {
            true => (part.trim().to_owned(), 1.0),
            false => (name_of(&part).to_owned(), alpha(flag, &part)?),
        });
        from = to;
    }
    Ok(parts)
}

/// The one domain of `NAME[=ALPHA]`.
pub fn only_part(flag: &str, text: &str, known: &[String]) -> domex_error::Result<(String, f64)> {
    let mut parts = split(flag, text, known)?;
    match parts.len() {
        1 => Ok(parts.swap_remove(0)),
        _ => Err(user_error(format!("{flag} {text}: expected one domain"))),
    }
}

fn name_of(part: &str) -> &str {
    part.rsplit_once('=').map_or(part, |(name, _)| name).trim()
}

fn alpha(flag: &str, part: &str) -> domex_error::Result<f64> {
    let Some((_, number)) = part.rsplit_once('=') else {
        return Ok(1.0);
    };
    let alpha = number.trim().parse().ok();
    alpha
        .filter(|alpha: &f64| alpha.is_finite())
        .ok_or_else(|| {
            user_error(format!(
                "{flag} {part}: {:?} is no number; write NAME=ALPHA, such as elf=0.5",
                number.trim()
            ))
        })
}

/// A domain's name as part of a file's name: letters and digits of any script stay.
pub fn slug(name: &str) -> String {
    let signs = name.chars().flat_map(char::to_lowercase);
    let signs: String = signs
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let words: Vec<&str> = signs.split('-').filter(|word| !word.is_empty()).collect();
    let slug: String = words.join("-").chars().take(60).collect();
    if slug.is_empty() {
        "domain".to_owned()
    } else {
        slug
    }
}

/// Names of files for several domains, all different.
pub fn slugs(names: &[String]) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let plain = slug(name);
        let mut free = plain.clone();
        let mut count = 1;
        while slugs.contains(&free) {
            count += 1;
            free = format!("{plain}-{count}");
        }
        slugs.push(free);
    }
    slugs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, f64)> {
        let known = ["elf", "sketch", "an old, grey elf"].map(str::to_owned);
        split("--set", text, &known).unwrap()
    }

    fn part(name: &str, alpha: f64) -> (String, f64) {
        (name.to_owned(), alpha)
    }

    #[test]
    fn strengths_are_read_and_one_where_there_is_none() {
        assert_eq!(
            read("elf=0.5, sketch"),
            [part("elf", 0.5), part("sketch", 1.0)]
        );
        assert_eq!(read("sketch=-1"), [part("sketch", -1.0)]);
    }

    #[test]
    fn commas_within_a_known_name_stay() {
        let grey = "an old, grey elf";
        assert_eq!(
            read("elf,an old, grey elf=2,sketch"),
            [part("elf", 1.0), part(grey, 2.0), part("sketch", 1.0)]
        );
        assert_eq!(read(grey), [part(grey, 1.0)]);
    }

    #[test]
    fn a_name_that_is_not_known_is_whole_up_to_its_number() {
        assert_eq!(read("a red, wise owl=1"), [part("a red, wise owl", 1.0)]);
        assert_eq!(read("owl,elf"), [part("owl", 1.0), part("elf", 1.0)]);
    }

    #[test]
    fn a_known_name_with_the_sign_of_a_strength_is_itself() {
        let known = ["size=2".to_owned(), "elf".to_owned()];
        let read = |text| split("--set", text, &known).unwrap();
        assert_eq!(
            read("size=2,elf=3"),
            [part("size=2", 1.0), part("elf", 3.0)]
        );
        assert_eq!(read("size=2=0.5"), [part("size=2", 0.5)]);
        let only = |text| only_part("NAME", text, &known);
        assert_eq!(only("size=2").unwrap(), part("size=2", 1.0));
        assert!(only("elf,size=2").is_err());
    }

    #[test]
    fn a_strength_that_is_no_number_is_refused() {
        for text in ["elf=x", "elf=nan", "elf="] {
            let error = split("--set", text, &[]).unwrap_err().to_string();
            assert!(error.contains("no number"), "{error}");
        }
    }

    #[test]
    fn names_of_files_are_plain_and_different() {
        let names = ["Pencil sketch", "pencil/sketch", "../..", "Гравюра"].map(str::to_owned);
        assert_eq!(
            slugs(&names),
            ["pencil-sketch", "pencil-sketch-2", "domain", "гравюра"]
        );
    }
}
