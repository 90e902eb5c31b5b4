//! The paths under `/_ops`.

use super::gate::{Gate, Refused};
use super::page::{Page, guarded};
use super::source::Source;
use super::token::OpsToken;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_app::{ClientAddr, error_response};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What the handlers share.
struct Ops {
    gate: Gate,
    source: Source,
    /// For whoever is in.
    page: Page,
    /// For whoever is not.
    login: Page,
}

/// The page, its JSON, and what its two buttons do.
pub(crate) fn router(token: OpsToken, source: Source) -> Router {
    let ops = Ops {
        gate: Gate::new(token, Instant::now()),
        source,
        page: Page::state(),
        login: Page::login(),
    };
    Router::new()
        .route("/_ops", get(page))
        .route("/_ops/state.json", get(state))
        .route("/_ops/login", post(login))
        .route("/_ops/drain", post(drain))
        .with_state(Arc::new(ops))
}

async fn page(State(ops): State<Arc<Ops>>, client: Option<ClientAddr>, headers: HeaderMap) -> Response {
    match ops.gate.admit(&headers, ip(client), Instant::now()) {
        Ok(_) => ops.page.response(StatusCode::OK),
        Err(refused) => refusing(refused, ops.login.response(status(refused))),
    }
}

async fn state(State(ops): State<Arc<Ops>>, client: Option<ClientAddr>, headers: HeaderMap) -> Response {
    match ops.gate.admit(&headers, ip(client), Instant::now()) {
        Ok(_) => guarded(Json(ops.source.state().await).into_response()),
        Err(refused) => refusal(refused),
    }
}

/// Exchanges the token for a cookie.
async fn login(State(ops): State<Arc<Ops>>, client: Option<ClientAddr>, headers: HeaderMap) -> Response {
    let now = Instant::now();
    match ops.gate.admit(&headers, ip(client), now) {
        Ok(_) => {
            let cookie = [(header::SET_COOKIE, ops.gate.cookie(now))];
            guarded((StatusCode::NO_CONTENT, cookie).into_response())
        }
        Err(refused) => refusal(refused),
    }
}

async fn drain(State(ops): State<Arc<Ops>>, client: Option<ClientAddr>, headers: HeaderMap) -> Response {
    if let Err(refused) = ops.gate.admit_change(&headers, ip(client), Instant::now()) {
        return refusal(refused);
    }
    tracing::warn!("a stop was asked for on the operator's page");
    ops.source.ask_for_the_end();
    guarded((StatusCode::ACCEPTED, Json(json!({ "status": "asked" }))).into_response())
}

fn ip(client: Option<ClientAddr>) -> Option<IpAddr> {
    client.map(|ClientAddr(address)| address.ip())
}

fn status(refused: Refused) -> StatusCode {
    match refused {
        Refused::Unknown => StatusCode::UNAUTHORIZED,
        Refused::TooMany => StatusCode::TOO_MANY_REQUESTS,
    }
}

fn refusal(refused: Refused) -> Response {
    let message = match refused {
        Refused::Unknown => "the operator's token is needed",
        Refused::TooMany => "too many wrong tokens from this address, try again in a second",
    };
    refusing(refused, guarded(error_response(status(refused), message)))
}

fn refusing(refused: Refused, mut response: Response) -> Response {
    let (name, value) = match refused {
        Refused::Unknown => (header::WWW_AUTHENTICATE, "Bearer realm=\"ops\""),
        Refused::TooMany => (header::RETRY_AFTER, "1"),
    };
    response
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    response
}
