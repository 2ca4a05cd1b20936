//! Who may ask: programs and pages of this machine, or who has the token.
//!
//! A server on this machine can be reached by every page that its user opens, so:
//!
//! - **Host.** Without a token the name in `Host` must be one of this machine's own (`localhost`, `127.0.0.1`, `[::1]`). A page whose name was
//!   made to point here (DNS rebinding) sends its own name.
//! - **Origin.** A browser says in `Origin` and `Sec-Fetch-Site` which page asks. It must be the studio's own.
//! - **A header of our own.** Every request but those for the page itself needs `X-Domex-Studio`. A page of another origin cannot send it without
//!   asking first, and the asking (`OPTIONS`) is never answered.
//! - **The token.** Where there is one, it is the value of that header. The page gets it behind `#` in its address, which browsers do not send.

use std::fmt;
use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::refusal::Refusal;
use crate::{Error, Result};

/// The header that every request but those for the page has.
pub const HEADER: &str = "x-domex-studio";

/// Which page asks, as browsers say it.
const SITE: &str = "sec-fetch-site";

/// What others than this machine's user must know.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// 128 random bits of the system's: no seed of ours may give them.
    ///
    /// # Errors
    ///
    /// [`Error::Random`].
    pub fn random() -> Result<Self> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// To be shown to the user once.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the first difference is.
    fn is(&self, given: &[u8]) -> bool {
        let known = self.0.as_bytes();
        let pairs = known.iter().zip(given);
        known.len() == given.len() && pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

/// Not in logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The rules of the [module docs](self).
#[derive(Debug, Clone)]
pub struct Guard {
    token: Option<Token>,
    /// The address that the server listens at.
    own: IpAddr,
}

impl Guard {
    /// For a server at this address.
    pub fn new(own: IpAddr, token: Option<Token>) -> Self {
        Self { token, own }
    }

    /// For everything.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`].
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, HOST.as_str())?.unwrap_or_default();
        if self.token.is_some() || self.is_own(host) {
            return Ok(());
        }
        Err(Refusal::Forbidden(format!(
            "the studio answers at localhost and at its own address, not at {host:?}; open it by the address that it printed"
        )))
    }

    fn is_own(&self, host: &str) -> bool {
        // Any port: the studio of another machine comes through a tunnel under another one.
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        name.parse()
            .is_ok_and(|ip: IpAddr| ip.is_loopback() || ip == self.own)
    }

    /// For everything but the page itself.
    ///
    /// # Errors
    ///
    /// [`Refusal::Forbidden`].
    pub fn check_request(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let foreign = || {
            Err(Refusal::Forbidden(
                "another page asks, and only the studio's own may".into(),
            ))
        };
        if let Some(origin) = text(headers, ORIGIN.as_str())? {
            let host = text(headers, HOST.as_str())?.unwrap_or_default();
            let from = origin.split_once("://").map(|(_, authority)| authority);
            if from != Some(host) {
                return foreign();
            }
        }
        if !matches!(text(headers, SITE)?, None | Some("same-origin" | "none")) {
            return foreign();
        }
        match (text(headers, HEADER)?, &self.token) {
            (None, _) => Err(Refusal::Forbidden(format!("requests need the header {HEADER}, as the page sends it"))),
            (Some(given), Some(token)) if !token.is(given.as_bytes()) => Err(Refusal::Forbidden(
                "the token is missing or wrong; open the studio by the whole address that it printed".into(),
            )),
            _ => Ok(()),
        }
    }
}

/// The value of a header that must not be there twice.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let bad = || Refusal::Malformed(format!("the header {name} cannot be read"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_str().map_err(|_| bad())?)),
        _ => Err(bad()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        pairs.collect()
    }

    fn guard(token: Option<Token>) -> Guard {
        Guard::new(Ipv4Addr::LOCALHOST.into(), token)
    }

    #[test]
    fn only_names_of_this_machine_are_answered_without_a_token() {
        for (host, fine) in [
            ("localhost:7860", true),
            ("127.0.0.1:9", true),
            ("[::1]:80", true),
            ("LOCALHOST", true),
            ("studio.example:7860", false),
            ("127.0.0.1.example", false),
            ("localhost.example:7860", false),
            ("192.168.0.9", false),
            ("", false),
        ] {
            assert_eq!(
                guard(None).check_host(&headers(&[("host", host)])).is_ok(),
                fine,
                "{host}"
            );
        }
        let token = Some(Token::random().unwrap());
        assert!(
            guard(token)
                .check_host(&headers(&[("host", "gpu.example")]))
                .is_ok()
        );
    }

    #[test]
    fn requests_of_other_pages_are_refused() {
        let own = [("host", "localhost:1"), ("x-domex-studio", "")];
        for (name, value, fine) in [
            ("origin", "http://localhost:1", true),
            ("origin", "http://localhost:2", false),
            ("origin", "http://evil.example", false),
            ("origin", "null", false),
            ("sec-fetch-site", "same-origin", true),
            ("sec-fetch-site", "cross-site", false),
            ("sec-fetch-site", "same-site", false),
        ] {
            let asked = headers(&[own[0], own[1], (name, value)]);
            assert_eq!(
                guard(None).check_request(&asked).is_ok(),
                fine,
                "{name}: {value}"
            );
        }
        assert!(
            guard(None).check_request(&headers(&own[..1])).is_err(),
            "no header of ours"
        );
    }

    #[test]
    fn a_token_must_be_right_to_the_last_letter() {
        let token = Token::random().unwrap();
        assert_ne!(token.reveal(), Token::random().unwrap().reveal());
        assert_eq!(format!("{token:?}"), "Token(..)");
        let mut wrong = token.reveal().to_owned();
        wrong.pop();
        let guard = guard(Some(token.clone()));
        for (given, fine) in [(token.reveal(), true), (&wrong, false), ("", false)] {
            let mut asked = headers(&[("host", "localhost")]);
            asked.insert(HEADER, HeaderValue::from_str(given).unwrap());
            assert_eq!(guard.check_request(&asked).is_ok(), fine, "{given}");
        }
    }
}
