//! Static files: what is served, and the table of attacks that are not.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use axum::routing::get;
use common::{Server, config};
use http_app::{App, AppError};

/// A root with ordinary files and every kind of thing that must not be served, in a directory with a secret beside it.
fn site() -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    let root = site.path().join("public");
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::create_dir_all(root.join("bare")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    fs::create_dir_all(site.path().join("outside")).unwrap();
    fs::write(site.path().join("secret.txt"), "SECRET").unwrap();
    fs::write(site.path().join("outside/secret.txt"), "SECRET").unwrap();
    fs::write(root.join("a.txt"), "0123456789").unwrap();
    fs::write(root.join("with space.txt"), "space").unwrap();
    fs::write(root.join("index.html"), "root page").unwrap();
    fs::write(root.join("dir/index.html"), "page").unwrap();
    fs::write(root.join("dir/b.txt"), "b").unwrap();
    fs::write(root.join(".env"), "SECRET").unwrap();
    fs::write(root.join(".git/config"), "SECRET").unwrap();
    fs::write(root.join("back\\slash.txt"), "SECRET").unwrap();
    symlink(root.join("dir/b.txt"), root.join("inside")).unwrap();
    symlink(site.path().join("secret.txt"), root.join("escape")).unwrap();
    symlink(site.path().join("outside"), root.join("escape-dir")).unwrap();
    symlink(root.join(".env"), root.join("env.txt")).unwrap();
    symlink(root.join(".git"), root.join("git")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    fs::create_dir_all(root.join("linked-index")).unwrap();
    symlink(
        site.path().join("secret.txt"),
        root.join("linked-index/index.html"),
    )
    .unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(root.join("fifo"))
            .status()
            .unwrap()
            .success()
    );
    site
}

/// Every encoding of a way out, and every kind of thing that is no file of the site.
const ATTACKS: [&str; 51] = [
    "/../secret.txt",
    "/dir/../../secret.txt",
    "/dir/../a.txt",
    "/./a.txt",
    "/%2e%2e/secret.txt",
    "/%2E%2E/secret.txt",
    "/.%2e/secret.txt",
    "/..%2fsecret.txt",
    "/..%2Fsecret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%5csecret.txt",
    "/..\\secret.txt",
    "/..%c0%afsecret.txt",
    "/dir%2fb.txt",
    "/dir%5cb.txt",
    "/back%5cslash.txt",
    "/a.txt%00",
    "/a.txt%00.html",
    "/%00",
    "/.env",
    "/%2eenv",
    "/.git/config",
    "/.git/",
    "/escape",
    "/escape-dir/secret.txt",
    "/escape-dir/",
    "/env.txt",
    "/git/config",
    "/linked-index/",
    "/linked-index",
    "/loop",
    "/fifo",
    "/bare",
    "/bare/",
    "/a.txt/",
    "/a.txt/b",
    "/dir//b.txt",
    "/%zz",
    "/%",
    "/%2e%2e%5csecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%uff0e%uff0e/secret.txt",
    "/..;/secret.txt",
    "/dir/%2e%2e/%2e%2e/secret.txt",
    "/dir/..%00/secret.txt",
    "/%2f%2e%2e%2fsecret.txt",
    "/dir/.",
    "/dir/..",
    "/dir%2f..%2f..%2fsecret.txt",
    "/a.txt%2f..%2f..%2fsecret.txt",
    "/fifo/",
];

/// Decent paths behind which there is nothing.
const MISSES: [&str; 5] = [
    "/nothing",
    "/%252e%252e/secret.txt",
    "/..%255csecret.txt",
    "/%09",
    "/a.txt%0d%0a",
];

fn serving(prefix: &str, root: &Path) -> Server {
    let app = App::new(config()).route("/route", get(|| async { "route" }));
    Server::start(app.static_files(prefix, root))
}

#[test]
fn ordinary_files_are_served_under_a_prefix_and_at_the_root() {
    let site = site();
    for prefix in ["/files", "/files/", "/"] {
        let server = serving(prefix, &site.path().join("public"));
        let base = prefix.trim_end_matches('/');
        let mut client = server.client();
        for (path, text) in [
            ("/a.txt", "0123456789"),
            ("/with%20space.txt", "space"),
            ("/%61.txt", "0123456789"),
            ("/dir/b.txt", "b"),
            ("/dir/", "page"),
            ("/", "root page"),
            ("/inside", "b"),
        ] {
            let reply = client.get(&format!("{base}{path}"));
            assert_eq!((reply.status(), reply.text()), (200, text), "{prefix} {path}");
        }
        assert_eq!(client.get("/route").text(), "route");
        assert_eq!(
            client.get(&format!("{base}/a.txt")).header("content-type"),
            Some("text/plain")
        );
    }
}

