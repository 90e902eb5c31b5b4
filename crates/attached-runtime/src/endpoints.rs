//! What the HTTP app's OpenAPI document says about the parts that are not the app's own.

use crate::parts::WsPart;
use http::Method;
use http_app::App;
use serde_json::Value;

/// The long-poll endpoints.
pub(crate) fn describe_polls<S>(mut app: App<S>, paths: &Value) -> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    for (path, item) in paths.as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
            let method = method.expect("the methods of an OpenAPI path item");
            app = app.describe(method, path, operation.clone());
        }
    }
    app
}

/// Where WebSocket is served, which OpenAPI has no place for when it is a port of its own.
pub(crate) fn note_websocket<S>(app: App<S>, ws: &WsPart) -> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    match ws.local_addr() {
        Some(address) => app.openapi_note(&format!("WebSocket: `ws://{address}/`, any path.")),
        None => app.openapi_note("WebSocket: on this port."),
    }
}
