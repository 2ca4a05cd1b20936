//! The domains of an expanded model, as verbs that make pictures use them.

use candle_core::Tensor;
use domex_error::user_error;
use domex_latent::subspace::{Layout, Subspaces};
use domex_latent::{Expansion, Generator};

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

    /// The domains of `--domains a,b` or `all`, checked, in the order asked for.
    pub fn chosen(&self, text: &str) -> domex_error::Result<Vec<String>> {
        let known = self
            .layout()
            .domains()
            .iter()
            .map(|domain| domain.name.clone());
        if text.trim() == "all" {
            return Ok(known.collect());
        }
        // A domain may be called "an old, grey elf".
        let known: Vec<String> = known.collect();
        let names = match known.iter().any(|name| name == text) {
            true => vec![text.to_owned()],
            false => text.split(',').map(|name| name.trim().to_owned()).collect(),
        };
        for (index, name) in names.iter().enumerate() {
            self.layout().domain(name)?;
            if names[..index].contains(name) {
                return Err(user_error(format!(
                    "--domains {text}: {name} is there twice"
                )));
            }
        }
        Ok(names)
    }
}

/// What `--set elf=1,sketch=0.5` says, all of them together.
pub fn parts(texts: &[String]) -> domex_error::Result<Vec<(String, f64)>> {
    let mut parts: Vec<(String, f64)> = Vec::new();
    for text in texts {
        let mut name = String::new();
        for piece in text.split(',') {
            let Some((end, number)) = piece.rsplit_once('=') else {
                // A comma within a name.
                name += piece;
                name.push(',');
                continue;
            };
            name += end;
            let alpha: Option<f64> = number
                .trim()
                .parse()
                .ok()
                .filter(|alpha: &f64| alpha.is_finite());
            let alpha = alpha.ok_or_else(|| {
                user_error(format!(
                    "--set {text}: {:?} is no number; write NAME=ALPHA, such as elf=0.5",
                    number.trim()
                ))
            })?;
            let found = std::mem::take(&mut name).trim().to_owned();
            if parts.iter().any(|(earlier, _)| *earlier == found) {
                return Err(user_error(format!("--set {text}: {found} is set twice")));
            }
            parts.push((found, alpha));
        }
        if !name.is_empty() {
            let name = name.trim_end_matches(',').trim();
            return Err(user_error(format!(
                "--set {text}: {name:?} has no strength; write NAME=ALPHA, such as elf=0.5"
            )));
        }
    }
    Ok(parts)
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

    #[test]
    fn strengths_are_read_and_commas_in_names_too() {
        let read = |text: &str| parts(&[text.to_owned()]);
        let found = read("elf=1, sketch = -0.5,an old, grey elf=2").unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["elf", "sketch", "an old, grey elf"]);
        assert_eq!(
            found.iter().map(|part| part.1).collect::<Vec<_>>(),
            [1.0, -0.5, 2.0]
        );
        for (text, word) in [
            ("elf", "no strength"),
            ("elf=x", "no number"),
            ("elf=nan", "no number"),
            ("a=1,a=2", "twice"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
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
