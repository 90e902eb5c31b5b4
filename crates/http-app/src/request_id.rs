//! The id of a request: carried when it came with a decent one, made when not.

use http::{HeaderName, HeaderValue, Request};
use tower_http::request_id::{MakeRequestId, MakeRequestUuid, RequestId};

/// The header that carries it, in both directions.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is carried.
const LONGEST: usize = 128;

/// The request's id from here on: in its header, and as an extension.
pub(crate) fn give<B>(request: &mut Request<B>) -> RequestId {
    let id = match carried(request) {
        Some(value) => RequestId::new(value),
        None => MakeRequestUuid
            .make_request_id(request)
            .expect("a random id is always made"),
    };
    // Replaces every one that came, so that the handler sees what the log has.
    request.headers_mut().insert(HEADER, id.header_value().clone());
    request.extensions_mut().insert(id.clone());
    id
}

/// The one id of the client's, when it can stand in any log.
fn carried<B>(request: &Request<B>) -> Option<HeaderValue> {
    let mut values = request.headers().get_all(HEADER).iter();
    let value = values.next()?;
    let is_decent = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(byte);
    let bytes = value.as_bytes();
    let decent = !bytes.is_empty() && bytes.len() <= LONGEST && bytes.iter().all(is_decent);
    (decent && values.next().is_none()).then(|| value.clone())
}
