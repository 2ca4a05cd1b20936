//! What is done to a text before it is cut into words.

use unicode_normalization::UnicodeNormalization;

/// The text with HTML entities read (twice over, as published), quotes and wide signs made plain, accents composed
/// (NFC), runs of white space as single blanks, in lower case.
pub(super) fn clean(text: &str) -> String {
    let once = html_escape::decode_html_entities(text);
    let text = html_escape::decode_html_entities(&once);
    let text: String = text.chars().map(plain).nfc().collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The ASCII sign for the quotes that phones and word processors write, and for the wide signs of an East Asian keyboard.
fn plain(c: char) -> char {
    match c {
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => '\'',
        '\u{201c}'..='\u{201f}' => '"',
        // In the order of ASCII, from `!` on.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xff01 + 0x21).unwrap_or(c),
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step() {
        for (text, expected) in [
            (
                "Tom &amp; Jerry, &#8364;5, &#x20AC;5",
                "tom & jerry, €5, €5",
            ),
            ("&amp;amp; &amp;lt;", "& <"),
            ("AT&T & R&D; &nothing;", "at&t & r&d; &nothing;"),
            ("“here’s a ‘test’”", "\"here's a 'test'\""),
            ("ＬＯＵＤ　ｎｏｉｓｅｓ！～", "loud noises!~"),
            ("e\u{301}", "é"),
            (" a\t\r\n b\u{a0}c\u{2028}", "a b c"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ] {
            assert_eq!(clean(text), expected, "{text}");
        }
    }
}
