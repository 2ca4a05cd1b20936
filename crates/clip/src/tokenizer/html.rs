//! HTML entities to characters.
//!
//! Two readings, of different strictness:
//! - [`Entities::replace`]: HTML5's, "Named character references" and "Numeric character reference end
//!   state" of the standard. A known name counts even without `;` and with letters after it
//!   (`&notanentity;` begins with `&not`).
//! - [`Entities::replace_whole`]: only what ends with `;`. Known names also count in capitals where the
//!   standard has no such name (`&EACUTE;`).

use std::borrow::Cow;
use std::collections::HashMap;

use regex::{Captures, Regex};

use super::mojibake::windows_1252;
use super::pattern;
use crate::Result;

/// Names are at most this long without `&` and `;`: `CounterClockwiseContourIntegral`.
const LONGEST_NAME: usize = 32;

/// The table of names.
#[derive(Debug, Clone)]
pub(super) struct Entities {
    /// Without `&`, with `;` where the standard has it.
    known: HashMap<&'static str, &'static str>,
    any: Regex,
    whole: Regex,
}

impl Entities {
    pub(super) fn new() -> Result<Self> {
        let entry =
            |entity: &entities::Entity| Some((entity.entity.strip_prefix('&')?, entity.characters));
        Ok(Self {
            known: entities::ENTITIES.iter().filter_map(entry).collect(),
            any: pattern(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\x0C <&#;]{1,32};?)")?,
            whole: pattern(r"&#?[0-9A-Za-z]{1,24};")?,
        })
    }

    /// As HTML5 reads a text.
    pub(super) fn replace<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.any
            .replace_all(text, |found: &Captures<'_>| self.read(&found[0]))
    }

    /// Only entities that are whole.
    pub(super) fn replace_whole<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.whole
            .replace_all(text, |found: &Captures<'_>| self.read_whole(&found[0]))
    }

    /// What `entity` with its `&` stands for; itself if nothing.
    fn read(&self, entity: &str) -> String {
        let name = &entity[1..];
        if let Some(number) = name.strip_prefix('#') {
            return numeric(number.trim_end_matches(';'));
        }
        if let Some(characters) = self.known.get(name) {
            return (*characters).to_owned();
        }
        let ends = name
            .char_indices()
            .map(|(at, _)| at)
            .filter(|&at| (2..=LONGEST_NAME).contains(&at))
            .rev();
        for end in ends {
            if let Some(characters) = self.known.get(&name[..end]) {
                return format!("{characters}{}", &name[end..]);
            }
        }
        entity.to_owned()
    }

    fn read_whole(&self, entity: &str) -> String {
        let name = &entity[1..];
        if let Some(characters) = self.known.get(name) {
            return (*characters).to_owned();
        }
        if name.starts_with('#') {
            // Digits followed by letters are no number: part of them would be left over.
            let read = if self
                .any
                .find(entity)
                .is_some_and(|m| m.len() == entity.len())
            {
                self.read(entity)
            } else {
                entity.to_owned()
            };
            return if read.contains(';') {
                entity.to_owned()
            } else {
                read
            };
        }
        let in_capitals = !name.contains(|c: char| c.is_ascii_lowercase());
        match self.known.get(name.to_ascii_lowercase().as_str()) {
            Some(characters) if in_capitals && self.read(entity) == entity => {
                characters.to_uppercase()
            }
            _ => entity.to_owned(),
        }
    }
}

/// The character of a decimal number, or a hexadecimal one after `x`.
fn numeric(number: &str) -> String {
    let (digits, radix) = match number.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // A number that does not fit is beyond Unicode as well.
    let code = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    match code {
        0 => "\u{fffd}".to_owned(),
        // What old pages mean by these.
        0x80..=0x9f => windows_1252(code as u8).to_string(),
        0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef => String::new(),
        code if code <= 0x10_ffff && code & 0xfffe == 0xfffe => String::new(),
        code => char::from_u32(code)
            .unwrap_or(char::REPLACEMENT_CHARACTER)
            .to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_html5_reads_it() {
        let entities = Entities::new().unwrap();
        for (text, expected) in [
            ("&amp; &lt; AT&T &", "& < AT&T &"),
            ("&notanentity; &notin; &ampx", "¬anentity; ∉ &x"),
            ("&#8364;&#x20ac;&#X20AC &#128;", "€€€ €"),
            (
                "&#0;&#xD800;&#x110000;&#99999999999;",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("&#1;&#xFFFE;&#x1FFFF;|", "|"),
            ("&#;&#x;&;&é;", "&#;&#x;&;&é;"),
        ] {
            assert_eq!(entities.replace(text), expected, "{text}");
        }
    }

    #[test]
    fn whole_entities_only() {
        let entities = Entities::new().unwrap();
        for (text, expected) in [
            ("&amp; &amp &ampx;", "& &amp &ampx;"),
            ("&EACUTE;&SZLIG;&nTILDE;", "ÉSS&nTILDE;"),
            ("&#233;&#59;&#12ab;", "é&#59;&#12ab;"),
        ] {
            assert_eq!(entities.replace_whole(text), expected, "{text}");
        }
    }
}
