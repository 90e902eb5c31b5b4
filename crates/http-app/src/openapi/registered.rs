//! Which paths and methods a router has, without running any handler.
//!
//! axum has no list of routes to ask for. Its debug form has one, and reading it is the only way that sees nested and
//! merged routers too and calls nobody's code. A form that is not understood gives no route; the tests would tell.

use axum::Router;

/// The methods of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Methods {
    /// A service or an `any` route: whatever comes.
    Any,
    /// In lower case, in axum's order. `head` is among them only when it has a handler of its own.
    These(Vec<String>),
}

/// One path that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) path: String,
    pub(crate) methods: Methods,
}

/// axum's name for what is below a nested service, which is no path of anybody's.
const NESTED: &str = "__private__axum";

/// Every path of `router`, except those below nested services.
pub(crate) fn routes<S>(router: &Router<S>) -> Vec<Registered> {
    let text = format!("{router:?}");
    // The first half holds no text of the user's; the paths come behind it, quoted.
    let Some((endpoints, rest)) = text.split_once("node: Node { paths: {") else {
        return Vec::new();
    };
    let endpoints: Vec<_> = endpoints.split("RouteId(").skip(1).filter_map(endpoint).collect();
    paths(rest)
        .into_iter()
        .filter(|(_, path)| !path.contains(NESTED))
        .filter_map(|(id, path)| {
            let (_, methods) = endpoints.iter().find(|(known, _)| *known == id)?;
            let methods = methods.clone();
            Some(Registered { path, methods })
        })
        .collect()
}

/// Reads `3): MethodRouter(MethodRouter { get: Route, head: None, … allow_header: Bytes(b"GET,HEAD") })`.
fn endpoint(text: &str) -> Option<(u32, Methods)> {
    let (id, text) = text.split_once("): ")?;
    let id = id.parse().ok()?;
    let Some(fields) = text.strip_prefix("MethodRouter(MethodRouter { ") else {
        return Some((id, Methods::Any));
    };
    if fields.contains("allow_header: Skip") {
        return Some((id, Methods::Any));
    }
    let methods = fields
        .split(", ")
        .filter_map(|field| field.split_once(": "))
        .take_while(|(name, _)| *name != "fallback")
        .filter(|(_, endpoint)| *endpoint != "None")
        .map(|(name, _)| name.to_owned());
    Some((id, Methods::These(methods.collect())))
}

/// Reads `RouteId(3): "/users/{id}", RouteId(4): "/"}` up to the brace.
fn paths(mut text: &str) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    while let Some(entry) = text.strip_prefix("RouteId(") {
        let Some((id, quoted)) = entry.split_once("): \"") else {
            break;
        };
        let (Ok(id), Some((path, rest))) = (id.parse(), unquoted(quoted)) else {
            break;
        };
        found.push((id, path));
        text = rest.strip_prefix(", ").unwrap_or(rest);
    }
    found
}

/// The text up to the closing quote, and what is behind it. Control characters stay escaped.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut path = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((path, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                plain @ ('"' | '\\' | '\'') => path.push(plain),
                other => path.extend(['\\', other]),
            },
            char => path.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeout::RequestTimeout;
    use axum::extract::State;
    use axum::routing::{any, delete, get, post, put};

    async fn never() {
        panic!("a handler ran");
    }

    fn these(methods: &[&str]) -> Methods {
        Methods::These(methods.iter().map(|method| (*method).to_owned()).collect())
    }

    #[test]
    fn every_way_to_register_is_seen_and_nothing_runs() {
        let api = Router::new()
            .route("/users/{id}", get(never).delete(never))
            .layer(RequestTimeout::off());
        let stateful = Router::new().route("/state", get(|State(n): State<u8>| async move { n.to_string() }));
        let router: Router<u8> = Router::new()
            .route("/", get(never))
            .route("/", post(never))
            .route("/head", get(never).head(never))
            .route("/rest/{*rest}", put(never))
            .route("/any", any(never))
            .route("/odd \"quote\" \\ , RouteId(9): {{x}}", delete(never))
            .route_service("/service", get(never).with_state::<()>(1))
            .nest("/api/v1", api)
            .nest_service("/files", Router::<()>::new())
            .merge(stateful.layer(RequestTimeout::off()));
        let mut found = routes(&router);
        found.sort_by(|one, other| one.path.cmp(&other.path));
        let found: Vec<_> = found
            .iter()
            .map(|route| (route.path.as_str(), route.methods.clone()))
            .collect();
        assert_eq!(
            found,
            [
                ("/", these(&["get", "post"])),
                ("/any", Methods::Any),
                ("/api/v1/users/{id}", these(&["get", "delete"])),
                ("/files", Methods::Any),
                ("/files/", Methods::Any),
                ("/head", these(&["get", "head"])),
                ("/odd \"quote\" \\ , RouteId(9): {{x}}", these(&["delete"])),
                ("/rest/{*rest}", these(&["put"])),
                ("/service", Methods::Any),
                ("/state", these(&["get"])),
            ]
        );
        let with_state = routes(&router.with_state::<()>(1));
        assert_eq!(with_state.len(), found.len(), "the same with the state in place");
    }

    #[test]
    fn a_router_without_routes_has_none() {
        assert_eq!(routes(&Router::<()>::new()), []);
    }
}
