//! Certificate files: what is taken, what is refused and how, at the start and at a reload.

use crate::certificates::{Authority, Issued, Secure, site};
use core_executor::{ClientAuth, ConnectionMetrics, TlsConfig, TlsError, TlsIdentity};
use rcgen::date_time_ymd;
use std::error::Error;
use std::fs;
use std::path::Path;

/// Puts the certificate of one pair in the place of another's.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

fn expired(authority: &Authority) -> Issued {
    authority.issue_with("expired", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    })
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_handshake_on() {
    let authority = Authority::new();
    let first = authority.issue("server");
    let (site, identity) = site(&first.config());
    let mut old = Secure::connect(site.addr(), authority.client()).await.unwrap();
    assert_eq!(old.shown(), first.der);

    let second = authority.issue("server");
    assert_ne!(first.der, second.der);
    identity.reloader().reload().unwrap();
    let mut new = Secure::connect(site.addr(), authority.client()).await.unwrap();
    assert_eq!(new.shown(), second.der);
    for client in [&mut old, &mut new] {
        assert_eq!(client.text("/hello").await.unwrap(), "hello");
    }
    assert_eq!(site.metrics.tls_reload_errors(), 0);
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_former_certificate_in_place() {
    let authority = Authority::new();
    let served = authority.issue("server");
    let (site, identity) = site(&served.config());
    let (other, old) = (authority.issue("other"), expired(&authority));
    let breakages: [(&str, &dyn Fn()); 6] = [
        ("mismatched key", &|| copy(&other.key_file, &served.key_file)),
        ("mismatched certificate", &|| {
            copy(&other.cert_file, &served.cert_file)
        }),
        ("expired", &|| {
            copy(&old.cert_file, &served.cert_file);
            copy(&old.key_file, &served.key_file);
        }),
        ("half a certificate", &|| {
            let text = fs::read(&served.cert_file).unwrap();
            fs::write(&served.cert_file, &text[..text.len() / 2]).unwrap();
        }),
        ("no certificate", &|| fs::remove_file(&served.cert_file).unwrap()),
        ("no key", &|| fs::remove_file(&served.key_file).unwrap()),
    ];
    let (certificate, key) = (
        fs::read(&served.cert_file).unwrap(),
        fs::read(&served.key_file).unwrap(),
    );
    for (number, (what, break_it)) in (1..).zip(breakages) {
        fs::write(&served.cert_file, &certificate).unwrap();
        fs::write(&served.key_file, &key).unwrap();
        break_it();
        assert!(identity.reloader().reload().is_err(), "{what}");
        let mut client = Secure::connect(site.addr(), authority.client()).await.unwrap();
        assert_eq!(client.shown(), served.der, "{what}");
        assert_eq!(client.text("/hello").await.unwrap(), "hello");
        assert_eq!(site.metrics.tls_reload_errors(), number, "{what}");
    }
}

/// The whole chain of causes.
fn told(error: &TlsError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn what_cannot_be_used_at_the_start_names_the_setting_and_the_file() {
    let authority = Authority::new();
    let (good, other) = (authority.issue("good"), authority.issue("other"));
    let garbage = authority.path("garbage.pem");
    fs::write(
        &garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let empty = authority.path("empty.pem");
    fs::write(&empty, "").unwrap();
    let future = authority.issue_with("future", |params| params.not_before = date_time_ymd(3000, 1, 1));
    let missing = authority.path("missing.pem");
    let (cert, key) = ("SERVER_TLS_CERT_FILE", "SERVER_TLS_KEY_FILE");
    let rows = [
        (TlsConfig::new(&missing, &good.key_file), cert, "missing.pem"),
        (TlsConfig::new(&good.cert_file, &missing), key, "missing.pem"),
        (TlsConfig::new(&empty, &good.key_file), cert, "empty.pem"),
        (TlsConfig::new(&good.cert_file, &empty), key, "empty.pem"),
        (TlsConfig::new(&garbage, &good.key_file), cert, "garbage.pem"),
        (TlsConfig::new(&good.cert_file, &garbage), key, "garbage.pem"),
        (TlsConfig::new(&good.key_file, &good.key_file), cert, "good.key"),
        (TlsConfig::new(&good.cert_file, &good.cert_file), key, "good.pem"),
        (TlsConfig::new(&good.cert_file, &other.key_file), key, "other.key"),
        (expired(&authority).config(), cert, "expired.pem"),
        (future.config(), cert, "future.pem"),
        (
            TlsConfig::new(authority.path(""), &good.key_file),
            cert,
            "cannot read",
        ),
        (
            good.config().client_auth(ClientAuth::required(&missing)),
            "client authorities",
            "missing.pem",
        ),
    ];
    for (config, setting, file) in rows {
        let metrics = ConnectionMetrics::new("site");
        let error = TlsIdentity::load(&config, &metrics).expect_err(file);
        let text = told(&error);
        assert!(text.contains(setting) && text.contains(file), "{text}");
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}
