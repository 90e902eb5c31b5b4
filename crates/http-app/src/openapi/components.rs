//! The parts of the document that are the same for every application: the answers `App` gives by itself.

use serde_json::{Value, json};

/// Schemas and responses to refer to.
pub(crate) fn all() -> Value {
    let error = |description: &str, schema: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } }
        })
    };
    json!({
        "schemas": {
            "Error": {
                "type": "object",
                "required": ["message"],
                "properties": { "message": { "type": "string" } }
            },
            "RouteNotFound": {
                "type": "object",
                "required": ["error", "method", "path"],
                "properties": {
                    "error": { "const": "Route not found" },
                    "method": { "type": "string" },
                    "path": { "type": "string" }
                }
            }
        },
        "responses": {
            "RouteNotFound": error("No route has this path.", "RouteNotFound"),
            "MethodNotAllowed": error("The path has no such method; `Allow` names those it has.", "Error"),
            "PayloadTooLarge": error("The body is longer than `WAF_MAX_BODY_BYTES`.", "Error"),
            "UriTooLong": error("The target is longer than `WAF_MAX_TARGET_LEN`.", "Error"),
            "ServiceUnavailable": error("Not answered within `SERVER_REQUEST_TIMEOUT`, or about to stop.", "Error")
        }
    })
}

/// The answers that every operation of this method may give, whatever its handler does.
pub(crate) fn responses_of(
    method: &str,
    has_parameters: bool,
) -> impl Iterator<Item = (&'static str, &'static str)> {
    let has_body = matches!(method, "post" | "put" | "patch" | "delete");
    [
        (has_parameters, "404", "RouteNotFound"),
        (has_body, "413", "PayloadTooLarge"),
        (true, "414", "UriTooLong"),
        (true, "503", "ServiceUnavailable"),
    ]
    .into_iter()
    .filter_map(|(applies, status, name)| applies.then_some((status, name)))
}
