//! The routes of the list. A change is made first, then told to everybody; its version tells a page which is newer.

use crate::list::{Entry, Expected, List, Obstacle};
use attached_runtime::{Hub, OnDisconnect};
use axum::extract::{Path, State};
use axum::http::header::{ETAG, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use examples::told;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Longest text, in characters.
const LONGEST: usize = 200;

#[derive(Clone)]
struct Todos {
    list: Arc<Mutex<List>>,
    hub: Hub,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    text: String,
    done: bool,
}

pub(crate) fn routes(hub: Hub) -> Router {
    let list = Arc::default();
    Router::new()
        .route("/todos", get(everything).post(add))
        .route("/todos/{id}", get(one).put(change).delete(remove))
        // A client that leaves does not keep the others from hearing of what it did.
        .layer(OnDisconnect::Ignore)
        .with_state(Todos { list, hub })
}

async fn everything(State(todos): State<Todos>) -> Response {
    let all = todos.list().everything();
    (tag(all.version), Json(all)).into_response()
}

async fn one(State(todos): State<Todos>, Path(id): Path<u64>) -> Result<Response, Problem> {
    let entry = todos.list().get(id)?;
    Ok(shown(&entry))
}

async fn add(State(todos): State<Todos>, Json(new): Json<New>) -> Result<Response, Problem> {
    let entry = todos.list().add(checked(new.text)?)?;
    todos.tell("todo.changed", &entry).await;
    let location = [(LOCATION, format!("/todos/{}", entry.id))];
    Ok((StatusCode::CREATED, location, shown(&entry)).into_response())
}

async fn change(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    headers: HeaderMap,
    Json(Changed { text, done }): Json<Changed>,
) -> Result<Response, Problem> {
    let (expected, text) = (expected(&headers)?, checked(text)?);
    let entry = todos.list().change(id, expected, text, done)?;
    todos.tell("todo.changed", &entry).await;
    Ok(shown(&entry))
}

async fn remove(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let removed = todos.list().remove(id, expected(&headers)?)?;
    todos.tell("todo.removed", &removed).await;
    Ok(StatusCode::NO_CONTENT)
}

impl Todos {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell(&self, kind: &str, payload: &impl Serialize) {
        if let Err(error) = self.hub.broadcast(told(kind, "", payload)).await {
            tracing::warn!(%error, kind, "a change was not told");
        }
    }
}

fn shown(entry: &Entry) -> Response {
    (tag(entry.version), Json(entry)).into_response()
}

/// A strong entity tag (RFC 9110 section 8.8.3).
fn tag(version: u64) -> [(axum::http::HeaderName, String); 1] {
    [(ETAG, format!("\"{version}\""))]
}

/// What `If-Match` (RFC 9110 section 13.1.1) asks for. `*` and no header at all mean whatever is there.
fn expected(headers: &HeaderMap) -> Result<Expected, Problem> {
    let Some(value) = headers.get(IF_MATCH).filter(|value| *value != "*") else {
        return Ok(None);
    };
    let version = value
        .to_str()
        .ok()
        .and_then(|text| text.strip_prefix('"')?.strip_suffix('"')?.parse().ok());
    // A tag that we never gave fits nothing.
    version.map(Some).ok_or(Problem::from(Obstacle::Changed))
}

fn checked(text: String) -> Result<String, Problem> {
    let length = text.trim().chars().count();
    let is_good = (1..=LONGEST).contains(&length);
    is_good.then(|| text.trim().to_owned()).ok_or(Problem(
        StatusCode::UNPROCESSABLE_ENTITY,
        "a text has 1 to 200 characters",
    ))
}

struct Problem(StatusCode, &'static str);

impl From<Obstacle> for Problem {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Absent => Self(StatusCode::NOT_FOUND, "there is no such entry"),
            Obstacle::Full => Self(StatusCode::CONFLICT, "the list is full"),
            Obstacle::Changed => Self(StatusCode::PRECONDITION_FAILED, "it has changed meanwhile"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
