//! The OpenAPI 3.1 document of an application, made from the routes that are really registered.

use std::collections::BTreeMap;

use axum::Router;
use http::Method;
use serde_json::{Map, Value, json};

use crate::error::AppError;

mod components;
mod page;
mod registered;

pub(crate) use page::router;
use registered::Methods;

/// The methods an OpenAPI path item has an operation for (OpenAPI 3.1.0 §4.8.9.1).
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// What the OpenAPI document of an application says about the whole of it.
///
/// ```
/// use http_app::{App, AppConfig, OpenApi};
///
/// let app = App::new(AppConfig::default())
///     .openapi(OpenApi::new("Orders", "2.1.0").description("Everything about orders."));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a document is served by the application that is given it"]
pub struct OpenApi {
    title: String,
    version: String,
    description: String,
}

impl OpenApi {
    /// A document with this title, of this version of the API.
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            version: version.into(),
            description: String::new(),
        }
    }

    /// What the document says about the API as a whole, in CommonMark. Said again, it is a further paragraph.
    pub fn description(mut self, text: impl AsRef<str>) -> Self {
        if !self.description.is_empty() {
            self.description.push_str("\n\n");
        }
        self.description.push_str(text.as_ref());
        self
    }
}

/// `API`, version `0`.
impl Default for OpenApi {
    fn default() -> Self {
        Self::new("API", "0")
    }
}

/// What somebody said about one operation.
pub(crate) struct Described {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) operation: Value,
}

/// Paths as axum writes them, with their methods.
pub(crate) type Routes = BTreeMap<String, Methods>;

/// What is registered in a router.
pub(crate) fn routes_of(router: &Router) -> Routes {
    let routes = registered::routes(router).into_iter();
    routes.map(|route| (route.path, route.methods)).collect()
}

/// The document.
///
/// # Errors
/// A description of something that is not registered, or that is no object.
pub(crate) fn document(
    about: &OpenApi,
    routes: &Routes,
    described: Vec<Described>,
) -> Result<Value, AppError> {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (path, methods) in routes {
        let item = paths.entry(templated(path)).or_default();
        match methods {
            Methods::Any => {
                item.insert("description".to_owned(), "Answers every method.".into());
            }
            Methods::These(methods) => {
                for method in methods.iter().filter(|method| is_listed(method, methods)) {
                    item.insert(method.clone(), operation(path, method, Map::new()));
                }
            }
        }
    }
    for Described {
        method,
        path,
        operation: said,
    } in described
    {
        let name = method.as_str().to_ascii_lowercase();
        let no_route = || AppError::DescribesNoRoute {
            method: method.clone(),
            path: path.clone(),
        };
        let known = match routes.get(&path).ok_or_else(no_route)? {
            Methods::Any => METHODS.contains(&name.as_str()),
            Methods::These(methods) => methods.contains(&name),
        };
        let (true, Value::Object(said)) = (known, said) else {
            return Err(no_route());
        };
        let item = paths.entry(templated(&path)).or_default();
        item.insert(name.clone(), operation(&path, &name, said));
    }
    let OpenApi {
        title,
        version,
        description,
    } = about;
    let mut info = json!({ "title": title, "version": version });
    if !description.is_empty() {
        info["description"] = description.as_str().into();
    }
    Ok(json!({
        "openapi": "3.1.0",
        "info": info,
        "paths": paths,
        "components": components::all(),
    }))
}

/// `HEAD` goes without saying where there is `GET`, and may well be there to be refused: it is listed when described.
fn is_listed(method: &str, methods: &[String]) -> bool {
    let is_implied = method == "head" && methods.iter().any(|other| other == "get");
    METHODS.contains(&method) && !is_implied
}

/// One operation: what was said about it, and what is true of every one with this path and method.
fn operation(path: &str, method: &str, mut said: Map<String, Value>) -> Value {
    let names = parameters(path);
    let mut parameters = match said.remove("parameters") {
        Some(Value::Array(given)) => given,
        _ => Vec::new(),
    };
    for name in &names {
        let given = |parameter: &Value| parameter["in"] == "path" && parameter["name"] == **name;
        if !parameters.iter().any(given) {
            parameters.push(json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 }
            }));
        }
    }
    if !parameters.is_empty() {
        said.insert("parameters".to_owned(), parameters.into());
    }
    let mut responses = match said.remove("responses") {
        Some(Value::Object(given)) => given,
        _ => Map::from_iter([(
            "default".to_owned(),
            json!({ "description": "What the handler answers." }),
        )]),
    };
    for (status, name) in components::responses_of(method, !names.is_empty()) {
        responses
            .entry(status)
            .or_insert_with(|| json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    said.insert("responses".to_owned(), responses.into());
    Value::Object(said)
}

/// The names of the parameters in a path of axum's: `{id}` and `{*rest}`; `{{` and `}}` are braces.
fn parameters(path: &str) -> Vec<&str> {
    let braces = |segment: &&str| segment.contains('{') && !segment.contains("{{");
    let name = |segment: &'_ str| -> Option<(usize, usize)> {
        let (start, end) = (segment.find('{')?, segment.rfind('}')?);
        (start < end).then_some((start, end))
    };
    path.split('/')
        .filter(braces)
        .filter_map(|segment| {
            let (start, end) = name(segment)?;
            Some(segment[start + 1..end].trim_start_matches('*'))
        })
        .collect()
}

/// The path as OpenAPI writes it.
fn templated(path: &str) -> String {
    path.replace("{*", "{").replace("{{", "{").replace("}}", "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_those_of_the_path() {
        for (path, names, template) in [
            ("/", vec![], "/"),
            ("/users/{id}", vec!["id"], "/users/{id}"),
            ("/a/{b}/c/{d}", vec!["b", "d"], "/a/{b}/c/{d}"),
            ("/files/{*rest}", vec!["rest"], "/files/{rest}"),
            ("/v{major}", vec!["major"], "/v{major}"),
            ("/{{literal}}", vec![], "/{literal}"),
        ] {
            assert_eq!(parameters(path), names, "{path}");
            assert_eq!(templated(path), template, "{path}");
        }
    }
}
