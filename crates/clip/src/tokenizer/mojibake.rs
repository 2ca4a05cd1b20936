//! Text that was UTF-8 and was decoded as Latin-1 or Windows-1252: `schÃ¶n` for `schön`.
//!
//! A text that has an unlikely pair of characters is encoded again, and taken if the bytes are UTF-8. If
//! only a part of it is broken, that part is treated alone. What remains of the controls U+0080 to
//! U+009F is read as Windows-1252.
//!
//! Source: ftfy 6 (rspeer/python-ftfy, Apache-2.0) `fix_encoding`, whose lists of unlikely pairs and order
//! of attempts these are, for the two encodings named above. Left out on purpose: eight rarer encodings
//! (other Windows pages, Mac, DOS) and the surrogate-pair form of UTF-8.

use regex::{Captures, Regex, bytes};

use super::pattern;
use crate::{Error, Result};

/// Windows-1252 from 0x80 to 0x9f; bytes without a meaning stand for themselves.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// A byte that stands for U+FFFD, a character already lost.
const LOST: u8 = 0x1a;

/// The character of a byte.
pub(super) fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        byte => char::from(byte),
    }
}

/// The byte of a character.
fn to_windows_1252(c: char) -> Option<u8> {
    if c == char::REPLACEMENT_CHARACTER {
        return Some(LOST);
    }
    if let Some(at) = HIGH.iter().position(|&high| high == c) {
        return u8::try_from(0x80 + at).ok();
    }
    u8::try_from(c)
        .ok()
        .filter(|byte| !matches!(byte, &LOST | 0x80..=0x9f))
}

/// Classes of characters that broken text is made of, by letters: what follows a letter in [`UNLIKELY`]'s
/// rules between `{` and `}`.
const CLASSES: &[(char, &str)] = &[
    ('b', "¤¦¨ª¬¯¸ºƒˆ˜†‡‰\u{fffd}"), // hardly ever meant
    ('w', "§¶"),                     // law
    ('c', "¢£¥€"),                   // currencies
    ('s', "¡©«¿‘‚“„•‹"),             // begin something
    ('e', "®»”›™"),                  // end something
    ('n', "±²³µ¹¼½¾×÷"),             // numbers
    ('u', "À-ÑØÜÝŒŠŸŽ"),             // capitals with accents
    ('l', "ß-ñüœšž"),                // small letters with accents
    ('o', "\u{a0}\u{ad}·´–—’…"),     // ordinary
];

/// Pairs and triples that hardly any text has on purpose.
const UNLIKELY: &[&str] = &[
    "[\u{80}-\u{9f}]",
    "[{bluesncw}][{b}]|[{b}][{luescnw}]|[a-zA-Z]Þ[{b}]",
    r"[{lecn}][{u}]|[{ecn}][{l}]|[{le}][{c}]|\s[{u}][{c}]",
    "[{u}][{nw}]|[{luce}][{s}][{n}]|[{lucnw}][{e}][{s}]|[{cn}][{s}]",
    r"[a-z][{u}][{sc}]|[{lu}][{se}]\w|[Œœ][^A-Za-z]|[{u}]°",
    "[ÂÃÎÐ][€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»{se}–—´]|×[²³]",
    "[ØÙ][{ocbns}ŸŠ®°µ»][ØÙ][{ocbns}ŸŠ®°µ»]",
    "à[²µ¹¼½¾]|Ã[\u{a0}¡]",
    r"[a-z]\s?[ÃÂ] |^[ÃÂ] |[a-z.,?!{e}]Â[ {se}]",
];

/// First, second and further characters of UTF-8 sequences that were decoded as Windows-1252. A blank may
/// have been a no-break space.
const SECOND: &str = "[ \u{80}-\u{bf}ÆØæøŒœŠšŸŽžƒˆ˜–—‘-‚“-„†-•…‰‹›€™]";
/// Of these, the ones whose presence before a match shows that it begins in the middle.
const SECOND_STRICT: &str = "\u{80}-\u{bf}ÆØæøŒœŠšŸŽžƒˆ˜†‡‰‹›€™";

/// Sequences that would be UTF-8 with a no-break space for their blank.
const WITH_BLANK: &str = r"(?-u)[\xc2\xc3\xc5\xce\xd0\xd9] |[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] |\xf0 [\x80-\xbf][\x80-\xbf]|\xf0[\x80-\xbf] [\x80-\xbf]|\xf0[\x80-\xbf][\x80-\xbf] ";

/// Sequences with a byte that was lost.
const WITH_LOST: &str = r"(?-u)[\xc2-\xdf]\x1a|[\xc2-\xc3]\?|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]|\x1a";

/// More rounds than text survives; each makes it shorter.
const ROUNDS: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Mojibake {
    unlikely: Regex,
    part: Regex,
    with_blank: bytes::Regex,
    with_lost: bytes::Regex,
}