#[test]
fn attacks_find_nothing() {
    let site = site();
    for prefix in ["/files", "/"] {
        let server = serving(prefix, &site.path().join("public"));
        let base = prefix.trim_end_matches('/');
        for path in ATTACKS.iter().chain(&MISSES) {
            let reply = server.get(&format!("{base}{path}"));
            assert_eq!(reply.status(), 404, "{prefix} {path}: {reply:?}");
            assert_eq!(reply.json()["error"], "Route not found", "{path}");
            assert!(!reply.text().contains("SECRET"), "{path}");
        }
    }
}

#[test]
fn an_absolute_target_finds_no_more_than_its_path() {
    let site = site();
    let server = serving("/", &site.path().join("public"));
    let mut client = server.client();
    let get = |path: &str| format!("GET http://test{path} HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.send(get("/a.txt")).reply().status(), 200);
    assert_eq!(client.send(get("/../secret.txt")).reply().status(), 404);
    assert_eq!(client.get("//a.txt").status(), 404);
}

#[test]
fn a_directory_without_its_slash_is_sent_there() {
    let site = site();
    for (prefix, path, location) in [
        ("/files", "/files/dir?q=1", "/files/dir/?q=1"),
        ("/files", "/files", "/files/"),
        ("/", "/dir", "/dir/"),
    ] {
        let server = serving(prefix, &site.path().join("public"));
        let reply = server.get(path);
        assert_eq!((reply.status(), reply.header("location")), (307, Some(location)));
    }
}

#[test]
fn ranges_and_dates_are_honoured() {
    let site = site();
    let server = serving("/files", &site.path().join("public"));
    let mut client = server.client();
    client.send("GET /files/a.txt HTTP/1.1\r\nHost: test\r\nRange: bytes=2-4\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status(), reply.text()), (206, "234"));
    let date = client
        .get("/files/a.txt")
        .header("last-modified")
        .unwrap()
        .to_owned();
    client.send(format!(
        "GET /files/a.txt HTTP/1.1\r\nHost: test\r\nIf-Modified-Since: {date}\r\n\r\n"
    ));
    assert_eq!(client.reply().status(), 304);
}

#[test]
fn an_etag_and_a_date_save_the_body() {
    let site = site();
    let root = site.path().join("public");
    let server = serving("/", &root);
    let mut client = server.client();
    let first = client.get("/a.txt");
    let (tag, date) = (
        first.header("etag").unwrap().to_owned(),
        first.header("last-modified").unwrap().to_owned(),
    );
    assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
    let mut ask = |method: &str, header: &str| {
        client.send(format!(
            "{method} /a.txt HTTP/1.1\r\nHost: test\r\n{header}\r\n\r\n"
        ));
        client.reply_without_body_if(method == "HEAD")
    };
    let older = "Thu, 01 Jan 1970 00:00:10 GMT";
    for (header, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: W/{tag}"), 304),
        (format!("If-None-Match: \"x\", {tag}"), 304),
        ("If-None-Match: *".to_owned(), 304),
        ("If-None-Match: \"x\"".to_owned(), 200),
        // RFC 9110 §13.2.2: the tag counts, the date does not.
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}"), 200),
        (format!("If-Modified-Since: {date}"), 304),
        (format!("If-Modified-Since: {older}"), 200),
        ("If-Modified-Since: yesterday".to_owned(), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: {tag}"), 206),
        ("Range: bytes=0-1\r\nIf-Range: \"x\"".to_owned(), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: W/{tag}"), 200),
        (format!("Range: bytes=0-1\r\nIf-Range: {date}"), 206),
        (format!("Range: bytes=0-1\r\nIf-Range: {older}"), 200),
        (format!("If-Range: {tag}"), 200),
        ("Range: bytes=50-60".to_owned(), 416),
        ("Range: bytes=5-".to_owned(), 206),
        ("Range: bytes=-3".to_owned(), 206),
        ("Range: lines=1-2".to_owned(), 200),
    ] {
        for method in ["GET", "HEAD"] {
            let reply = ask(method, &header);
            // A tag or a date that fits is 304 for both; a range is for GET alone (RFC 9110 §14.2).
            let expected = if method == "HEAD" && status >= 206 && status != 304 {
                None
            } else {
                Some(status)
            };
            assert!(
                expected.is_none_or(|status| reply.status() == status),
                "{method} {header}: {reply:?}"
            );
            if reply.status() == 304 {
                assert!(reply.body.is_empty());
                assert_eq!(reply.header("etag"), Some(tag.as_str()));
            }
        }
    }
    fs::write(root.join("a.txt"), "other").unwrap();
    assert_ne!(
        client.get("/a.txt").header("etag"),
        Some(tag.as_str()),
        "another file, another tag"
    );
}

#[test]
fn a_single_page_application_has_its_page_everywhere_and_its_secrets_nowhere() {
    let site = site();
    let root = site.path().join("public");
    for prefix in ["/", "/app"] {
        let app = App::new(config())
            .route("/route", get(|| async { "route" }))
            .spa(prefix, &root);
        let server = Server::start(app);
        let base = prefix.trim_end_matches('/');
        let mut client = server.client();
        let mut ask = |method: &str, path: &str, accept: &str| {
            client.send(format!(
                "{method} {base}{path} HTTP/1.1\r\nHost: test\r\n{accept}\r\n"
            ));
            client.reply_without_body_if(method == "HEAD")
        };
        for accept in ["", "Accept: */*\r\n", "Accept: image/png, text/html;q=0.9\r\n"] {
            let page = ask("GET", "/users/42?tab=1", accept);
            assert_eq!((page.status(), page.text()), (200, "root page"), "{accept}");
            assert_eq!(page.header("content-type"), Some("text/html"));
            assert_eq!(page.header("cache-control"), Some("no-cache"));
        }
        let tag = ask("HEAD", "/users", "").header("etag").unwrap().to_owned();
        assert_eq!(
            ask("GET", "/users", &format!("If-None-Match: {tag}\r\n")).status(),
            304
        );
        assert_eq!(ask("GET", "/a.txt", "").text(), "0123456789");
        for (method, path, accept) in [
            ("GET", "/users/42", "Accept: application/json\r\n"),
            ("GET", "/missing.js", ""),
            ("POST", "/users", "Content-Length: 0\r\n"),
        ] {
            assert_eq!(
                ask(method, path, accept).status(),
                404,
                "{method} {path} {accept}"
            );
        }
        for path in ATTACKS {
            let reply = ask("GET", path, "Accept: text/html\r\n");
            assert_eq!(reply.status(), 404, "{prefix} {path}: {reply:?}");
            assert!(!reply.text().contains("SECRET"), "{path}");
        }
        assert_eq!(server.get("/route").text(), "route");
    }
    let error = App::new(config()).spa("/", root.join("bare")).bind().unwrap_err();
    assert!(error.to_string().contains("bare"), "{error}");
}

#[test]
fn files_are_read_only() {
    let site = site();
    let server = serving("/files", &site.path().join("public"));
    let mut client = server.client();
    client.send("POST /files/a.txt HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    let reply = client.reply();
    reply.assert_error(405);
    assert_eq!(reply.header("allow"), Some("GET,HEAD"));
    client.send("POST /files/nothing HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.reply().status(), 404);
    client.send("HEAD /files/a.txt HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.reply_without_body().header("content-length"), Some("10"));
}

#[test]
fn what_is_missing_reaches_the_users_fallback() {
    let site = site();
    let root = site.path().join("public");
    let app = App::new(config()).fallback(|| async { "mine" });
    let server = Server::start(app.static_files("/", &root).static_files("/files", &root));
    assert_eq!(server.get("/files/nothing").text(), "mine");
    assert_eq!(server.get("/nothing").text(), "mine");
    assert_eq!(server.get("/.env").text(), "mine");
}

#[test]
fn a_missing_directory_is_a_start_error_that_names_it() {
    let site = site();
    for wrong in ["nothing", "public/a.txt"] {
        let directory = site.path().join(wrong);
        let error = App::new(config())
            .static_files("/files", &directory)
            .bind()
            .unwrap_err();
        assert!(matches!(error, AppError::StaticFiles { .. }));
        assert!(error.to_string().contains(wrong), "{error}");
    }
}
