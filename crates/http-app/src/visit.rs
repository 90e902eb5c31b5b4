//! What is kept of a request until it is answered, where its id or a line in the access log is wanted.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use core_executor::ConnectionInfo;
use http::{Method, Request, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tower_http::request_id::RequestId;

use crate::request_id;

/// Longest part of a path that is logged.
const LONGEST_PATH: usize = 512;

/// Which of the two an application wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) request_id: bool,
    pub(crate) access_log: bool,
}

/// A request whose answer gets an id, a line in the log, or both.
pub(crate) struct Visit {
    id: Option<RequestId>,
    line: Option<AccessLine>,
}

impl Visit {
    /// Takes down what is wanted of a request, and gives it its id.
    pub(crate) fn begin<B>(wanted: Wanted, begun: Instant, request: &mut Request<B>) -> Option<Box<Self>> {
        let Wanted {
            request_id,
            access_log,
        } = wanted;
        if !request_id && !access_log {
            return None;
        }
        let id = request_id.then(|| request_id::give(request));
        let line = access_log.then(|| AccessLine::new(begun, request, id.clone()));
        Some(Box::new(Self { id, line }))
    }

    /// Puts the id on the answer, and the line behind the last byte of its body.
    pub(crate) fn end(self, mut response: Response) -> Response {
        let Self { id, line } = self;
        if let Some(id) = id {
            let header = response.headers_mut().entry(request_id::HEADER);
            header.or_insert(id.into_header_value());
        }
        match line {
            None => response,
            Some(mut line) => {
                line.status = Some(response.status());
                response.map(|inner| Body::new(LoggedBody { inner, line }))
            }
        }
    }
}

/// One line of the access log, written when it is dropped: behind the body, or when the answer will never be.
struct AccessLine {
    begun: Instant,
    method: Method,
    path: String,
    client: Option<SocketAddr>,
    id: Option<RequestId>,
    /// None as long as there is no answer.
    status: Option<StatusCode>,
    /// Of the body, as far as it was handed to the connection.
    bytes: u64,
}

impl AccessLine {
    fn new<B>(begun: Instant, request: &Request<B>, id: Option<RequestId>) -> Self {
        let path = request.uri().path();
        let end = path.floor_char_boundary(LONGEST_PATH);
        let info = request.extensions().get::<ConnectionInfo>();
        Self {
            begun,
            method: request.method().clone(),
            path: path[..end].to_owned(),
            client: info.map(|info| info.client_addr),
            id,
            status: None,
            bytes: 0,
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        let Self {
            begun,
            method,
            path,
            client,
            id,
            status,
            bytes,
        } = self;
        let millis = begun.elapsed().as_secs_f64() * 1e3;
        // What a client chose goes through `?`, which escapes every control character.
        tracing::info!(
            target: "http_app::access",
            method = ?method.as_str(),
            path = ?path,
            // 499 as nginx has it: nobody was there to be answered.
            status = status.map_or(499, |status| status.as_u16()),
            millis = (millis * 1e3).round() / 1e3,
            bytes,
            client = client.map(tracing::field::display),
            id = id.as_ref().and_then(|id| id.header_value().to_str().ok()).map(tracing::field::debug),
            "request"
        );
    }
}

/// A body that is counted; its line is written when the connection has done with it.
struct LoggedBody {
    inner: Body,
    line: AccessLine,
}

impl HttpBody for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.line.bytes += data.len() as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
