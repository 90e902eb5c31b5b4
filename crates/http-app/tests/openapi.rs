//! `/openapi.json` and `/docs`: what is in them, and that nothing is described that is not there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use axum::Router;
use axum::routing::{any, get, post};
use common::{Server, config};
use http::Method;
use http_app::{App, AppError, OpenApi};
use serde_json::{Value, json};

/// Would be the handler that the document must not run.
async fn unseen() -> &'static str {
    panic!("a handler ran")
}

fn described() -> App {
    App::new(config())
        .route("/", get(|| async { "root" }).post(unseen))
        .group("/api", |api| api.route("/users/{id}", get(unseen).delete(unseen)))
        .merge(Router::new().route("/merged/{*rest}", get(unseen)))
        .route_without_timeout("/wait", get(unseen).head(unseen))
        .route("/any", any(unseen))
        .static_files("/files", ".")
        .health()
        .openapi(
            OpenApi::new("Title", "1.2.3")
                .description("One.")
                .description("Two."),
        )
}

#[test]
fn the_document_is_of_the_real_routes() {
    let server = Server::start(described());
    let api = server.get("/openapi.json").json();
    assert_eq!(api["openapi"], "3.1.0");
    assert_eq!(
        api["info"],
        json!({ "title": "Title", "version": "1.2.3", "description": "One.\n\nTwo." })
    );
    let paths = api["paths"].as_object().unwrap();
    let listed: Vec<_> = paths
        .iter()
        .map(|(path, item)| {
            let methods: Vec<_> = item.as_object().unwrap().keys().map(String::as_str).collect();
            (path.as_str(), methods)
        })
        .collect();
    assert_eq!(
        listed,
        [
            ("/", vec!["get", "post"]),
            ("/any", vec!["description"]),
            ("/api/users/{id}", vec!["delete", "get"]),
            ("/healthz", vec!["get"]),
            ("/merged/{rest}", vec!["get"]),
            ("/readyz", vec!["get"]),
            ("/wait", vec!["get"]),
        ]
    );
    let user = &paths["/api/users/{id}"]["delete"];
    assert_eq!(
        user["parameters"],
        json!([{
            "name": "id", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 }
        }])
    );
    let statuses = |operation: &Value| -> Vec<String> {
        operation["responses"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(statuses(user), ["404", "413", "414", "503", "default"]);
    assert_eq!(statuses(&paths["/"]["get"]), ["414", "503", "default"]);
    for (status, name) in [
        ("404", "RouteNotFound"),
        ("413", "PayloadTooLarge"),
        ("414", "UriTooLong"),
        ("503", "ServiceUnavailable"),
    ] {
        let reference = user["responses"][status]["$ref"].as_str().unwrap();
        assert_eq!(reference, format!("#/components/responses/{name}"));
        assert!(
            api.pointer(&reference[1..]).is_some_and(Value::is_object),
            "{reference}"
        );
    }
    assert!(api["components"]["responses"]["MethodNotAllowed"].is_object());
    assert_eq!(server.get("/").text(), "root");
}

#[test]
fn what_is_said_goes_in_and_the_rest_stays() {
    let app = described()
        .describe(
            Method::DELETE,
            "/api/users/{id}",
            json!({
                "summary": "Away with one",
                "parameters": [
                    { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } },
                    { "name": "soft", "in": "query", "schema": { "type": "boolean" } },
                ],
                "responses": { "204": { "description": "Gone" }, "404": { "description": "Never was" } },
            }),
        )
        .describe(Method::PUT, "/any", json!({ "summary": "One of all" }))
        .describe(Method::HEAD, "/wait", json!({ "summary": "first" }))
        .describe(Method::HEAD, "/wait", json!({ "summary": "last" }))
        .describe(Method::GET, "/merged/{*rest}", json!({}));
    let api = Server::start(app).get("/openapi.json").json();
    let user = &api["paths"]["/api/users/{id}"]["delete"];
    assert_eq!(user["summary"], "Away with one");
    assert_eq!(user["parameters"][0]["schema"]["type"], "integer");
    assert_eq!(user["parameters"].as_array().unwrap().len(), 2);
    let responses = user["responses"].as_object().unwrap();
    assert_eq!(
        responses.keys().collect::<Vec<_>>(),
        ["204", "404", "413", "414", "503"]
    );
    assert_eq!(responses["404"]["description"], "Never was");
    assert_eq!(api["paths"]["/any"]["put"]["summary"], "One of all");
    assert_eq!(api["paths"]["/wait"]["head"]["summary"], "last");
    assert_eq!(
        api["paths"]["/merged/{rest}"]["get"]["parameters"][0]["name"],
        "rest"
    );
}

#[test]
fn a_description_of_nothing_is_an_error_also_when_nobody_sees_it() {
    for (method, path, operation) in [
        (Method::GET, "/nothing", json!({})),
        (Method::PATCH, "/", json!({})),
        (Method::GET, "/any/", json!({})),
        (Method::CONNECT, "/any", json!({})),
        (Method::GET, "/", json!("text")),
        (Method::GET, "/", Value::Null),
    ] {
        let said = (method.clone(), path, operation.clone());
        let served = described().describe(method.clone(), path, operation.clone());
        let unserved = App::new(config())
            .route("/", get(unseen))
            .describe(method, path, operation);
        for app in [served, unserved] {
            let error = app.bind().unwrap_err();
            assert!(
                matches!(error, AppError::DescribesNoRoute { .. }),
                "{said:?}: {error}"
            );
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let server = Server::start(described());
    let mut client = server.client();
    for (path, kind) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ] {
        let reply = client.get(path);
        assert_eq!(
            (reply.status(), reply.header("content-type")),
            (200, Some(kind)),
            "{path}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        let text = reply.text();
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("innerHTML"),
            "{path}"
        );
    }
    client.send("POST /docs HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    client.reply().assert_error(405);
}

#[test]
fn without_the_wish_there_is_none_and_own_routes_come_first() {
    let server = Server::start(App::new(config()).route("/", get(unseen)));
    assert_eq!(server.get("/openapi.json").status(), 404);
    assert_eq!(server.get("/docs").status(), 404);

    let app = App::new(config())
        .route("/docs", get(|| async { "my own" }))
        .route("/healthz", post(unseen))
        .health()
        .openapi_note("A note.");
    let server = Server::start(app);
    assert_eq!(server.get("/docs").text(), "my own");
    let api = server.get("/openapi.json").json();
    assert_eq!(
        api["info"],
        json!({ "title": "API", "version": "0", "description": "A note." })
    );
    let health: Vec<_> = api["paths"]["/healthz"].as_object().unwrap().keys().collect();
    assert_eq!(health, ["post"], "the application's own, and no word of ours");
    assert_eq!(
        api["paths"]["/readyz"]["get"]["responses"]["503"]["$ref"],
        "#/components/responses/ServiceUnavailable"
    );
}
