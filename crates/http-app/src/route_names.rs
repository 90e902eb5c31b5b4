//! Names requests by their route, when somebody asks for a name.

use axum::Router;

use crate::openapi;

/// The patterns of an application's routes.
pub(crate) struct RouteNames {
    patterns: matchit::Router<String>,
}

impl RouteNames {
    pub(crate) fn of(router: &Router) -> Self {
        let mut patterns = matchit::Router::new();
        for pattern in openapi::routes_of(router).into_keys() {
            // The router has it, so it is no pattern that could not be had.
            let _ = patterns.insert(pattern.clone(), pattern);
        }
        Self { patterns }
    }

    /// The name of a request of which method and path are told, such as `GET /user/7`: `GET /user/{id}`. It has nothing
    /// in it that a client chose.
    pub(crate) fn name(&self, line: &[u8]) -> String {
        let line = String::from_utf8_lossy(line);
        let (method, path) = line.split_once(' ').unwrap_or((&line, ""));
        let method = METHODS.iter().find(|known| **known == method);
        let pattern = self.patterns.at(path).ok().map(|found| found.value.as_str());
        let method = method.copied().unwrap_or("another method");
        format!("{method} {}", pattern.unwrap_or("(no route)"))
    }
}

/// Those of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};

    #[test]
    fn a_request_has_the_name_of_its_route() {
        let inner = Router::new().route("/deep/{*rest}", get(|| async {}));
        let router = Router::new()
            .route("/", get(|| async {}))
            .route("/user/{id}", post(|| async {}))
            .nest("/under", inner);
        let names = RouteNames::of(&router);
        for (line, name) in [
            ("GET /", "GET /"),
            ("POST /user/7", "POST /user/{id}"),
            ("GET /under/deep/a/b", "GET /under/deep/{*rest}"),
            ("GET /other", "GET (no route)"),
            ("STEAL /user/7", "another method /user/{id}"),
            ("GET", "GET (no route)"),
            ("", "another method (no route)"),
            ("GET /user/\u{fffd}", "GET /user/{id}"),
        ] {
            assert_eq!(names.name(line.as_bytes()), name, "{line}");
        }
    }
}
