//! The text forms of protocol 0.

use crate::Problem;

/// A number written in decimal: `12`, `-3L`. `01` and `00` are truth values in an `INT`.
pub(super) fn integer(line: &str) -> Result<i128, Problem> {
    let digits = line.trim().trim_end_matches('L');
    digits.parse().map_err(|_| bad("an integer", line))
}

/// A floating-point number written in decimal.
pub(super) fn float(line: &str) -> Result<f64, Problem> {
    line.trim().parse().map_err(|_| bad("a number", line))
}

/// A quoted string with backslash escapes, as Python 2 wrote its byte strings.
pub(super) fn quoted(line: &[u8]) -> Result<Vec<u8>, Problem> {
    let line = line.trim_ascii();
    let inner = match line {
        [open @ (b'\'' | b'"'), inner @ .., close] if open == close => inner,
        _ => return Err(bad("a quoted string", &String::from_utf8_lossy(line))),
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let wrong = || {
            bad(
                "a string with valid escapes",
                &String::from_utf8_lossy(line),
            )
        };
        let (&escape, tail) = rest.split_first().ok_or_else(wrong)?;
        rest = tail;
        out.push(match escape {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'v' => 11,
            b'\\' | b'\'' | b'"' => escape,
            b'x' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or_else(wrong)?;
                rest = tail;
                u8::try_from(hex(digits).ok_or_else(wrong)?).map_err(|_| wrong())?
            }
            b'0'..=b'7' => {
                let more = rest
                    .iter()
                    .take(2)
                    .take_while(|b| (b'0'..=b'7').contains(b))
                    .count();
                let (digits, tail) = rest.split_at(more);
                rest = tail;
                let octal = |value: u32, b: &u8| value * 8 + u32::from(b - b'0');
                let value = digits.iter().fold(u32::from(escape - b'0'), octal);
                u8::try_from(value).map_err(|_| wrong())?
            }
            _ => return Err(wrong()),
        });
    }
    Ok(out)
}

/// Latin-1 text in which `\uXXXX` and `\UXXXXXXXX` stand for other characters.
pub(super) fn raw_unicode(line: &[u8]) -> Result<String, Problem> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let digits = match (byte, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                out.push(char::from(byte));
                continue;
            }
        };
        let wrong = || bad("text with valid escapes", &String::from_utf8_lossy(line));
        let (code, tail) = rest[1..].split_at_checked(digits).ok_or_else(wrong)?;
        rest = tail;
        out.push(hex(code).and_then(char::from_u32).ok_or_else(wrong)?);
    }
    Ok(out)
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |value, &b| {
        let digit = char::from(b).to_digit(16)?;
        value.checked_mul(16)?.checked_add(digit)
    })
}

fn bad(expected: &str, found: &str) -> Problem {
    Problem::malformed(
        "pickle",
        format!(
            "expected {expected}, found {:?}",
            crate::error::clean(found)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(quoted(br"'a\x00\n\'\\\101'").unwrap(), b"a\0\n'\\A");
        assert_eq!(raw_unicode(br"\u00e9\U0001F600x").unwrap(), "é😀x");
        assert_eq!(raw_unicode(&[0xe9]).unwrap(), "é");
        for wrong in ["'a", "a'", r"'\x0'", r"'\q'", r"'\777'", "'"] {
            assert!(quoted(wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(raw_unicode(br"\u12").is_err());
        assert!(raw_unicode(br"\ud800").is_err());
    }

    #[test]
    fn numbers() {
        assert_eq!(integer("-12L").unwrap(), -12);
        assert!(integer("twelve").is_err());
        assert!(float("1e-3").unwrap() > 0.0);
    }
}
