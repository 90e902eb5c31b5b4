//! Names requests by their route, when somebody asks for a name.

use axum::Router;

use crate::openapi;

/// What stands for the route of a request that no route takes.
pub(crate) const NO_ROUTE: &str = "(no route)";

/// The patterns of an application's routes.
pub(crate) struct RouteNames {
    /// Finds the place in `patterns`.
    matcher: matchit::Router<usize>,
    patterns: Vec<String>,
}

impl RouteNames {
    pub(crate) fn of(router: &Router) -> Self {
        let patterns: Vec<String> = openapi::routes_of(router).into_keys().collect();
        let mut matcher = matchit::Router::new();
        for (place, pattern) in patterns.iter().enumerate() {
            // The router has it, so it is no pattern that could not be had.
            let _ = matcher.insert(pattern.clone(), place);
        }
        Self { matcher, patterns }
    }

    /// All patterns, in order.
    pub(crate) fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// The place among the patterns of the route that a request has, of which method and path are told.
    pub(crate) fn place(&self, line: &[u8]) -> Option<usize> {
        let start = line.iter().position(|byte| *byte == b' ')? + 1;
        let path = String::from_utf8_lossy(&line[start..]);
        self.matcher.at(&path).ok().map(|found| *found.value)
    }

    /// The name of a request of which method and path are told, such as `GET /user/7`: `GET /user/{id}`. It has nothing
    /// in it that a client chose.
    pub(crate) fn name(&self, line: &[u8]) -> String {
        let line = String::from_utf8_lossy(line);
        let method = line.split(' ').next().unwrap_or_default();
        let method = METHODS.iter().find(|known| **known == method);
        let method = method.copied().unwrap_or("another method");
        let pattern = self
            .place(line.as_bytes())
            .map(|place| self.patterns[place].as_str());
        format!("{method} {}", pattern.unwrap_or(NO_ROUTE))
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
