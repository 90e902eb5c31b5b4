//! curl: HTTP/2 by ALPN and by prior knowledge, and HTTP/1.1 over TLS.

use std::process::{Command, Stdio};

use workspace_tests::PATIENCE;
use workspace_tests::observe::skipped;

use crate::scene::Scene;

/// More than the first window of a stream (RFC 9113 §6.9.2) and than one frame.
const LONG: usize = 300_000;

/// What curl says on standard output; `None` where there is no curl, or one without HTTP/2.
fn curl(arguments: &[&str]) -> Option<String> {
    let limit = PATIENCE.as_secs().to_string();
    let has_http2 = |text: &[u8]| String::from_utf8_lossy(text).contains("HTTP2");
    match Command::new("curl").arg("--version").output() {
        Ok(version) if has_http2(&version.stdout) => {}
        _ => {
            skipped("no curl with HTTP/2 is installed");
            return None;
        }
    }
    let output = Command::new("curl")
        .args([
            "--disable",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--max-time",
            &limit,
        ])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("curl can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {problem} {said}");
    Some(said)
}

/// Pages, one after the other, and a long body both ways, in this version. Over one connection, unless `is_apart`.
fn speaks(scene: &Scene, how: &[&str], version: &str, is_apart: bool) {
    let scheme = if scene.certificate.is_some() {
        "https"
    } else {
        "http"
    };
    let port = scene.http().port();
    let at = |path: &str| format!("{scheme}://localhost:{port}{path}");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let mut own = vec!["--resolve", &resolve];
    let trusted = scene
        .certificate
        .as_ref()
        .map(|pinned| scene.file("trusted.pem", &pinned.certificate));
    if let Some(trusted) = &trusted {
        own.extend(["--cacert", trusted]);
    }
    own.extend(how);

    let tell = [
        "--write-out",
        " %{http_version} %{response_code} %{num_connects}\n",
    ];
    let (page, missing) = (at("/"), at("/missing"));
    let ask = |urls: &[&str]| curl(&[&own[..], &tell, urls].concat());
    let said = match is_apart {
        false => ask(&[&page, &page, &missing]),
        true => ask(&[&page])
            .zip(ask(&[&missing]))
            .map(|(page, missing)| format!("{page}{page}{missing}")),
    };
    let Some(said) = said else { return };
    let lines: Vec<_> = said.lines().collect();
    let (shown, again) = (
        if version == "2" { "HTTP/2.0" } else { "HTTP/1.1" },
        u8::from(is_apart),
    );
    assert_eq!(lines[0], format!("{shown} {version} 200 1"));
    assert_eq!(lines[1], format!("{shown} {version} 200 {again}"));
    assert!(lines[2].ends_with(&format!(" {version} 404 {again}")), "{said}");

    let long = "x".repeat(LONG);
    let body = format!("@{}", scene.file("body", &long));
    let echo = at("/echo");
    let post = [&own[..], &["--data-binary", &body, &echo]].concat();
    assert!(
        curl(&post).expect("as above") == long,
        "{how:?}: not what was sent"
    );
}

#[test]
fn http2_over_tls() {
    speaks(&Scene::secure(), &["--http2"], "2", false);
}

#[test]
fn http1_over_tls() {
    speaks(&Scene::secure(), &["--http1.1"], "1.1", false);
}

/// Each on a connection of its own: curl 7.88 and before cannot ask twice over one (curl/curl issue 10634).
#[test]
fn http2_by_prior_knowledge() {
    speaks(&Scene::plain(), &["--http2-prior-knowledge"], "2", true);
}

/// What `--http2` is without TLS: a wish for h2c in an upgrade, which RFC 9113 §3.1 has done away with.
#[test]
fn the_old_wish_for_http2_is_answered_over_http1() {
    speaks(&Scene::plain(), &["--http2"], "1.1", false);
}