impl Mojibake {
    pub(super) fn new() -> Result<Self> {
        let bytes = |source: &str| {
            bytes::Regex::new(source).map_err(|e| Error::Vocabulary {
                problem: e.to_string(),
            })
        };
        let part = format!(
            "(^|[^{SECOND_STRICT}])((?:[Â-ßŠŽ]{SECOND}|[à-ï]{SECOND}{{2}}|[ðóš]{SECOND}{{3}})+)"
        );
        Ok(Self {
            unlikely: pattern(&expand(&UNLIKELY.join("|")))?,
            part: pattern(&part)?,
            with_blank: bytes(WITH_BLANK)?,
            with_lost: bytes(WITH_LOST)?,
        })
    }

    /// The text as it was meant.
    pub(super) fn fix(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            match self.step(&text) {
                Some(better) if better != text => text = better,
                _ => break,
            }
        }
        text
    }

    /// One accident undone; `None` where there is none.
    fn step(&self, text: &str) -> Option<String> {
        if text.is_ascii() || !self.unlikely.is_match(text) {
            return None;
        }
        let latin1: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
        let windows: Option<Vec<u8>> = text.chars().map(to_windows_1252).collect();
        let decoded = latin1.clone().and_then(|bytes| self.decode(bytes, false));
        if let Some(fixed) = decoded.or_else(|| windows.and_then(|bytes| self.decode(bytes, true)))
        {
            return Some(fixed);
        }
        let parts = self.fix_parts(text);
        if parts != text {
            return Some(parts);
        }
        let controls = |c: char| u8::try_from(c).map_or(c, windows_1252);
        Some(text.chars().map(controls).collect())
    }

    /// The bytes as UTF-8, with what was lost on the way put back.
    fn decode(&self, mut bytes: Vec<u8>, windows: bool) -> Option<String> {
        if self.with_blank.is_match(&bytes) {
            let restored = restore_a_grave(&bytes);
            let no_break = |found: &bytes::Captures<'_>| {
                found[0]
                    .iter()
                    .map(|&b| if b == b' ' { 0xa0 } else { b })
                    .collect::<Vec<_>>()
            };
            bytes = self
                .with_blank
                .replace_all(&restored, no_break)
                .into_owned();
        }
        if windows {
            bytes = self
                .with_lost
                .replace_all(&bytes, "\u{fffd}".as_bytes())
                .into_owned();
        }
        String::from_utf8(bytes).ok()
    }

    /// Mends the parts that look like broken UTF-8.
    fn fix_parts(&self, text: &str) -> String {
        let fixed = self.part.replace_all(text, |found: &Captures<'_>| {
            let part = &found[2];
            match part.len() < text.len() && self.unlikely.is_match(part) {
                true => format!("{}{}", &found[1], self.fix(part)),
                false => found[0].to_owned(),
            }
        });
        fixed.into_owned()
    }
}

/// Puts the classes' characters for `{letters}`.
fn expand(rules: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in rules.chars() {
        match (c, inside) {
            ('{', _) => inside = true,
            ('}', _) => inside = false,
            (letter, true) => out.extend(
                CLASSES
                    .iter()
                    .filter(|(name, _)| *name == letter)
                    .map(|(_, class)| *class),
            ),
            (c, false) => out.push(c),
        }
    }
    out
}

/// `Ã` and a blank is `à` at the end of a word, and the blank stays; but for Portuguese words that begin
/// with `à`.
fn restore_a_grave(bytes: &[u8]) -> Vec<u8> {
    const STARTS: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        match rest.strip_prefix(b"\xc3 ") {
            Some(after) if !STARTS.iter().any(|start| after.starts_with(start)) => {
                out.extend(b"\xc3\xa0 ");
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_text_is_mended() {
        let mojibake = Mojibake::new().unwrap();
        for (text, expected) in [
            ("schÃ¶n cafÃ©", "schön café"),
            ("doesnâ€™t matter", "doesn’t matter"),
            ("voilÃ le travail", "voilà le travail"),
            ("Ã la mode", "à la mode"),
            ("â€œ like this â€\u{fffd}", "“ like this \u{fffd}"),
            ("ðŸ˜€ 😀 schÃ¶n", "😀 😀 schön"),
            ("twice: cafÃƒÂ©", "twice: café"),
            ("\u{85} \u{93}x\u{94}", "… “x”"),
        ] {
            assert_eq!(mojibake.fix(text), expected, "{text}");
        }
    }

    #[test]
    fn text_that_is_meant_stays() {
        let mojibake = Mojibake::new().unwrap();
        for text in [
            "",
            "plain",
            "naïve façade résumé",
            "ÀÉÎÕÜ",
            "CAFÉ—bar",
            "50 £ à 60 €",
            "½ ¼ ²³",
            "«œuvre»",
            "Zürich Straße",
        ] {
            assert_eq!(mojibake.fix(text), text);
        }
    }
}
