//! Every setting reaches its field, and a wrong value is an error that names it. What the fields do is shown by the
//! other tests.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use core_executor::{ConnectionLimits, Env, KEYS, TlsConfig};
use http_app::{AppConfig, MetricsConfig, Waf, WafMode};

fn env(pairs: &[(&str, &str)]) -> Env {
    Env::from_pairs(
        pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string())),
    )
    .unwrap()
}

#[test]
fn nothing_set_means_the_documented_defaults() {
    let env = env(&[]);
    let AppConfig {
        host,
        port,
        request_timeout,
        limits,
        waf,
        max_detached_handlers,
        hook_timeout,
        drain_deadline,
        tls,
    } = AppConfig::from_env(&env).unwrap();
    assert_eq!((&*host, port), ("127.0.0.1", 8080));
    assert_eq!(request_timeout, Duration::from_millis(2000));
    assert_eq!(limits, ConnectionLimits::default());
    assert_eq!(
        waf,
        Waf {
            mode: WafMode::Basic,
            max_target_len: 4096,
            max_body_bytes: 1_048_576
        }
    );
    assert_eq!(max_detached_handlers, 1024);
    assert_eq!(hook_timeout, Duration::from_secs(5));
    assert_eq!(drain_deadline, Duration::from_secs(30));
    assert_eq!(tls, None);
    let MetricsConfig { host, port, prefix } = MetricsConfig::from_env(&env).unwrap();
    assert_eq!((&*host, port, &*prefix), ("127.0.0.1", 9100, ""));
    assert_eq!(AppConfig::from_env(&env).unwrap(), AppConfig::default());
    assert_eq!(MetricsConfig::from_env(&env).unwrap(), MetricsConfig::default());
}

#[test]
fn the_defaults_are_those_of_the_list_of_keys() {
    let mut listed = Vec::new();
    for key in KEYS {
        if ["SERVER_", "WAF_", "METRICS_", "SHUTDOWN_DEADLINE"]
            .iter()
            .any(|start| key.name.starts_with(start))
        {
            listed.push((key.name, key.default));
        }
    }
    let env = env(&listed);
    assert_eq!(AppConfig::from_env(&env).unwrap(), AppConfig::default());
    assert_eq!(MetricsConfig::from_env(&env).unwrap(), MetricsConfig::default());
}

#[test]
fn every_setting_reaches_its_field() {
    let env = env(&[
        ("SERVER_HOST", "::1"),
        ("SERVER_PORT", "80"),
        ("SERVER_REQUEST_TIMEOUT", "0"),
        ("SERVER_SESSION_TIMEOUT_SEC", "7"),
        ("SHUTDOWN_DEADLINE", "9"),
        ("WAF_MODE", "off"),
        ("WAF_MAX_TARGET_LEN", "65534"),
        ("WAF_MAX_BODY_BYTES", "5"),
        ("METRICS_HOST", "0.0.0.0"),
        ("METRICS_PORT", "0"),
        ("METRICS_PREFIX", "vix"),
        ("SERVER_TLS_ENABLED", "true"),
        ("SERVER_TLS_CERT_FILE", "c.pem"),
        ("SERVER_TLS_KEY_FILE", "k.pem"),
    ]);
    let app = AppConfig {
        host: "::1".to_owned(),
        port: 80,
        request_timeout: Duration::ZERO,
        limits: ConnectionLimits {
            keep_alive: Duration::from_secs(7),
            ..ConnectionLimits::default()
        },
        waf: Waf {
            mode: WafMode::Off,
            max_target_len: 65534,
            max_body_bytes: 5,
        },
        max_detached_handlers: 1024,
        hook_timeout: Duration::from_secs(5),
        drain_deadline: Duration::from_secs(9),
        tls: Some(TlsConfig::new("c.pem", "k.pem")),
    };
    assert_eq!(AppConfig::from_env(&env).unwrap(), app);
    let metrics = MetricsConfig {
        host: "0.0.0.0".to_owned(),
        port: 0,
        prefix: "vix".to_owned(),
    };
    assert_eq!(MetricsConfig::from_env(&env).unwrap(), metrics);
}

#[test]
fn a_wrong_value_is_an_error_that_names_its_key() {
    for (key, value) in [
        ("SERVER_HOST", "a b"),
        ("SERVER_PORT", "65536"),
        ("SERVER_REQUEST_TIMEOUT", "soon"),
        ("SERVER_SESSION_TIMEOUT_SEC", "-1"),
        ("SHUTDOWN_DEADLINE", "x"),
        ("WAF_MODE", "strict"),
        ("WAF_MAX_TARGET_LEN", "65535"),
        ("WAF_MAX_BODY_BYTES", "1MB"),
    ] {
        let error = AppConfig::from_env(&env(&[(key, value)]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(key), "{error}");
    }
    let error = MetricsConfig::from_env(&env(&[("METRICS_PORT", "many")]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("METRICS_PORT"), "{error}");
}
