//! `models.toml`: which weights there are, and where.

use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result};

/// The manifest of the project.
const BUILTIN: &str = include_str!("../models.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: Vec<Entry>,
}

/// One published file, or some files of a repository that belong together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What people type.
    pub name: String,
    /// What else it is called: the name that papers and the official files use.
    pub alias: Option<String>,
    /// One line on what it is.
    pub about: String,
    /// The sort of network: `stylegan2`, `clip`, `lpips`, `inception`, `dinov2`, `diffae`, `stable-diffusion`,
    /// `backbone`, `face`.
    pub kind: String,
    /// Under which licence its publisher gives it.
    pub license: String,
    /// Where it is, for a plain address.
    pub url: Option<String>,
    /// Where it is, for the Hub: `owner/name`.
    pub repo: Option<String>,
    /// A commit of the Hub repository, or a branch where no commit is known.
    pub revision: Option<String>,
    /// The file in the Hub repository.
    pub file: Option<String>,
    /// In place of one file: those that make a folder, with their paths in it.
    #[serde(default)]
    pub files: Vec<String>,
    /// The file's hash, where its publisher or several independent users state it.
    pub sha256: Option<String>,
    /// The first digits of the hash, where the publisher puts only those in the name.
    pub sha256_prefix: Option<String>,
    /// Size in bytes, where known.
    pub size: Option<u64>,
    /// What to make of it.
    #[serde(default)]
    pub convert: Convert,
    /// The entry whose file the heads of a perceptual network belong to.
    pub backbone: Option<String>,
}

/// What follows a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convert {
    /// Nothing: the file is read as it is.
    #[default]
    None,
    /// The reader of generators, then our container.
    Generator,
    /// Heads, joined with their `backbone` to our container.
    Lpips,
}

/// Where an entry's file comes from.
#[derive(Debug)]
pub enum Source<'a> {
    /// A plain address.
    Url(&'a str),
    /// A file of a Hub repository.
    Hub {
        /// `owner/name`.
        repo: &'a str,
        /// Commit or branch.
        revision: &'a str,
        /// Path in the repository.
        file: &'a str,
    },
    /// Files of a Hub repository, which keep their paths.
    Folder {
        /// `owner/name`.
        repo: &'a str,
        /// Commit or branch.
        revision: &'a str,
        /// Paths in the repository.
        files: &'a [String],
    },
}

impl Entry {
    /// Where the file comes from.
    ///
    /// # Errors
    ///
    /// The entry names no place, or two.
    pub fn source(&self) -> Result<Source<'_>> {
        let revision = self.revision.as_deref().unwrap_or("main");
        match (&self.url, &self.repo, &self.file, &self.files[..]) {
            (Some(url), None, None, []) if self.revision.is_none() => Ok(Source::Url(url)),
            (None, Some(repo), Some(file), []) => Ok(Source::Hub {
                repo,
                revision,
                file,
            }),
            (None, Some(repo), None, files @ [_, ..]) => Ok(Source::Folder {
                repo,
                revision,
                files,
            }),
            _ => Err(self.wrong("needs either `url`, or `repo` and `file` or `files`")),
        }
    }

    /// The entry of one file of a folder.
    pub(crate) fn part(&self, file: &str) -> Self {
        Self {
            name: format!("{}/{file}", self.name),
            file: Some(file.to_owned()),
            files: Vec::new(),
            ..self.clone()
        }
    }

    /// The same in words, for people and for the lock file.
    ///
    /// # Errors
    ///
    /// As [`source`](Self::source).
    pub fn place(&self) -> Result<String> {
        Ok(match self.source()? {
            Source::Url(url) => url.to_owned(),
            Source::Hub {
                repo,
                revision,
                file,
            } => format!("hub:{repo}@{revision}/{file}"),
            Source::Folder {
                repo,
                revision,
                files,
            } => format!("hub:{repo}@{revision}, {} files", files.len()),
        })
    }

    /// The name of the file on disk.
    ///
    /// # Errors
    ///
    /// As [`source`](Self::source), the address does not end in a file name, or there are several files.
    pub fn file_name(&self) -> Result<&str> {
        let path = match self.source()? {
            Source::Url(url) => url.split(['?', '#']).next().unwrap_or(url),
            Source::Hub { file, .. } => file,
            Source::Folder { .. } => return Err(self.wrong("is of several files")),
        };
        path.rsplit('/')
            .next()
            .filter(|name| is_plain(name))
            .ok_or_else(|| self.wrong("its address does not end in a file name"))
    }

    pub(crate) fn wrong(&self, problem: &'static str) -> Error {
        Error::Entry {
            name: self.name.clone(),
            problem,
        }
    }

    /// Whether this is a name of it.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.alias.as_deref() == Some(name)
    }

    fn check(&self) -> Result<()> {
        if !is_plain(&self.name) {
            return Err(self.wrong("has a name with characters other than a-z, 0-9, . _ -"));
        }
        let hex = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        if self
            .sha256
            .as_deref()
            .is_some_and(|h| h.len() != 64 || !hex(h))
        {
            return Err(self.wrong("has a sha256 that is not 64 hexadecimal digits"));
        }
        if self
            .sha256_prefix
            .as_deref()
            .is_some_and(|h| h.len() > 64 || !hex(h))
        {
            return Err(self.wrong("has a sha256_prefix that is not hexadecimal"));
        }
        match self.source()? {
            Source::Folder { files, .. } => self.check_files(files),
            _ => self.file_name().map(drop),
        }
    }

    /// Paths of a folder lie in it, each once; nothing is made of them.
    fn check_files(&self, files: &[String]) -> Result<()> {
        let lies_within = |file: &String| file.split('/').all(is_plain);
        let twice = |(i, file): (usize, &String)| files[..i].contains(file);
        if !files.iter().all(lies_within) || files.iter().enumerate().any(twice) {
            return Err(self.wrong("has `files` that are no paths in a folder, each once"));
        }
        match (&self.sha256, &self.sha256_prefix, self.convert) {
            (None, None, Convert::None) => Ok(()),
            _ => Err(self.wrong("has `files`, which go without hash and `convert`")),
        }
    }

    /// Heads need a backbone, and nothing else has one.
    fn check_backbone(&self, all: &[Self]) -> Result<()> {
        match (&self.backbone, self.convert) {
            (None, Convert::Lpips) => Err(self.wrong("is of heads and needs a `backbone`")),
            (None, _) => Ok(()),
            (Some(_), Convert::None | Convert::Generator) => {
                Err(self.wrong("has a `backbone`, which goes with convert = \"lpips\""))
            }
            (Some(name), Convert::Lpips) => {
                let known = |entry: &Self| entry.name == *name && entry.convert == Convert::None;
                match all.iter().any(known) {
                    true => Ok(()),
                    false => Err(self.wrong("has a `backbone` that is no plain entry")),
                }
            }
        }
    }
}

