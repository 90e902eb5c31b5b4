//! `POST /ws/session/close`: the client ends its session.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{json, posted};
use crate::bridge::Shared;
use crate::refusal::Refusal;

/// Longest reason in bytes, as in a Close frame.
const MAX_REASON: usize = 123;

#[derive(Deserialize)]
#[serde(default)]
struct Wish {
    code: u16,
    reason: String,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            code: 1000,
            reason: String::new(),
        }
    }
}

#[derive(Serialize)]
struct Closed {
    closed: bool,
}

/// Ends the session. It ends also when this future is dropped.
pub(super) async fn serve(shared: &Shared, request: Request) -> Result<Response, Refusal> {
    let (visit, session, body) = posted(shared, request).await?;
    let wish: Wish = match body.is_empty() {
        true => Wish::default(),
        false => serde_json::from_slice(&body).map_err(|_| Refusal::Sent)?,
    };
    if !matches!(wish.code, 1000 | 3000..=4999) || wish.reason.len() > MAX_REASON {
        return Err(Refusal::CloseWish);
    }
    visit
        .in_time(session.close_by_peer(wish.code, wish.reason))
        .await?;
    Ok(json(StatusCode::OK, &Closed { closed: true }))
}
