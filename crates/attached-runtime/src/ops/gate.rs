//! Who may come in: whoever has the token, or a cookie that the token was exchanged for.

use super::attempts::Attempts;
use super::cookie::Cookies;
use super::token::OpsToken;
use http::{HeaderMap, HeaderValue, header};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What somebody came in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Token,
    /// Which a browser sends by itself, whoever made the page that asks.
    Cookie,
}

/// Why somebody was not let in. It does not tell a wrong token from none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Unknown,
    /// Nothing was looked at: there were too many wrong ones from there.
    TooMany,
}

pub(super) struct Gate {
    token: OpsToken,
    cookies: Cookies,
    attempts: Mutex<Attempts>,
}

impl Gate {
    pub(super) fn new(token: OpsToken, now: Instant) -> Self {
        Self {
            token,
            cookies: Cookies::new(now),
            attempts: Mutex::new(Attempts::new(now)),
        }
    }

    /// Lets somebody in, or not. `from` is where the request came from, as far as that is known.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<Pass, Refused> {
        match headers.get(header::AUTHORIZATION) {
            Some(field) => self.try_token(field, from, now).map(|()| Pass::Token),
            None if self.cookies.is_in(headers, now) => Ok(Pass::Cookie),
            None => Err(Refused::Unknown),
        }
    }

    /// The same for what changes something: with a cookie it has to come from a page of this very server, port
    /// included.
    pub(super) fn admit_change(
        &self,
        headers: &HeaderMap,
        from: Option<IpAddr>,
        now: Instant,
    ) -> Result<Pass, Refused> {
        match self.admit(headers, from, now)? {
            Pass::Cookie if !is_own_origin(headers) => Err(Refused::Unknown),
            pass => Ok(pass),
        }
    }

    /// A header field that lets a browser in from here on.
    pub(super) fn cookie(&self, now: Instant) -> HeaderValue {
        self.cookies.fresh(now)
    }

    /// Past the limit not even the right one is looked at: else whoever guesses could go on.
    fn try_token(&self, field: &HeaderValue, from: Option<IpAddr>, now: Instant) -> Result<(), Refused> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if !attempts.may_try(from, now) {
            return Err(Refused::TooMany);
        }
        if bearer(field.as_bytes()).is_some_and(|token| self.token.is(token)) {
            return Ok(());
        }
        attempts.failed(from, now);
        Err(Refused::Unknown)
    }
}

/// The token of `Bearer …` (RFC 6750 §2.1); the scheme is written as one likes (RFC 9110 §11.1).
fn bearer(field: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = field.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

/// Whether the page that asks came from the host and port that are asked. Every browser says where it came from when it
/// posts.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else {
        return false;
    };
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const TOKEN: &str = "correct-horse-battery";

    fn gate(now: Instant) -> Gate {
        Gate::new(OpsToken::new(TOKEN).expect("long enough"), now)
    }

    fn headers(fields: &[(header::HeaderName, &str)]) -> HeaderMap {
        let fields = fields.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a field");
            (name.clone(), value)
        });
        fields.collect()
    }

    /// What a browser sends back.
    fn cookie_of(gate: &Gate, now: Instant) -> String {
        let field = gate.cookie(now);
        let field = field.to_str().expect("text");
        let (cookie, _) = field.split_once(';').expect("attributes behind it");
        cookie.to_owned()
    }

    const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let now = Instant::now();
        let gate = gate(now);
        let with = |field: &str| gate.admit(&headers(&[(header::AUTHORIZATION, field)]), HERE, now);
        for good in ["Bearer correct-horse-battery", "bearer  correct-horse-battery "] {
            assert_eq!(with(good), Ok(Pass::Token), "{good}");
        }
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic correct-horse-battery",
            "correct-horse-battery",
            "Bearer x",
        ] {
            assert_eq!(with(wrong), Err(Refused::Unknown), "{wrong}");
        }
        assert_eq!(gate.admit(&HeaderMap::new(), HERE, now), Err(Refused::Unknown));
    }

    #[test]
    fn after_ten_wrong_ones_nothing_from_there_is_looked_at_for_a_second_but_cookies() {
        let now = Instant::now();
        let gate = gate(now);
        let cookie = cookie_of(&gate, now);
        let wrong = headers(&[(header::AUTHORIZATION, "Bearer wrong-horse-battery")]);
        let good = headers(&[(header::AUTHORIZATION, "Bearer correct-horse-battery")]);
        for _ in 0..10 {
            assert_eq!(gate.admit(&good, HERE, now), Ok(Pass::Token));
            assert_eq!(gate.admit(&wrong, HERE, now), Err(Refused::Unknown));
        }
        assert_eq!(gate.admit(&wrong, HERE, now), Err(Refused::TooMany));
        assert_eq!(gate.admit(&good, HERE, now), Err(Refused::TooMany));
        assert_eq!(gate.admit(&good, THERE, now), Ok(Pass::Token), "another address");
        assert_eq!(
            gate.admit(&headers(&[(header::COOKIE, &cookie)]), HERE, now),
            Ok(Pass::Cookie)
        );
        assert_eq!(
            gate.admit(&good, HERE, now + Duration::from_secs(1)),
            Ok(Pass::Token)
        );
    }

    #[test]
    fn with_a_cookie_only_a_page_of_ours_changes_something() {
        let now = Instant::now();
        let gate = gate(now);
        let cookie = cookie_of(&gate, now);
        let from = |origin: &str| {
            let fields = [
                (header::COOKIE, cookie.as_str()),
                (header::HOST, "localhost:9100"),
                (header::ORIGIN, origin),
            ];
            gate.admit_change(&headers(&fields), HERE, now)
        };
        assert_eq!(from("http://localhost:9100"), Ok(Pass::Cookie));
        for other in [
            "http://localhost:3000",
            "http://localhost",
            "null",
            "",
            "http://evil.example",
            "localhost:9100",
        ] {
            assert_eq!(from(other), Err(Refused::Unknown), "{other}");
        }
        let silent = headers(&[
            (header::COOKIE, cookie.as_str()),
            (header::HOST, "localhost:9100"),
        ]);
        assert_eq!(gate.admit_change(&silent, HERE, now), Err(Refused::Unknown));
        assert_eq!(gate.admit(&silent, HERE, now), Ok(Pass::Cookie), "it may look");
        let bearer = headers(&[(header::AUTHORIZATION, "Bearer correct-horse-battery")]);
        assert_eq!(gate.admit_change(&bearer, HERE, now), Ok(Pass::Token));
    }
}
