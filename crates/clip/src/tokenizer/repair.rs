//! Mends a text before it is read, as the tokenizer's library does by default.
//!
//! For each line, until nothing changes: HTML entities (where the text has no `<`), text decoded with
//! the wrong encoding ([`mojibake`](super::mojibake)), ligatures, letters of full or half width, curly
//! quotes, line ends, terminal colours, control characters, and Unicode's canonical composition (NFC).
//!
//! Source: ftfy 6 (rspeer/python-ftfy, Apache-2.0) `fix_text`, whose steps and character lists these are.

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::html::Entities;
use super::mojibake::Mojibake;
use super::pattern;
use crate::Result;

/// More rounds than any text needs: each one undoes an accident that happened to it.
const ROUNDS: usize = 64;

/// Letters that are two or three, and what they stand for.
const LIGATURES: &[(char, &str)] = &[
    ('Ĳ', "IJ"),
    ('ĳ', "ij"),
    ('ŉ', "'n"), // its apostrophe straight, as all curly ones become
    ('Ǳ', "DZ"),
    ('ǲ', "Dz"),
    ('ǳ', "dz"),
    ('Ǆ', "DŽ"),
    ('ǅ', "Dž"),
    ('ǆ', "dž"),
    ('Ǉ', "LJ"),
    ('ǈ', "Lj"),
    ('ǉ', "lj"),
    ('Ǌ', "NJ"),
    ('ǋ', "Nj"),
    ('ǌ', "nj"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "ſt"),
    ('ﬆ', "st"),
];

#[derive(Debug, Clone)]
pub(super) struct Repair {
    mojibake: Mojibake,
    colours: Regex,
}

impl Repair {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            mojibake: Mojibake::new()?,
            colours: pattern("\x1b\\[[\\d;]*[a-zA-Z]")?,
        })
    }

    pub(super) fn apply(&self, text: &str, entities: &Entities) -> String {
        let mut out = String::with_capacity(text.len());
        let mut unescape = true;
        for line in text.split_inclusive('\n') {
            // From the first `<` on this is a page, whose entities are meant as they stand.
            unescape &= !line.contains('<');
            let mut line = line.to_owned();
            for _ in 0..ROUNDS {
                let before = line.clone();
                if unescape {
                    line = entities.replace_whole(&line).into_owned();
                }
                line = self.round(&line);
                if line == before {
                    break;
                }
            }
            out.push_str(&line);
        }
        out
    }

    fn round(&self, line: &str) -> String {
        let line = self.mojibake.fix(line);
        let line: String = line
            .chars()
            .fold(String::with_capacity(line.len()), |mut out, c| {
                push_plain(c, &mut out);
                out
            });
        let line = line
            .replace("\r\n", "\n")
            .replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
        let line = self.colours.replace_all(&line, "");
        line.chars().filter(|&c| !is_control(c)).nfc().collect()
    }
}

/// Appends `c` without ligature, unusual width or curl.
fn push_plain(c: char, out: &mut String) {
    if let Some((_, letters)) = LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
        out.push_str(letters);
        return;
    }
    match c {
        '\u{3000}' => out.push(' '),
        '\u{ff01}'..='\u{ffef}' => out.extend(std::iter::once(c).nfkc()),
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => out.push('\''),
        '\u{201c}'..='\u{201f}' => out.push('"'),
        c => out.push(c),
    }
}

/// Characters that no text is meant to hold. Those that make white space or join letters stay.
fn is_control(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}'
        | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step() {
        let (repair, entities) = (Repair::new().unwrap(), Entities::new().unwrap());
        for (text, expected) in [
            ("ﬂuﬃest", "fluffiest"),
            ("ŉ", "'n"),
            ("ＬＯＵＤ　ＮＯＩＳＥＳ", "LOUD NOISES"),
            ("Ｕﾀｰﾝ ﾊﾞ", "Uターン バ"),
            ("“here’s a test”", "\"here's a test\""),
            ("a\r\nb\rc\u{2028}d", "a\nb\nc\nd"),
            ("\x1b[36;44mblue\x1b[0m\x07\u{feff}", "blue"),
            ("e\u{301}", "é"),
            ("&eacute; <b>&eacute;", "&eacute; <b>&eacute;"),
            ("&eacute;\n<b>\n&eacute;", "é\n<b>\n&eacute;"),
            ("&amp;amp;eacute;", "é"),
        ] {
            assert_eq!(repair.apply(text, &entities), expected, "{text}");
        }
    }
}
