//! The OpenAPI document of an application: whether it is served, and what is said in it.

use http::Method;
use serde_json::Value;

use super::App;
use crate::openapi::{Described, OpenApi};

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Serves an OpenAPI 3.1 document of the application's routes at `/openapi.json`, and a page that shows it at
    /// `/docs`. The page is part of the program and loads nothing from elsewhere.
    ///
    /// Paths and methods are those really registered, by whatever method of this type; a parameter of a path is a
    /// string. [`describe`](Self::describe) says more. Static files are not listed, and neither are `/docs` and
    /// `/openapi.json`, behind which the application's own routes of these names come first.
    ///
    /// ```
    /// use axum::routing::get;
    /// use http_app::{App, AppConfig, OpenApi};
    ///
    /// let app = App::new(AppConfig::default())
    ///     .route("/users/{id}", get(|| async { "…" }))
    ///     .openapi(OpenApi::new("Users", "1.0.0"));
    /// ```
    pub fn openapi(mut self, about: OpenApi) -> Self {
        self.docs = Some(about);
        self
    }

    /// Adds a paragraph to the description of the document, and serves the document when nobody has asked for it yet.
    ///
    /// ```
    /// use http_app::{App, AppConfig};
    ///
    /// let app = App::new(AppConfig::default()).openapi_note("All times are in UTC.");
    /// ```
    pub fn openapi_note(mut self, text: &str) -> Self {
        self.docs = Some(self.docs.unwrap_or_default().description(text));
        self
    }

    /// Says more about one operation in the OpenAPI document: an [Operation Object] in JSON, with `summary`,
    /// `parameters`, `requestBody`, `responses` and the rest. Said again, the last one counts.
    ///
    /// Parameters of the path that it leaves out, and the answers that every operation may give (413, 414, 503), are
    /// added. Without `responses`, any answer is as described.
    ///
    /// ```
    /// use axum::routing::get;
    /// use http::Method;
    /// use http_app::{App, AppConfig, OpenApi};
    /// use serde_json::json;
    ///
    /// let app = App::new(AppConfig::default())
    ///     .route("/users/{id}", get(|| async { "…" }))
    ///     .describe(Method::GET, "/users/{id}", json!({
    ///         "summary": "One user",
    ///         "responses": { "200": { "description": "The user", "content": { "text/plain": {} } } },
    ///     }))
    ///     .openapi(OpenApi::new("Users", "1.0.0"));
    /// ```
    ///
    /// When the application is bound, a description of a path or method that is not registered, or one that is no
    /// JSON object, is [`AppError::DescribesNoRoute`](crate::AppError::DescribesNoRoute).
    ///
    /// [Operation Object]: https://spec.openapis.org/oas/v3.1.0#operation-object
    pub fn describe(mut self, method: Method, path: &str, operation: Value) -> Self {
        self.described.push(Described {
            method,
            path: path.to_owned(),
            operation,
        });
        self
    }
}