/// Safe as a file name of its own: it becomes part of a path.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// Which weights there are.
#[derive(Debug, Clone)]
pub struct Manifest {
    entries: Vec<Entry>,
}

impl Manifest {
    /// The project's own.
    ///
    /// # Errors
    ///
    /// It contradicts itself, which the tests exclude.
    pub fn builtin() -> Result<Self> {
        Self::parse(Path::new("models.toml"), BUILTIN)
    }

    /// That of a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no such TOML, or an entry contradicts itself or another one.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let File { model: entries } = toml::from_str(text).map_err(|error| Error::Toml {
            path: path.to_owned(),
            reason: error.to_string().trim().to_owned(),
        })?;
        for (i, entry) in entries.iter().enumerate() {
            entry.check()?;
            let known = |name: &str| entries[..i].iter().any(|other| other.is_called(name));
            if known(&entry.name) || entry.alias.as_deref().is_some_and(known) {
                return Err(entry.wrong("is there twice"));
            }
            entry.check_backbone(&entries)?;
        }
        Ok(Self { entries })
    }

    /// All entries, in the file's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a name, or of what else it is called.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, name: &str) -> Result<&Entry> {
        let found = self.entries.iter().find(|entry| entry.is_called(name));
        found.ok_or_else(|| {
            let known: Vec<_> = self.entries.iter().map(|e| e.name.as_str()).collect();
            Error::Unknown {
                name: name.to_owned(),
                known: known.join(", "),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    #[test]
    fn the_projects_own_manifest_is_valid() {
        let manifest = Manifest::builtin().unwrap();
        let entries = manifest.entries();
        assert!(entries.iter().any(|e| e.kind == "stylegan2"));
        assert!(entries.iter().any(|e| e.repo.is_some()));
        assert!(entries.iter().any(|e| !e.files.is_empty()));
        for entry in entries {
            assert!(
                !entry.about.is_empty() && !entry.license.is_empty(),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |body: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), body).unwrap();
            let error = Manifest::read(file.path()).unwrap_err();
            error.to_string()
        };
        let entry = |rest: &str| {
            format!("[[model]]\nname = \"a\"\nabout = \"\"\nkind = \"\"\nlicense = \"\"\n{rest}\n")
        };
        let url = "url = \"http://x/f.bin\"";
        assert!(refused(&entry("")).contains("needs either `url`"));
        assert!(refused(&entry(&format!("{url}\nrepo = \"a/b\""))).contains("needs either"));
        assert!(refused(&entry("url = \"http://x/\"")).contains("file name"));
        assert!(refused(&entry(&format!("{url}\nsha256 = \"12\""))).contains("64 hexadecimal"));
        assert!(refused(&entry(&format!("{url}\nsha265 = \"12\""))).contains("sha265"));
        let files = |rest: &str| refused(&entry(&format!("repo = \"a/b\"\n{rest}")));
        for paths in ["../a", "a/../b", "/a", "a//b", "a\", \"a"] {
            assert!(
                files(&format!("files = [\"{paths}\"]")).contains("no paths"),
                "{paths}"
            );
        }
        assert!(files("files = []").contains("needs either"));
        assert!(files("files = [\"a\"]\nfile = \"b\"").contains("needs either"));
        assert!(files("files = [\"a\"]\nconvert = \"generator\"").contains("without hash"));
        let heads = |rest: &str| refused(&entry(&format!("{url}\nconvert = \"lpips\"\n{rest}")));
        assert!(heads("").contains("needs a `backbone`"));
        assert!(heads("backbone = \"b\"").contains("no plain entry"));
        assert!(
            heads("backbone = \"a\"").contains("no plain entry"),
            "itself"
        );
        assert!(refused(&entry(&format!("{url}\nbackbone = \"a\""))).contains("goes with"));
        let twice = entry(url).repeat(2);
        assert!(refused(&twice).contains("twice"));
        let alias = entry(url)
            + &entry(&format!("{url}\nalias = \"a\"")).replace("\"a\"\nabout", "\"b\"\nabout");
        assert!(refused(&alias).contains("twice"));
    }

    #[test]
    fn an_entry_is_found_by_both_names() {
        let manifest = Manifest::builtin().unwrap();
        for name in ["ViT-L/14@336px", "clip-vit-l14-336"] {
            assert_eq!(manifest.find(name).unwrap().name, "clip-vit-l14-336");
        }
        let error = manifest.find("ViT-B").unwrap_err().to_string();
        assert!(
            error.contains("`ViT-B`") && error.contains("clip-vit-b32"),
            "{error}"
        );
    }
}
