//! A handler's word that its answer will take long, so that its connection need not keep what it serves requests with.

use crate::ConnectionInfo;
use crate::departure::Departure;
use http::request::Parts;
use http::{HeaderMap, Method, Version, header};
use std::fmt;
use std::sync::Arc;

/// Says that the answer to a request will take long: a poll that waits for a message, a job that is watched.
///
/// Until there is an answer, the connection lets go of its buffers and of hyper (about 25 KiB), and of the request's
/// head. Nothing else changes: the client's departure is noticed, pipelined requests wait, a stop is heard. Resting and
/// waking costs some microseconds, so it is for waits that last.
///
/// Has no effect on HTTP/2, on a request with a body or with the wish for another protocol, and under another server.
///
/// ```
/// use core_executor::LongWait;
/// use http::Request;
///
/// async fn poll<B>(request: Request<B>) -> &'static str {
///     let (parts, _) = request.into_parts();
///     let wait = LongWait::of(&parts);
///     // What the handler keeps of a request stays in memory, so it should let go of the rest before it waits.
///     drop(parts);
///     wait.begin();
///     std::future::ready("the message that was waited for").await
/// }
/// ```
#[must_use = "the wait has to begin"]
pub struct LongWait {
    wish: Option<(Arc<Departure>, Box<[u8]>)>,
}

impl LongWait {
    /// Takes from a request what its answer will have to go by.
    pub fn of(request: &Parts) -> Self {
        let connection = request.extensions.get::<ConnectionInfo>();
        let departure = connection.map(|info| info.client_gone.departure());
        Self {
            wish: departure.zip(head_of(request)),
        }
    }

    /// The wait begins: the connection rests from the end of this turn until the handler has its answer.
    pub fn begin(self) {
        if let Some((departure, head)) = self.wish {
            departure.long_wait.give(head);
        }
    }
}

impl fmt::Debug for LongWait {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LongWait")
            .field("has_effect", &self.wish.is_some())
            .finish()
    }
}

/// A head that is answered like this one: what hyper goes by is the version, whether the answer has a body, and whether
/// the connection is to be kept. `None` where more stands behind the head than the next request.
fn head_of(request: &Parts) -> Option<Box<[u8]>> {
    let line = match (&request.method, request.version) {
        (&Method::CONNECT, _) => return None,
        (&Method::HEAD, Version::HTTP_11) => "HEAD / HTTP/1.1\r\n",
        (&Method::HEAD, Version::HTTP_10) => "HEAD / HTTP/1.0\r\n",
        (_, Version::HTTP_11) => "GET / HTTP/1.1\r\n",
        (_, Version::HTTP_10) => "GET / HTTP/1.0\r\n",
        _ => return None,
    };
    let headers = &request.headers;
    if has_body(headers) || headers.contains_key(header::UPGRADE) {
        return None;
    }
    let mut head = Vec::from(line);
    for value in headers.get_all(header::CONNECTION) {
        head.extend_from_slice(b"connection: ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Some(head.into())
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes().iter().any(|digit| *digit != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(request: http::request::Builder) -> Option<String> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        head_of(&parts).map(|head| String::from_utf8(head.into()).unwrap())
    }

    #[test]
    fn a_head_is_answered_as_the_one_it_stands_for() {
        let poll = Request::get("/poll?cursor=1")
            .header("host", "h")
            .header("cookie", "c");
        assert_eq!(head(poll).unwrap(), "GET / HTTP/1.1\r\n\r\n");
        let last = Request::head("/")
            .header("connection", "close")
            .header("connection", "x");
        assert_eq!(
            head(last).unwrap(),
            "HEAD / HTTP/1.1\r\nconnection: close\r\nconnection: x\r\n\r\n"
        );
        let old = Request::post("/")
            .version(Version::HTTP_10)
            .header("content-length", "0");
        assert_eq!(head(old).unwrap(), "GET / HTTP/1.0\r\n\r\n");
    }

    #[test]
    fn what_more_stands_behind_is_left_as_it_is() {
        for request in [
            Request::post("/").header("content-length", "10"),
            Request::post("/").header("transfer-encoding", "chunked"),
            Request::get("/").header("upgrade", "websocket"),
            Request::connect("h:1"),
            Request::get("/").version(Version::HTTP_2),
        ] {
            assert_eq!(head(request), None);
        }
    }
}
