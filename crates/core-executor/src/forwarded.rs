//! Whom a trusted proxy forwards for: `X-Forwarded-For` and `Forwarded` (RFC 7239).

use crate::TrustedProxies;
use http::header::{FORWARDED, HeaderMap, HeaderName};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Proxies in a row that are followed back at most.
const MAX_HOPS: usize = 32;

/// The client of a request that `peer`, a trusted proxy, has sent: read from the right, the first address that is not
/// itself trusted, for only what trusted proxies wrote is believed. The port is 0 where the header tells none.
///
/// What cannot be read ends the search at the last address that was vouched for. When both headers are there and do
/// not agree, the proxy left one of them to the client, nobody knows which, and `peer` is all that is certain.
pub(crate) fn client(headers: &HeaderMap, peer: SocketAddr, proxies: &TrustedProxies) -> SocketAddr {
    let lists = [(&X_FORWARDED_FOR, false), (&FORWARDED, true)].map(|(name, is_standard)| {
        headers
            .contains_key(name)
            .then(|| furthest(hops(headers, name, is_standard), peer, proxies))
    });
    match lists {
        [Some(one), Some(other)] if one.ip() != other.ip() => peer,
        [Some(client), _] | [None, Some(client)] => client,
        [None, None] => peer,
    }
}

/// Goes back from hop to hop; `None` is one that cannot be read.
fn furthest(
    hops: impl Iterator<Item = Option<SocketAddr>>,
    peer: SocketAddr,
    proxies: &TrustedProxies,
) -> SocketAddr {
    let mut client = peer;
    for hop in hops.take(MAX_HOPS) {
        let Some(hop) = hop else { return client };
        client = hop;
        if !proxies.contain(hop.ip()) {
            return client;
        }
    }
    client
}

/// The addresses of a list header that may stand in several lines, the last one first.
fn hops<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    is_standard: bool,
) -> impl Iterator<Item = Option<SocketAddr>> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(move |line| {
        let hops = match line.to_str() {
            // A quoted text that never ends could hide commas or show some: nothing of the line can be relied on.
            Ok(line) if is_standard => split_quoted(line, ',').map_or_else(|| vec![None], last_nodes),
            Ok(line) => line.rsplit(',').take(MAX_HOPS).map(node).collect(),
            Err(_) => vec![None],
        };
        hops.into_iter()
    })
}

fn last_nodes(elements: Vec<&str>) -> Vec<Option<SocketAddr>> {
    let elements = elements.into_iter().rev().take(MAX_HOPS);
    elements.map(forwarded_for).collect()
}

/// The `for` parameter of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<SocketAddr> {
    split_quoted(element, ';')?.into_iter().find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| node(value))?
    })
}

/// Splits where `separator` stands outside of quotes; nothing when a quote is left open.
fn split_quoted(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if char == separator && !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!is_quoted).then_some(parts)
}

/// An address with or without a port, an IPv6 one with or without brackets, with or without quotes. Names such as
/// `unknown` or `_hidden` are none.
fn node(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(text);
    let bracketed = || {
        text.strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
    };
    let without_port = || text.parse().ok().or_else(|| bracketed().map(IpAddr::V6));
    text.parse::<SocketAddr>()
        .ok()
        .or_else(|| without_port().map(|address| SocketAddr::new(address, 0)))
        .map(|found| SocketAddr::new(found.ip().to_canonical(), found.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    const PEER: &str = "10.0.0.1:5000";

    fn found(lines: &[(&'static str, &[u8])]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let proxies = "10.0.0.0/8, 2001:db8::/32".parse().unwrap();
        let client = client(&headers, PEER.parse().unwrap(), &proxies);
        match client.port() {
            0 => client.ip().to_string(),
            _ => client.to_string(),
        }
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        let x = "x-forwarded-for";
        for (header, client) in [
            ("203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9, 10.2.3.4", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9:4711"),
            ("2001:db9::1, 2001:db8::1", "2001:db9::1"),
            ("[2001:db9::1]:80", "[2001:db9::1]:80"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("10.9.9.9, 10.2.3.4", "10.9.9.9"),
            // Garbage ends the search at what was vouched for.
            ("203.0.113.9, unknown, 10.2.3.4", "10.2.3.4"),
            ("203.0.113.9,", PEER),
            ("", PEER),
            ("\"; drop table", PEER),
            ("203.0.113.999", PEER),
        ] {
            assert_eq!(found(&[(x, header.as_bytes())]), client, "{header}");
        }
        assert_eq!(
            found(&[(x, b"1.1.1.1"), (x, b"203.0.113.9, 10.1.1.1")]),
            "203.0.113.9"
        );
        assert_eq!(found(&[(x, b"1.1.1.1"), (x, b"\xff\xfe")]), PEER);
        assert_eq!(found(&[]), PEER);
    }

    #[test]
    fn the_standard_form() {
        for (header, client) in [
            ("for=203.0.113.9", "203.0.113.9"),
            ("proto=https;For=\"203.0.113.9:4711\";by=x", "203.0.113.9:4711"),
            ("for=1.1.1.1, for=\"[2001:db9::17]:4711\"", "[2001:db9::17]:4711"),
            ("for=\"[2001:db9::17]\", for=10.3.3.3", "2001:db9::17"),
            ("for=1.1.1.1;by=\"a,for=2.2.2.2\"", "1.1.1.1"),
            ("for=1.1.1.1;by=\"a\\\",for=2.2.2.2\"", "1.1.1.1"),
            ("for=_hidden", PEER),
            ("for=unknown, for=10.3.3.3", "10.3.3.3"),
            ("for=\"203.0.113.9", PEER),
            ("by=203.0.113.9", PEER),
        ] {
            assert_eq!(found(&[("forwarded", header.as_bytes())]), client, "{header}");
        }
    }

    #[test]
    fn two_headers_count_when_they_agree() {
        let both = |x: &'static str, standard: &'static str| {
            found(&[
                ("x-forwarded-for", x.as_bytes()),
                ("forwarded", standard.as_bytes()),
            ])
        };
        assert_eq!(both("203.0.113.9", "for=203.0.113.9"), "203.0.113.9");
        assert_eq!(both("203.0.113.9", "for=6.6.6.6"), PEER);
    }

    #[test]
    fn endless_lists_are_followed_so_far_and_no_further() {
        let list = format!("6.6.6.6{}", ", 10.0.0.2".repeat(2000));
        assert_eq!(found(&[("x-forwarded-for", list.as_bytes())]), "10.0.0.2");
    }

    proptest! {
        #[test]
        fn no_header_is_too_much(x in "[\\x20-\\x7e]{0,80}", standard in "(for=|[,;\"\\\\ .0-9a-f:\\[\\]=])*") {
            let mut headers = HeaderMap::new();
            headers.append("x-forwarded-for", HeaderValue::from_str(&x).unwrap());
            headers.append("forwarded", HeaderValue::from_str(&standard).unwrap());
            let everybody = "0.0.0.0/0, ::/0".parse().unwrap();
            client(&headers, PEER.parse().unwrap(), &everybody);
        }
    }
}
