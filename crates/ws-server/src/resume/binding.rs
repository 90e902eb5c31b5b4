//! What an id is bound to: the credentials that its opening request showed.

use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::{HeaderMap, HeaderValue};

/// What a request shows of who sends it. The address is no part of it: a client may change networks.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    origin: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    /// The values of the bound cookies, in the order of their names in the settings.
    cookies: Box<[Option<Box<str>>]>,
}

impl Binding {
    /// What these headers show, the cookies of these names among it.
    pub fn of(headers: &HeaderMap, cookies: &[String]) -> Self {
        Self {
            origin: headers.get(ORIGIN).cloned(),
            authorization: headers.get(AUTHORIZATION).cloned(),
            cookies: cookies
                .iter()
                .map(|name| cookie(headers, name).map(Into::into))
                .collect(),
        }
    }

    /// Whether a later request shows the same. It may show no origin, as browsers do for a GET to the same one.
    pub(crate) fn admits(&self, later: &Self) -> bool {
        let is_same_origin = match (&self.origin, &later.origin) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        is_same_origin && self.authorization == later.authorization && self.cookies == later.cookies
    }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

/// Credentials are not shown.
impl std::fmt::Debug for Binding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Binding(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Binding;
    use http::{HeaderMap, HeaderName, HeaderValue};

    fn shown(headers: &[(&'static str, &'static str)]) -> Binding {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        Binding::of(&headers, &["sid".to_owned()])
    }

    #[test]
    fn the_same_is_admitted_and_a_missing_origin_is() {
        let opened = shown(&[
            ("origin", "https://a.example"),
            ("authorization", "Bearer 1"),
            ("cookie", "x=1; sid=2"),
        ]);
        let same = [("authorization", "Bearer 1"), ("cookie", "sid=2; y=3")];
        assert!(opened.admits(&shown(&same)));
        let with = |more| shown(&[same[0], same[1], more]);
        assert!(opened.admits(&with(("origin", "https://a.example"))));
        assert!(!opened.admits(&with(("origin", "https://b.example"))));
        assert!(!opened.admits(&shown(&[("authorization", "Bearer 1")])));
        assert!(!opened.admits(&shown(&[same[0], ("cookie", "sid=3")])));
        assert!(!opened.admits(&shown(&[same[1], ("authorization", "Bearer 2")])));
        assert!(!shown(&[]).admits(&shown(&same)));
    }
}
