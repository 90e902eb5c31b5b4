//! What a browser has instead of the token: how long it may come in, signed.

use super::token::random_key;
use http::{HeaderMap, HeaderValue, header};
use ring::hmac;
use std::time::{Duration, Instant};

const NAME: &str = "ops";
/// A shift.
const LIFETIME: Duration = Duration::from_secs(8 * 3600);

/// Makes and knows cookies. Its key lives as long as the process, so do the cookies at most.
pub(super) struct Cookies {
    key: hmac::Key,
    /// What the moments in cookies are counted from.
    start: Instant,
}

impl Cookies {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            key: random_key(),
            start: now,
        }
    }

    /// A header field that sets a new one. Scripts do not see it, and pages of other sites do not send it.
    pub(super) fn fresh(&self, now: Instant) -> HeaderValue {
        let until = (now.saturating_duration_since(self.start) + LIFETIME)
            .as_secs()
            .to_string();
        let seal = hex(hmac::sign(&self.key, until.as_bytes()).as_ref());
        let seconds = LIFETIME.as_secs();
        let field =
            format!("{NAME}={until}.{seal}; Path=/_ops; Max-Age={seconds}; HttpOnly; SameSite=Strict");
        let mut field = HeaderValue::try_from(field).expect("digits and letters");
        field.set_sensitive(true);
        field
    }

    /// Whether one of ours is there that has not run out.
    pub(super) fn is_in(&self, headers: &HeaderMap, now: Instant) -> bool {
        let fields = headers.get_all(header::COOKIE).iter();
        let cookies = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'));
        cookies
            .filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
            .any(|value| self.is_good(value, now))
    }

    fn is_good(&self, value: &str, now: Instant) -> bool {
        let Some((until, seal)) = value.split_once('.') else {
            return false;
        };
        let sealed = unhex(seal).is_some_and(|seal| hmac::verify(&self.key, until.as_bytes(), &seal).is_ok());
        let age = now.saturating_duration_since(self.start).as_secs();
        sealed && until.parse().is_ok_and(|until: u64| age < until)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    bytes.collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        let value = HeaderValue::from_str(cookie).expect("a field");
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    #[test]
    fn a_cookie_is_good_until_it_runs_out_and_in_no_other_process() {
        let start = Instant::now();
        let (cookies, others) = (Cookies::new(start), Cookies::new(start));
        let field = cookies.fresh(start);
        let field = field.to_str().expect("text");
        assert!(field.ends_with("; HttpOnly; SameSite=Strict"), "{field}");
        let cookie = field.split(';').next().expect("a first part");
        let among = with(&format!("other=1; {cookie}; more=2"));
        assert!(cookies.is_in(&among, start));
        assert!(cookies.is_in(&among, start + LIFETIME - Duration::from_secs(1)));
        assert!(!cookies.is_in(&among, start + LIFETIME));
        assert!(!others.is_in(&among, start));
    }

    #[test]
    fn what_is_made_up_is_refused() {
        let start = Instant::now();
        let cookies = Cookies::new(start);
        let field = cookies.fresh(start);
        let cookie = field
            .to_str()
            .expect("text")
            .split(';')
            .next()
            .expect("a first part");
        let later = cookie.replacen("28800", "99999", 1);
        let short = &cookie[..cookie.len() - 2];
        let zeroes = format!("ops=28800.{}", "0".repeat(64));
        for wrong in [
            "",
            "ops",
            "ops=",
            "ops=28800",
            "ops=28800.",
            "ops=.",
            "ops=ä.ö",
            &later,
            short,
            &zeroes,
        ] {
            assert_ne!(wrong, cookie);
            let headers = HeaderMap::from_iter(
                HeaderValue::from_bytes(wrong.as_bytes()).map(|value| (header::COOKIE, value)),
            );
            assert!(!cookies.is_in(&headers, start), "{wrong}");
        }
    }
}
