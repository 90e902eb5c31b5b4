//! The browser client: a script and its types, part of the binary and served beside what they speak to.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode};

const SCRIPT: Asset = Asset::new("text/javascript; charset=utf-8", include_str!("client/client.js"));
const TYPES: Asset = Asset::new("text/plain; charset=utf-8", include_str!("client/client.d.ts"));

/// `GET /ws/client.js` and `GET /ws/client.d.ts`. Neither is a secret, so nobody is asked who they are.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/ws/client.js", get(async |headers| SCRIPT.answer(&headers)))
        .route("/ws/client.d.ts", get(async |headers| TYPES.answer(&headers)))
}

/// A text that does not change while the process lives.
struct Asset {
    content_type: &'static str,
    text: &'static str,
    /// Of the text alone, so that every process of one version gives the same tag.
    digest: u64,
}

impl Asset {
    const fn new(content_type: &'static str, text: &'static str) -> Self {
        Self {
            content_type,
            text,
            digest: fnv1a(text.as_bytes()),
        }
    }

    /// The text, or 304 when the client has it (RFC 9110 §13.1.2).
    fn answer(&self, headers: &HeaderMap) -> Response {
        let tag = format!("\"{:016x}\"", self.digest);
        let is_known = headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| {
                let known = known.trim();
                // A proxy that compresses makes the tag a weak one.
                known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
            });
        // The address has no version in it: asked for again each time, so that page and server stay of one kind.
        let caching = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, tag)];
        if is_known {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        let kind = [
            (CONTENT_TYPE, self.content_type),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (caching, kind, self.text).into_response()
    }
}

/// FNV-1a in 64 bits: enough to tell one version of a text from another.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let (mut digest, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        digest = (digest ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn the_digest_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
